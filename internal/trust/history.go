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

// history is what is trusted of the history of one database. Its state only
// moves forward.
//
// It belongs to what the user calls the database, whichever server shows it: every
// host of a connector, and every process that shares a store, has to show the same
// history. What a server calls itself is no part of that.
//
// A state moves by compare-and-swap, in memory and in the store alike: what was
// proven to extend one state must not replace another that somebody else has
// moved on to meanwhile, for a server could show each of them a future of its
// own.
type history struct {
	trust *Trust
	id    storeKey
	pin   proof.State // TxID 0: none

	turn chan struct{} // holds a token while somebody moves the state

	mu    sync.Mutex
	known bool  // state has been established; if its TxID is 0, the database was empty
	state State // what is trusted
	chain *proof.Chain
	// tables are the definitions of state.Tables themselves, by name.
	tables map[string]*proof.Table
	// seen is the newest transaction that was ever proven, which the state need not
	// have been moved to.
	seen uint64
	// answers is the end of the list of transactions that commits were answered with.
	answers *answered
	// servers are the UUIDs of the servers that were asked.
	servers []string

	schema schema
}

// proven is what a check has proven: a state that extends the trusted one, or
// is that.
type proven struct {
	state     proof.State
	dual      *proof.DualProof
	signature []byte
}

// snapshot returns what is trusted, and whether anything is.
func (h *history) snapshot() (State, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.state, h.known && h.state.TxID > 0
}

// saw notes that a transaction was proven to be there.
func (h *history) saw(tx uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.seen = max(h.seen, tx)
}

// enter waits for the turn to move the state. leave gives it back.
func (h *history) enter(ctx context.Context) (leave func(), err error) {
	select {
	case h.turn <- struct{}{}:
		return func() { <-h.turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// believe makes a definition that only the server vouches for the one that is
// relied on, in turn. It reports false if another one is already, or the table was
// dropped.
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

// relyOver adds definitions and dropped tables to the trusted state old, in turn,
// and reports whether that was still the trusted one.
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

// swap replaces old by newer in the store and in memory. If the store has
// another one, that is what is trusted from now on, unless it is behind.
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
	h.mu.Lock()
	defer h.mu.Unlock()
	if newer.TxID != h.state.TxID {
		h.chain = nil
	}
	maps.DeleteFunc(h.tables, func(name string, t *proof.Table) bool {
		return newer.Tables[name] != t.Fingerprint() || newer.dropped(t.ID)
	})
	h.state, h.known = newer, true
	return ok, nil
}

// reload returns what somebody else has stored. Whoever did so has proven it to
// extend what was stored before, unless the store was put back.
func (h *history) reload(ctx context.Context) (State, error) {
	stored, found, err := h.load(ctx)
	if err != nil {
		return State{}, err
	}
	now, _ := h.snapshot()
	switch {
	case !found:
		return State{}, &Error{Kind: StateMissing, SQLState: "55000", Message: fmt.Sprintf("the stored state of database %s was deleted while it was in use: "+
			"put it back, or start the program anew to trust what the server shows then", h.id)}
	case stored.TxID < now.TxID || stored.TxID == now.TxID && stored.Hash != now.Hash:
		return State{}, &Error{SQLState: "55000", Message: fmt.Sprintf("the stored state of database %s was put back, from %s to %s, while it was in use: "+
			"store the newer one", h.id, now.Pin(), stored.Pin())}
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
