package immudb

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/immudb-go/immudb/internal/proof"
	"github.com/immudb-go/immudb/internal/session"
	"github.com/immudb-go/immudb/internal/sqltext"
	"github.com/immudb-go/immudb/internal/sqltext/tree"
	"github.com/immudb-go/immudb/internal/trust"
	"github.com/immudb-go/immudb/internal/wire"
	"github.com/immudb-go/immudb/internal/written"
)

// verification is the state that the connections of a connector share for
// verification.
type verification struct {
	*trust.Trust

	// writes counts the commits of the connector. The server does not wait for its
	// index before it answers with a proof, so a verified read after a commit must
	// wait for it first, see touch.
	writes atomic.Uint64
	mu     sync.Mutex
	// indexed holds how many writes there were when the server's index of a table was
	// last known to have caught up.
	indexed map[indexedTable]uint64
}

type indexedTable struct{ serverUUID, database, table string }

func newVerification(cfg *Config, log *slog.Logger) (*verification, error) {
	o := trust.Options{History: cfg.Verify.History, FirstUse: cfg.Verify.TrustFirstUse, Commits: cfg.Verify.Commits || cfg.Verify.Writes, Log: log}
	var err error
	if cfg.Verify.State != "" {
		if o.Pin, err = proof.ParseState(cfg.Verify.State); err != nil {
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

// prover returns a prover for the connection's current database. Its name is in lower
// case, as the server has it.
func (c *Conn) prover() *trust.Prover {
	return c.connector.trust.Prover(trust.Server{
		UUID:    c.session().ServerUUID,
		Host:    c.session().Addr(),
		Call:    c.askForProof,
		Refused: mayMissHistory,
	}, strings.ToLower(c.Database()))
}

// askForProof makes a call that changes nothing, see [trust.Call].
func (c *Conn) askForProof(ctx context.Context, method string, req []byte) (wire.Raw, error) {
	var ans wire.Raw
	err := c.call(ctx, reads, "", method, req, &ans)
	return ans, err
}

// mayMissHistory reports whether err may come from a server that lacks part of the
// trusted history, see [trust.Server].
func mayMissHistory(err error) bool {
	var e *Error
	if !errors.As(err, &e) || errors.As(err, new(badConn)) {
		return false
	}
	switch e.kind {
	case nil, errNoSuchKey, errNoSuchTx, ErrNoSuchTable, ErrNoSuchColumn:
		return true
	}
	return false
}

// With verify=commits, every commit goes through readyToProve and proveCommits.
//
// A commit that directly follows the trusted state, as all do while no other client
// writes to the database, is proven by its header alone, without a call. Any other
// commit needs one more round trip, as do all commits if states must be signed. A
// state_dir adds a write to the disk.
//
// The proof shows that the commit is part of the history, not what it wrote: the
// counts and keys in the answer are the server's claim.
//
// The transaction in the answer becomes the trusted state. So a server that answers
// with one transaction and stores another is detected by the next commit, verified
// read or audit.

// readyToProve is called before a write. It makes sure that a state is trusted,
// against which the commit can be proven, and marks the moment: the commit must be
// newer than it.
func (c *Conn) readyToProve(ctx context.Context) error {
	if !c.connector.trust.Commits {
		return nil
	}
	return c.onNextHost(func() (err error) {
		c.begun, err = c.prover().Before(ctx)
		return fromTrust(err)
	})
}

// onNextHost runs f, which asks for proofs, and runs it again on the next host while
// the host's history ends before the trusted state: another host may have the rest.
// A host that contradicts the trusted state ends it: that must be told.
func (c *Conn) onNextHost(f func() error) error {
	for moves := 1; ; moves++ {
		s := c.session()
		err := f()
		if !errors.Is(err, ErrServerOlder) || c.tx != nil || c.database != "" || moves >= len(c.connector.cfg.Hosts) || !s.Behind() {
			return err
		}
	}
}

// checkHost is [Conn.readyToProve] for a call that is about to go to another host
// than the one that was ready.
func (c *Conn) checkHost(ctx context.Context, kind callKind, before string) error {
	if !kind.autocommits() && kind != begins || c.Host() == before {
		return nil
	}
	return c.readyToProve(ctx)
}

// aboutToCommit marks the moment again just before a transaction commits, because it
// may have begun long ago.
func (c *Conn) aboutToCommit() {
	if c.connector.trust.Commits {
		c.begun = c.prover().Now()
	}
}

// mustWrite reports whether a statement cannot succeed without writing.
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

// mustChangeCatalog reports whether a statement can succeed only if it changes a
// table or an index. A statement with IF [NOT] EXISTS may change nothing. One with a
// comment among its first words is not recognised.
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

// sawCommits tells the pool what the session's server has committed, by which a
// second primary is recognised.
func (c *Conn) sawCommits(s *session.Session, txs ...wire.CommittedTx) {
	if c.database != "" {
		return // another database than the pool's
	}
	var newest uint64
	for i := range txs {
		s.Committed(txs[i].TxID, txs[i].Header)
		newest = max(newest, txs[i].TxID)
	}
	switch replicas := c.connector.replicas; {
	case replicas == nil:
	case newest == 0:
		replicas.Saw() // that there was nothing to write
	default:
		replicas.Committed(newest)
	}
}

// proveCommits proves that the transactions in the server's answer to a commit
// extend the trusted history, are newer than the mark of readyToProve, and wrote what
// was sent, which is nil if that is not asked for. With wrote
// set, the answer must hold a transaction: a server that hides what it wrote would
// answer without one.
func (c *Conn) proveCommits(ctx context.Context, wrote bool, sent *written.Writes, txs ...wire.CommittedTx) error {
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
		if sent != nil {
			err = c.proveWrites(ctx, p, header, sent)
			sent = &written.Writes{} // the statements are one transaction; another one writes nothing
		} else {
			err = p.Commit(ctx, c.begun, header)
		}
		if err != nil {
			return c.unproven(txs[i].TxID, fromTrust(err))
		}
	}
	if wrote {
		return fromTrust(p.Tampering(&proof.Error{Check: "a commit that wrote something is answered with its transaction"}))
	}
	return nil
}

// unproven is the error for a commit that could not be proven. It is never
// retryable, because the commit may have happened.
func (c *Conn) unproven(tx uint64, err error) error {
	if isVerdict(err) {
		return err
	}
	c.outcomeIsUnknown("COMMIT")
	err = withoutBadConn(err)
	return &Error{
		Message:  fmt.Sprintf("the server says that it has committed this as tx %d, which could not be verified", tx),
		SQLState: "08007",
		kind:     ErrOutcomeUnknown,
		cause:    err,
	}
}

// With verify=writes, the entries of a transaction come with the proof of its commit and
// are compared with the rows that were sent, see package written.

// valueOf is the argument of a placeholder of the query.
func (b *bound) valueOf(p *tree.Param) driver.Value {
	if b.query.Style == sqltext.Named {
		return namedArg(b.args, b.query.Names[p.Index]).Value
	}
	return b.args[p.Index].Value
}

// addTo adds what the statement writes to w. The result is its rows, if they are known.
func (b *bound) addTo(w *written.Writes) *written.Rows {
	if b.st.Kind.IsQuery() {
		return nil
	}
	return w.AddStatement(b.st.Tree, b.valueOf)
}

// send notes what a statement of the transaction has written.
func (t *tx) send(b *bound) *written.Rows {
	if !t.conn.connector.cfg.Verify.Writes {
		return nil
	}
	return b.addTo(&t.sent)
}

// sentWrites is what was sent in the transaction; nil: it is not to be proven.
func (t *tx) sentWrites() *written.Writes {
	if !t.conn.connector.cfg.Verify.Writes {
		return nil
	}
	return &t.sent
}

// sentBy is what the statements of a query were sent to write, with the key that the
// server has answered; nil: it is not to be proven.
func (c *Conn) sentBy(t *query, args []driver.NamedValue, res *result) *written.Writes {
	if !c.connector.cfg.Verify.Writes {
		return nil
	}
	var w written.Writes
	last := lastInsert(t.statements)
	for i := range t.statements {
		b := t.bind(i, args)
		if rows := b.addTo(&w); rows != nil && b.st == last && res.idErr == nil {
			rows.LastKey = res.id
		}
	}
	return &w
}

// sentByGroup is sentBy for the statements of a group. Without results it is not known
// what the server has run.
func (c *Conn) sentByGroup(batch []*member, results []*result) *written.Writes {
	if !c.connector.cfg.Verify.Writes {
		return nil
	}
	var w written.Writes
	if results == nil {
		w.AddUnknown("")
		return &w
	}
	for i, m := range batch {
		if rows := m.bound.addTo(&w); rows != nil && results[i].idErr == nil {
			rows.LastKey = results[i].id
		}
	}
	return &w
}

// sent is what rows from ≤ i < to of a batch are sent to write; nil: it is not to be
// proven.
func (w *copyWriter) sent(b *batch, from, to int) *written.Writes {
	if !b.rows.Keeps {
		return nil
	}
	rows := &written.Rows{Values: b.rows.Values()[from:to]}
	for i := range w.columns {
		rows.Columns = append(rows.Columns, w.columns[i].Name)
	}
	var sent written.Writes
	sent.Add(w.table, rows)
	return &sent
}

// proveWrites proves a commit, and that its transaction wrote what was sent.
func (c *Conn) proveWrites(ctx context.Context, p *trust.Prover, header *proof.Header, sent *written.Writes) error {
	tx, err := p.CommitEntries(ctx, c.begun, header)
	if err != nil {
		return err
	}
	tables := make(map[string]*proof.Table)
	for _, name := range sent.Tables() {
		tables[name] = c.definition(ctx, p, name)
	}
	if err = sent.Check(tx, tables); err == nil {
		return nil
	}
	// The definition relied on may be older than the transaction, or be none.
	defined, err := p.TablesAt(ctx, header.ID)
	if err != nil {
		return err
	}
	for _, t := range defined {
		tables[t.Name] = t
	}
	return p.Tampering(sent.Check(tx, tables))
}

// definition returns the definition of a table that is relied on. If there is none, the
// driver asks for a row, which makes the server describe the table. The result is nil if
// that does not tell either, for whatever reason: then the history does.
func (c *Conn) definition(ctx context.Context, p *trust.Prover, name string) *proof.Table {
	if t := p.Table(name); t != nil {
		return t
	}
	columns, list, err := c.collect(ctx, "SELECT * FROM "+quoteName(name)+" LIMIT 1", nil)
	if err != nil || len(list) == 0 {
		return nil
	}
	hint, err := c.primaryKey(ctx, name)
	if err != nil {
		return nil
	}
	var pk []any
	for _, column := range hint {
		if i := slices.Index(columns.names, column); i >= 0 {
			pk = append(pk, list[0].values[i])
		}
	}
	if _, err := c.verifyRow(ctx, name, 0, pk); err != nil {
		return nil
	}
	return p.Table(name)
}
