// Package trust keeps the trusted states of databases, and checks the proofs that
// servers give against them.
//
// A [Trust] belongs to a connector. For each database it keeps a [State], in memory
// and in the [Store] that the user chose. A state only moves forward, to newer
// transactions. A [Prover] asks one server for proofs through its [Call] and checks
// them against the state. The package knows nothing of connections, sessions and
// SQL; it returns the errors of a Call unchanged.
package trust

import (
	"context"
	"crypto/ecdsa"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/immudb-go/immudb/internal/proof"
	"github.com/immudb-go/immudb/internal/wire"
)

// Call makes a call that changes nothing on the server.
type Call func(ctx context.Context, method string, req []byte) (wire.Raw, error)

// Server is a server that a [Prover] asks.
type Server struct {
	UUID string // as the server reports it
	Host string // the address it was reached at
	Call Call
	// Refused reports whether err, an error of Call, may mean that the server lacks
	// part of the history: the server answered that something was not found, or gave
	// no reason.
	Refused func(err error) bool
}

// Options say what is trusted and what is asked for.
type Options struct {
	// History is the user's name for the histories of this Trust, "" by default. It
	// tells different databases of the same name apart.
	History  string
	FirstUse bool // while nothing is trusted yet, trust the state that the server shows
	Commits  bool // commits will be proven
	// Pin is the state that the user trusts for the database Pinned. TxID 0: none.
	Pin    proof.State
	Pinned string
	Key    *ecdsa.PublicKey // nil: signatures are not checked
	Store  Store
	Log    *slog.Logger
}

// Trust holds the trusted states of a connector's databases.
type Trust struct {
	Options

	// Proofs counts what was proven, Contradictions the errors that are a verdict about the
	// server, but for one that is only older.
	Proofs, Contradictions atomic.Uint64

	mu        sync.Mutex
	histories map[string]*history // by database
}

// New returns a Trust for the given options.
func New(o Options) *Trust { return &Trust{Options: o, histories: make(map[string]*history)} }

// Prover returns a prover that asks server about a database.
func (t *Trust) Prover(server Server, database string) *Prover {
	p := &Prover{history: t.history(database), server: server}
	if p.isNew(server.UUID) {
		p.logNewServer()
	}
	return p
}

// logNewServer logs that another server than before serves the database. Trust does
// not depend on the server, only on its history.
func (p *Prover) logNewServer() {
	p.trust.Log.Warn("immudb: a database is served by another server than before; its history must be the same",
		"database", p.id.String(), "host", p.server.Host, "server_uuid", p.server.UUID)
}

func (t *Trust) history(database string) *history {
	t.mu.Lock()
	defer t.mu.Unlock()
	h := t.histories[database]
	if h == nil {
		h = &history{trust: t, id: storeKey{t.History, database}, turn: make(chan struct{}, 1),
			schema: schema{turn: make(chan struct{}, 1)}, rows: knownRows{turn: make(chan struct{}, 1)}}
		if database == t.Pinned {
			h.pin = t.Pin
		}
		t.histories[database] = h
	}
	return h
}

// maxServers bounds how many servers of a database are remembered for the log.
const maxServers = 16

// isNew remembers a server, and reports whether other servers were asked before
// but not this one.
func (h *history) isNew(uuid string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.servers) == maxServers || slices.Contains(h.servers, uuid) {
		return false
	}
	h.servers = append(h.servers, uuid)
	return len(h.servers) > 1
}
