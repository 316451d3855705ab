package immudb

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/immudb-go/immudb/internal/proof"
	"github.com/immudb-go/immudb/internal/sqltext"
	"github.com/immudb-go/immudb/internal/trust"
	"github.com/immudb-go/immudb/internal/wire"
)

// verification is what the connections of a connector share to verify what their
// servers say.
type verification struct {
	*trust.Trust

	// writes counts the commits of the connector. The server's proofs do not wait
	// for its index, so that a verified read after a commit has to.
	writes atomic.Uint64
	mu     sync.Mutex
	// indexed holds how many writes there were when the server's index of a table was
	// last known to have caught up.
	indexed map[indexedTable]uint64
}

type indexedTable struct{ serverUUID, database, table string }

func newVerification(cfg *Config, log *slog.Logger) (*verification, error) {
	o := trust.Options{History: cfg.Verify.History, FirstUse: cfg.Verify.TrustFirstUse, Commits: cfg.Verify.Commits, Log: log}
	var err error
	if cfg.Verify.State != "" {
		if o.Pin, err = trust.ParsePin(cfg.Verify.State); err != nil {
			return nil, err
		}
		o.Pinned = strings.ToLower(cfg.Database)
	}
	if cfg.Verify.PublicKey != "" {
		pem, err := os.ReadFile(cfg.Verify.PublicKey)
		if err == nil {
			o.Key, err = proof.ParsePublicKey(pem)
		}
		if err != nil {
			return nil, fmt.Errorf("immudb: server_public_key: %w", err)
		}
	}
	switch {
	case cfg.StateStore != nil:
		o.Store = trustedStore{cfg.StateStore}
	case cfg.Verify.StateDir != "":
		if o.Store, err = trust.NewFileStore(cfg.Verify.StateDir); err != nil {
			return nil, err
		}
	default:
		o.Store = &trust.MemoryStore{}
	}
	return &verification{Trust: trust.New(o), indexed: make(map[indexedTable]uint64)}, nil
}

// prover proves what is said of the database that c is in, by the name that the
// server gives it: in lower case, whatever it was asked for.
func (c *Conn) prover() *trust.Prover {
	return c.connector.trust.Prover(trust.Server{
		UUID:    c.session().ServerUUID,
		Host:    c.session().Addr(),
		Call:    c.askForProof,
		Refused: mayMissHistory,
	}, strings.ToLower(c.Database()))
}

// askForProof makes a call that changes nothing, in another session if the server
// does not know this one.
func (c *Conn) askForProof(ctx context.Context, method string, req []byte) (wire.Raw, error) {
	var ans wire.Raw
	err := c.call(ctx, reads, "", method, req, &ans)
	return ans, err
}

// mayMissHistory reports whether err is a refusal that a server gives which does
// not have the trusted history any more.
func mayMissHistory(err error) bool {
	var e *Error
	if !errors.As(err, &e) || errors.As(err, new(badConn)) {
		return false
	}
	switch e.kind {
	case nil, errNoSuchKey, ErrNoSuchTable, ErrNoSuchColumn:
		return true
	}
	return false
}

// With verify=commits, every commit goes through the two functions below. When
// it is off they cost a comparison and a count.
//
// A commit that comes right after the trusted state, as all do while nobody
// else writes to the database, is checked without asking the server: its header
// is the proof. Any other takes one round trip more, as do all where states have
// to be signed; a state_dir adds a write to the disk.
//
// Proven is that the commit is part of the history, not what it wrote: rows and
// keys that it was answered with are the server's word until they are read.
//
// What the commit was answered with is then trusted. So a server that answers
// with one transaction and keeps another is found out by what comes next, be it a
// commit, a read or an audit.

// readyToProve makes sure, before anything is written, that there is a state to
// prove the commit against, and notes what is trusted at this moment: the commit
// has to come after it.
func (c *Conn) readyToProve(ctx context.Context) error {
	if !c.connector.trust.Commits {
		return nil
	}
	var err error
	c.begun, err = c.prover().Before(ctx)
	return fromTrust(err)
}

// aboutToCommit notes again what is trusted, for a transaction that was begun a
// while ago.
func (c *Conn) aboutToCommit() {
	if c.connector.trust.Commits {
		c.begun = c.prover().Now()
	}
}

// mustWrite reports a statement that cannot succeed without writing.
func mustWrite(st sqltext.Statement) bool {
	switch st.Kind {
	case sqltext.Insert, sqltext.Upsert:
		return st.NumRows > 0 && st.OnConflict != sqltext.ConflictNothing
	case sqltext.Truncate:
		return true
	case sqltext.DDL:
		return mustChangeCatalog(st.Text)
	}
	return false
}

// mustChangeCatalog reports a statement that succeeds only if it changes a table
// or an index. One that says IF [NOT] EXISTS may find nothing to do. One with a
// comment among its first words is not recognized.
func mustChangeCatalog(statement string) bool {
	words := strings.Fields(strings.ToUpper(statement))
	if len(words) < 3 || slices.Contains(words[:min(len(words), 8)], "IF") {
		return false
	}
	switch words[0] + " " + words[1] {
	case "CREATE TABLE", "DROP TABLE", "CREATE INDEX", "DROP INDEX":
		return true
	case "CREATE UNIQUE":
		return words[2] == "INDEX"
	case "ALTER TABLE":
		return len(words) > 3 && (words[3] == "ADD" || words[3] == "RENAME" || words[3] == "DROP")
	}
	return false
}

// proveCommits proves that what the server says it has committed extends the
// trusted history, and was not there when the commit was sent. wrote says that
// there must be something: a server that writes nothing answers without a
// transaction, and so does one that hides it.
func (c *Conn) proveCommits(ctx context.Context, wrote bool, txs ...wire.CommittedTx) error {
	c.connector.trust.writes.Add(1)
	if !c.connector.trust.Commits {
		return nil
	}
	p := c.prover()
	for i := range txs {
		if txs[i].TxID == 0 {
			wrote = wrote || txs[i].UpdatedRows > 0
			continue
		}
		wrote = false
		header, err := wire.DecodeHeader(txs[i].Header)
		if err != nil {
			return fromTrust(p.NotAProof(err))
		}
		if err := p.Commit(ctx, c.begun, header); err != nil {
			return c.unproven(txs[i].TxID, fromTrust(err))
		}
	}
	if wrote {
		return fromTrust(p.Tampering(&proof.Error{Check: "a commit that wrote something is answered with its transaction"}))
	}
	return nil
}

// unproven tells the caller of a commit why it is not proven. It must never
// pass for a commit that did not happen, or somebody would run it again.
func (c *Conn) unproven(tx uint64, err error) error {
	if isVerdict(err) {
		return err
	}
	err = withoutBadConn(err)
	return &Error{
		Message:  fmt.Sprintf("the server says that it has committed this as tx %d, which could not be verified", tx),
		SQLState: "08007",
		kind:     ErrOutcomeUnknown,
		cause:    err,
	}
}
