package immudb

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/immudb-go/immudb/internal/proof"
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
