package trust

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/immudb-go/immudb/internal/proof"
)

// history holds the trusted state of one database. The state only moves forward.
//
// A history is identified by the user's names for it (history and database), not by
// the server: every host of a connector, and every server that a process sharing
// the store uses, must show the same history. The server's UUID does not matter.
//
// The state moves by compare-and-swap, in memory and in the store. A state that was
// proven to extend an old state must not replace a newer one that another goroutine
// or process has stored meanwhile: otherwise a server could show each of them a
// different continuation of the history.
type history struct {
	trust *Trust
	id    storeKey
	pin   proof.State // TxID 0: none

	turn chan struct{} // holds a token while a goroutine moves the state

	mu    sync.Mutex
	known bool         // state has been established; if its TxID is 0, the database was empty
	state State        // the trusted state
	chain *proof.Chain // continues state by the next header, see followChain; or nil
	// tables are the definitions whose fingerprints are in state.Tables, by name.
	tables map[string]*proof.Table
	// seen is the newest transaction ever proven; it may be newer than state.
	seen uint64
	// answers is the end of the list of transactions that commits were answered with.
	answers *answered
	// servers are the UUIDs of the servers that were asked.
	servers []string
	// standing are the servers that have shown the trusted history.
	standing []serverKey

	schema schema
	rows   knownRows
}

// proven is the state that a check has proven: the trusted one, or one that extends
// it.
type proven struct {
	state     proof.State
	dual      *proof.DualProof
	signature []byte
}

// snapshot returns the trusted state, and whether there is one.
func (h *history) snapshot() (State, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.state, h.known && h.state.TxID > 0
}

// saw records that a transaction was proven to exist.
func (h *history) saw(tx uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.seen = max(h.seen, tx)
}

// enter waits until the caller alone may move the state. The caller then holds the
// turn until it calls leave.
func (h *history) enter(ctx context.Context) (leave func(), err error) {
	select {
	case h.turn <- struct{}{}:
		return func() { <-h.turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// believe makes a definition that only the server has claimed the one that is
// relied on. It reports false if another one is relied on, or if the table was
// dropped. The caller holds the turn.
func (h *history) believe(ctx context.Context, t *proof.Table) (bool, error) {
	for {
		old, _ := h.snapshot()
		if relied, ok := old.Tables[t.Name]; ok && relied != t.Fingerprint() || old.dropped(t.ID) {
			return false, nil
		}
		if ok, err := h.relyOver(ctx, old, nil, t); ok || err != nil {
			return ok, err
		}
	}
}

// relyOver adds definitions and dropped tables to the trusted state old. It reports
// false if old is not the trusted state any more. The caller holds the turn.
func (h *history) relyOver(ctx context.Context, old State, dropped []uint32, tables ...*proof.Table) (bool, error) {
	newer := old.Clone()
	if newer.Tables == nil {
		newer.Tables = make(map[string]proof.Digest)
	}
	for _, t := range tables {
		newer.Tables[t.Name] = t.Fingerprint()
	}
	for _, id := range dropped {
		if !newer.dropped(id) {
			newer.DroppedTables = append(newer.DroppedTables, id)
		}
	}
	slices.Sort(newer.DroppedTables)
	if !newer.same(old) {
		if ok, err := h.swap(ctx, old, newer); !ok || err != nil {
			return false, err
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.tables == nil {
		h.tables = make(map[string]*proof.Table)
	}
	for _, t := range tables {
		h.tables[t.Name] = t
	}
	return true, nil
}

// swap replaces old by newer in the store and in memory. If the store holds another
// state than old, swap reports false, and that state becomes the trusted one; it is
// an error if it is older than the trusted one.
func (h *history) swap(ctx context.Context, old, newer State) (bool, error) {
	ok, err := h.trust.Store.Swap(ctx, old, newer)
	if err != nil {
		return false, err
	}
	if !ok {
		if newer, err = h.reload(ctx); err != nil {
			return false, err
		}
	}
	h.take(newer)
	return ok, nil
}

// take makes a state that is stored the trusted one in memory.
func (h *history) take(newer State) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if newer.TxID != h.state.TxID {
		h.chain = nil
	}
	maps.DeleteFunc(h.tables, func(name string, t *proof.Table) bool {
		return newer.Tables[name] != t.Fingerprint() || newer.dropped(t.ID)
	})
	h.state, h.known = newer, true
}

// refresh takes the state that is stored, which another user of the store may have
// moved.
func (h *history) refresh(ctx context.Context) (State, error) {
	leave, err := h.enter(ctx)
	if err != nil {
		return State{}, err
	}
	defer leave()
	stored, err := h.reload(ctx)
	if err == nil {
		h.take(stored)
	}
	return stored, err
}

// reload returns the state that another process has stored. That process has proven
// that it extends the one stored before. An older state, or none, means that the
// store was restored from a backup or deleted, and is an error.
func (h *history) reload(ctx context.Context) (State, error) {
	stored, found, err := h.load(ctx)
	if err != nil {
		return State{}, err
	}
	now, _ := h.snapshot()
	switch {
	case !found:
		return State{}, &Error{Kind: StateMissing, SQLState: "55000", Message: fmt.Sprintf("the stored state of database %s was deleted while it was in use: "+
			"restore it, or restart the program to trust the state that the server shows then", h.id)}
	case stored.TxID < now.TxID || stored.TxID == now.TxID && stored.Hash != now.Hash:
		return State{}, &Error{SQLState: "55000", Message: fmt.Sprintf("the stored state of database %s went back from %s to %s while it was in use: "+
			"restore the newer one", h.id, now.Pin(), stored.Pin())}
	}
	return stored, nil
}

// load returns the stored state. found is false if there is none.
func (h *history) load(ctx context.Context) (s State, found bool, err error) {
	s, err = h.trust.Store.Load(ctx, h.id.history, h.id.database)
	switch {
	case err == nil:
		return s, true, nil
	case errors.Is(err, ErrNotStored):
		return State{}, false, nil
	}
	return State{}, false, fmt.Errorf("immudb: trusted state: %w", err)
}
