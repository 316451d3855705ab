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
	FirstUse bool // trust what the server shows where nothing is trusted yet
	Commits  bool // commits are going to be proven
	// Pin is a state that is trusted of the database Pinned. TxID 0: none.
	Pin    proof.State
	Pinned string
	Key    *ecdsa.PublicKey // nil: signatures are not asked for
	Store  Store
}

// Trust is what is trusted of databases.
type Trust struct {
	Options

	mu        sync.Mutex
	histories map[storeKey]*history
}

// New returns a Trust for the given options.
func New(o Options) *Trust { return &Trust{Options: o, histories: make(map[storeKey]*history)} }

// Prover returns a prover of what server says of a database.
func (t *Trust) Prover(server Server, database string) *Prover {
	return &Prover{history: t.history(server, database), server: server}
}

func (t *Trust) history(server Server, database string) *history {
	key := storeKey{server.UUID, database}
	t.mu.Lock()
	defer t.mu.Unlock()
	h := t.histories[key]
	if h == nil {
		h = &history{trust: t, id: key, host: server.Host, turn: make(chan struct{}, 1),
			schema: schema{turn: make(chan struct{}, 1)}}
		if database == t.Pinned {
			h.pin = t.Pin
		}
		t.histories[key] = h
	}
	return h
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
