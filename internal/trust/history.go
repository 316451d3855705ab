package trust

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"

	"github.com/immudb-go/immudb/internal/proof"
)

// history is the history of one database on one server, as far as it is
// trusted. Its state only moves forward.
//
// A state moves by compare-and-swap, in memory and in the store alike: what was
// proven to extend one state must not replace another that somebody else has
// moved on to meanwhile, for a server could show each of them a future of its
// own.
type history struct {
	trust *Trust
	id    storeKey
	host  string
	pin   proof.State // TxID 0: none

	turn chan struct{} // holds a token while somebody moves the state

	mu    sync.Mutex
	known bool  // state has been established; if its TxID is 0, the database was empty
	state State // what is trusted
	chain *proof.Chain
	// tables are the definitions of state.Tables themselves, by name.
	tables map[string]*proof.Table

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

// enter waits for the turn to move the state. leave gives it back.
func (h *history) enter(ctx context.Context) (leave func(), err error) {
	select {
	case h.turn <- struct{}{}:
		return func() { <-h.turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// advance moves the state from trusted to what was proven against it, in turn,
// and reports whether it did. If not, somebody else has moved it, and snapshot
// tells where to.
func (h *history) advance(ctx context.Context, trusted State, p proven) (bool, error) {
	if now, _ := h.snapshot(); !now.same(trusted) {
		return false, nil
	}
	if p.state == trusted.proof() {
		return true, nil
	}
	newer := trusted
	newer.TxID, newer.Hash, newer.Signature = p.state.TxID, p.state.Alh, p.signature
	if ok, err := h.swap(ctx, trusted, newer); !ok || err != nil {
		return false, err
	}
	if h.trust.Commits && h.trust.Key == nil && p.dual != nil {
		// Where the tree lags, there is none; then every commit is asked for.
		chain, err := proof.ChainFrom(p.state, p.dual)
		if err != nil {
			chain = nil
		}
		h.mu.Lock()
		h.chain = chain
		h.mu.Unlock()
	}
	return true, nil
}

// pinTables makes proven definitions of tables those that are relied on, in
// turn.
func (h *history) pinTables(ctx context.Context, tables ...*proof.Table) error {
	for {
		old, _ := h.snapshot()
		if ok, err := h.pinOver(ctx, old, tables...); ok || err != nil {
			return err
		}
	}
}

// believe makes a definition that only the server vouches for the one that is
// relied on, in turn. It reports false if another one is already.
func (h *history) believe(ctx context.Context, t *proof.Table) (bool, error) {
	for {
		old, _ := h.snapshot()
		if pinned, ok := old.Tables[t.Name]; ok && pinned != t.Fingerprint() {
			return false, nil
		}
		if ok, err := h.pinOver(ctx, old, t); ok || err != nil {
			return ok, err
		}
	}
}

// pinOver adds table definitions to the trusted state old, in turn, and reports
// whether that was still the trusted one.
func (h *history) pinOver(ctx context.Context, old State, tables ...*proof.Table) (bool, error) {
	newer := old
	if newer.Tables = maps.Clone(old.Tables); newer.Tables == nil {
		newer.Tables = make(map[string]proof.Digest)
	}
	for _, t := range tables {
		newer.Tables[t.Name] = t.Fingerprint()
	}
	if !maps.Equal(newer.Tables, old.Tables) {
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
	maps.DeleteFunc(h.tables, func(name string, t *proof.Table) bool { return newer.Tables[name] != t.Fingerprint() })
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
		return State{}, &Error{Kind: StateMissing, SQLState: "55000", Message: fmt.Sprintf("the stored state of database %s on the server at %s was deleted while it was in use: "+
			"put it back, or start the program anew to trust what the server shows then", h.id.database, h.host)}
	case stored.TxID < now.TxID || stored.TxID == now.TxID && stored.Hash != now.Hash:
		return State{}, &Error{SQLState: "55000", Message: fmt.Sprintf("the stored state of database %s on the server at %s was put back, from %s to %s, while it was in use: "+
			"store the newer one", h.id.database, h.host, now.Pin(), stored.Pin())}
	}
	return stored, nil
}

// neighbour looks for the state of the same database on a server that was at
// the same place under another UUID: a replica behind the same address, or an
// impostor.
func (h *history) neighbour(ctx context.Context) (State, bool, error) {
	states, err := h.trust.Store.States(ctx)
	if err != nil {
		return State{}, false, err
	}
	var found State
	for _, s := range states {
		if s.Host == h.host && s.Database == h.id.database && s.TxID > found.TxID {
			found = s
		}
	}
	return found, found.TxID > 0, nil
}

// first returns the state to begin with, of which the store knows nothing yet.
// Its TxID is 0 where only the server can tell.
func (h *history) first(ctx context.Context) (s State, isNeighbour bool, err error) {
	if s, isNeighbour, err = h.neighbour(ctx); err != nil {
		return State{}, false, err
	}
	if !isNeighbour && h.pin.TxID > 0 {
		s = State{TxID: h.pin.TxID, Hash: h.pin.Alh}
	}
	if s.TxID == 0 && !h.trust.FirstUse {
		return State{}, false, &Error{
			Kind: StateMissing,
			Message: fmt.Sprintf("nothing is trusted of database %s on the server at %s: pin a state with trusted_state=tx:hash, "+
				"name a state_dir that knows it, or say verify=trust-first-use to trust what the server shows now", h.id.database, h.host),
			SQLState: "55000",
		}
	}
	s.ServerUUID, s.Database, s.Host, s.Signature = h.id.serverUUID, h.id.database, h.host, nil
	return s, isNeighbour, nil
}

// load returns the stored state. found is false if there is none.
func (h *history) load(ctx context.Context) (s State, found bool, err error) {
	s, err = h.trust.Store.Load(ctx, h.id.serverUUID, h.id.database)
	switch {
	case err == nil:
		return s, true, nil
	case errors.Is(err, ErrNotStored):
		return State{}, false, nil
	}
	return State{}, false, fmt.Errorf("immudb: trusted state: %w", err)
}
