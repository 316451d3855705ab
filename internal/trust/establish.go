package trust

import (
	"context"
	"fmt"

	"github.com/immudb-go/immudb/internal/proof"
	"github.com/immudb-go/immudb/internal/wire"
)

// Establish returns the trusted state. On its first call it takes the state from
// the store, the pin or, with FirstUse, the server, and checks that the server's
// history contains it.
func (p *Prover) Establish(ctx context.Context) (State, error) {
	if s, ok := p.snapshot(); ok {
		return s, nil
	}
	leave, err := p.enter(ctx)
	if err != nil {
		return State{}, err
	}
	defer leave()
	_, known := p.snapshot()
	s, err := p.establishInTurn(ctx)
	if err == nil && !known {
		p.nowStanding() // the server has just shown it
	}
	return s, err
}

func (p *Prover) establishInTurn(ctx context.Context) (State, error) {
	if s, ok := p.snapshot(); ok {
		return s, nil
	}
	stored, found, err := p.load(ctx)
	switch {
	case err != nil:
		return State{}, err
	case !found && p.pin.TxID == 0:
		return p.firstUse(ctx)
	case found && stored.ServerUUID != p.server.UUID:
		p.logNewServer()
	}
	newest := stored
	if p.pin.TxID > stored.TxID {
		newest = p.moved(stored, p.pin, nil)
		if !found {
			newest = newest.begun()
		}
	}
	if err := p.standsBy(ctx, stored, newest); err != nil {
		return State{}, err
	}
	if newest.same(stored) {
		p.mu.Lock()
		p.state, p.known = stored, true
		p.mu.Unlock()
		return stored, nil
	}
	// Store the pin, so that other users of the store that have no pin never trust an
	// older state.
	_, err = p.swap(ctx, stored, newest)
	s, _ := p.snapshot()
	return s, err
}

// standsBy checks that the server shows one history that contains the stored state,
// the pin and the newest transaction. It does not move the trusted state.
func (p *Prover) standsBy(ctx context.Context, stored, newest State) error {
	head, err := p.head(ctx)
	if err != nil {
		return err
	}
	err = p.leadsTo(ctx, newest, head.state)
	if err == nil && stored.TxID > 0 && p.pin.TxID > 0 {
		older := p.pin
		if newest.TxID != stored.TxID {
			older = stored.proof()
		}
		err = p.holds(ctx, newest, older)
	}
	if stored.TxID > 0 {
		err = p.anotherServer(stored, err)
	}
	return err
}

// firstUse trusts the state that the server shows, if FirstUse is set. An empty
// database has no state to store, but its history can be followed from its first
// transaction on.
func (p *Prover) firstUse(ctx context.Context) (State, error) {
	if !p.trust.FirstUse {
		return State{}, p.nothingTrusted()
	}
	head, err := p.head(ctx)
	if err != nil {
		return State{}, err
	}
	s := p.moved(State{}, head.state, head.signature)
	first := !p.known
	switch {
	case first && head.state.TxID > 0:
		s = s.begun()
	case head.state.TxID > 0:
		if err := p.sinceEmpty(ctx, head.state); err != nil {
			return State{}, err
		}
	default:
		s.Hash = proof.Digest{}
		p.mu.Lock()
		p.state, p.known, p.chain = s, true, proof.NewChain()
		p.mu.Unlock()
		p.firstTrusted(s)
		return s, nil
	}
	stored, err := p.swap(ctx, State{}, s)
	if stored && first {
		p.firstTrusted(s)
	}
	s, _ = p.snapshot()
	return s, err
}

// sinceEmpty reads the whole history of a database that was empty, and checks that
// it leads to the server's newest transaction.
func (p *Prover) sinceEmpty(ctx context.Context, head proof.State) error {
	chain := proof.NewChain()
	if err := p.replay(ctx, chain, head.TxID, wire.KeysOnly, func(*proof.Tx) error { return nil }); err != nil {
		return err
	}
	if at := chain.State(); at != head {
		return p.Tampering(&proof.Error{Check: "the history of a database that was empty leads to its newest transaction", TxID: head.TxID,
			Expected: at.Alh.String(), Found: head.Alh.String()})
	}
	return nil
}

func (p *Prover) nothingTrusted() error {
	return &Error{
		Kind: StateMissing,
		Message: fmt.Sprintf("nothing is trusted of database %s on the server at %s: pin a state with trusted_state=tx:hash, "+
			"name a state_dir that holds one, or set verify=trust-first-use to trust the state that the server shows now", p.id, p.server.Host),
		SQLState: "55000",
	}
}

// leadsTo checks that the newest transaction extends the trusted one. It does not
// move the trusted state.
func (p *Prover) leadsTo(ctx context.Context, trusted State, head proof.State) error {
	if head.TxID < trusted.TxID {
		return p.older(head, trusted)
	}
	if _, err := p.proveHead(ctx, trusted, head); err != nil {
		return err
	}
	p.saw(head.TxID)
	return nil
}

// holds checks that an older state is part of the trusted history.
func (p *Prover) holds(ctx context.Context, trusted State, older proof.State) error {
	if older == trusted.proof() {
		return nil
	}
	if older.TxID == trusted.TxID {
		return p.Tampering(&proof.Error{Check: "the stored state and trusted_state are of one history", TxID: older.TxID,
			Expected: trusted.Hash.String(), Found: older.Alh.String()})
	}
	_, err := p.try(ctx, trusted, func(ctx context.Context, trusted State) (proven, error) {
		tx, pr, err := p.proveTx(ctx, trusted, older.TxID, wire.NoEntries)
		if err != nil {
			return pr, err
		}
		return pr, p.expect(tx, older, "the stored state and trusted_state are of one history")
	})
	return err
}

// expect checks that a proven transaction has the hash of s.
func (p *Prover) expect(h *proof.Header, s proof.State, what string) error {
	alh, err := h.Alh()
	if err != nil {
		return p.Tampering(err)
	}
	if alh != s.Alh {
		return p.Tampering(&proof.Error{Check: what, TxID: s.TxID, Expected: s.Alh.String(), Found: alh.String()})
	}
	return nil
}

// anotherServer explains cause, if the stored state came from a server with another
// UUID, which is then the likely reason.
func (p *Prover) anotherServer(stored State, cause error) error {
	switch {
	case stored.ServerUUID == p.server.UUID:
		return cause
	case is(cause, ServerOlder):
		return &Error{
			Message: fmt.Sprintf("the server at %s is %s, not %s as before: it is a replica that lags behind, or has another database of that name "+
				"(then set history= in its DSN; if the old one was replaced on purpose, delete its state)", p.server.Host, p.server.UUID, stored.ServerUUID),
			SQLState: "XX001",
			Kind:     ServerOlder,
			Cause:    cause,
		}
	case is(cause, Tampered):
		return p.tampered(&Tampering{
			Check: "the server shows the history that is trusted of database " + p.id.String() +
				" (if it is another database of that name, set history= in its DSN; if the old one was replaced on purpose, delete its state)",
			Expected: stored.ServerUUID, Found: p.server.UUID,
		})
	}
	return cause
}
