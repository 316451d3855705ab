// Package trust keeps what a client trusts of the histories of databases and
// proves what servers say of them.
//
// A [Trust] belongs to a connector. Of each database it keeps a [State], which only
// moves forward: in memory and, through a [Store], wherever the user said. A [Prover]
// asks one server for proofs through the [Call] that it was given and checks them
// against that state. The package knows no connection, no session and no SQL: the
// errors of a Call pass through it unchanged.
package trust

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/immudb-go/immudb/internal/proof"
	"github.com/immudb-go/immudb/internal/wire"
)

// Call makes a call that changes nothing on the server.
type Call func(ctx context.Context, method string, req []byte) (wire.Raw, error)

// Server is a server that a [Prover] asks, and what the user calls the database.
type Server struct {
	UUID string // what the server calls itself
	Host string // where it was reached
	Call Call
	// Refused reports whether err, an error of Call, is a refusal of the server that a
	// missing history may be the reason for: something was not found, or the server
	// did not say why.
	Refused func(err error) bool
}

// Options say what is trusted and what is asked for.
type Options struct {
	// History is what the user calls the histories of this Trust, "" if nothing.
	// Databases of one name need names of their own if they are different ones.
	History  string
	FirstUse bool // trust what the server shows where nothing is trusted yet
	Commits  bool // commits are going to be proven
	// Pin is a state that is trusted of the database Pinned. TxID 0: none.
	Pin    proof.State
	Pinned string
	Key    *ecdsa.PublicKey // nil: signatures are not asked for
	Store  Store
	Log    *slog.Logger
}

// Trust is what is trusted of databases.
type Trust struct {
	Options

	mu        sync.Mutex
	histories map[string]*history // by database
}

// New returns a Trust for the given options.
func New(o Options) *Trust { return &Trust{Options: o, histories: make(map[string]*history)} }

// Prover returns a prover of what server says of a database.
func (t *Trust) Prover(server Server, database string) *Prover {
	p := &Prover{history: t.history(database), server: server}
	if p.isNew(server.UUID) {
		p.logNewServer()
	}
	return p
}

// logNewServer says that the history is shown by another server than before. That
// decides nothing: it is the history that has to be the same.
func (p *Prover) logNewServer() {
	p.trust.Log.Warn("immudb: a database is shown by another server than before; its history has to be the same",
		"database", p.id.String(), "host", p.server.Host, "server_uuid", p.server.UUID)
}

func (t *Trust) history(database string) *history {
	t.mu.Lock()
	defer t.mu.Unlock()
	h := t.histories[database]
	if h == nil {
		h = &history{trust: t, id: storeKey{t.History, database}, turn: make(chan struct{}, 1),
			schema: schema{turn: make(chan struct{}, 1)}}
		if database == t.Pinned {
			h.pin = t.Pin
		}
		t.histories[database] = h
	}
	return h
}

// maxServers is how many servers of a database are told apart for the log.
const maxServers = 16

// isNew notes which server is asked, and reports whether it is none of those
// that were asked before.
func (h *history) isNew(uuid string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.servers) == maxServers || slices.Contains(h.servers, uuid) {
		return false
	}
	h.servers = append(h.servers, uuid)
	return len(h.servers) > 1
}

// ParsePin reads a pinned state, tx:hash.
func ParsePin(pin string) (proof.State, error) {
	id, digits, ok := strings.Cut(pin, ":")
	tx, err := strconv.ParseUint(id, 10, 64)
	var hash proof.Digest
	if !ok || err != nil || tx == 0 || hash.UnmarshalText([]byte(digits)) != nil {
		return proof.State{}, errors.New("immudb: a pinned state is tx:hash, a transaction id above 0 and 64 hex digits")
	}
	return proof.State{TxID: tx, Alh: hash}, nil
}

// FormatPin writes what [ParsePin] reads.
func FormatPin(tx uint64, hash proof.Digest) string { return fmt.Sprintf("%d:%s", tx, hash) }
