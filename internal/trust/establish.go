package trust

import (
	"context"
	"fmt"

	"github.com/immudb-go/immudb/internal/proof"
	"github.com/immudb-go/immudb/internal/wire"
)

// Establish returns the trusted state. The first time it finds out what that
// is, and that the server still stands by it.
func (p *Prover) Establish(ctx context.Context) (State, error) {
	if s, ok := p.snapshot(); ok {
		return s, nil
	}
	leave, err := p.enter(ctx)
	if err != nil {
		return State{}, err
	}
	defer leave()
	return p.establishInTurn(ctx)
}

func (p *Prover) establishInTurn(ctx context.Context) (State, error) {
	if s, ok := p.snapshot(); ok {
		return s, nil
	}
	stored, found, err := p.load(ctx)
	if err != nil {
		return State{}, err
	}
	begin, isNeighbour := stored, false
	if !found {
		if begin, isNeighbour, err = p.first(ctx); err != nil {
			return State{}, err
		}
	}
	head, err := p.head(ctx)
	if err != nil {
		return State{}, err
	}
	if begin.TxID == 0 { // first use
		return p.trustHead(ctx, begin, head)
	}
	if err := p.leadsTo(ctx, begin, head.state); err != nil {
		if isNeighbour {
			err = p.impostor(ctx, err)
		}
		return State{}, err
	}
	if found || isNeighbour {
		if err := p.holdsPin(ctx, begin, head.state); err != nil {
			return State{}, err
		}
	}
	if found {
		p.mu.Lock()
		p.state, p.known = begin, true
		p.mu.Unlock()
		return begin, nil
	}
	_, err = p.swap(ctx, State{}, begin)
	s, _ := p.snapshot()
	return s, err
}

// trustHead trusts what the server shows. An empty database has no state to
// store, but its history can be followed from its first transaction on.
func (p *Prover) trustHead(ctx context.Context, s State, head proven) (State, error) {
	if head.state.TxID == 0 {
		p.mu.Lock()
		p.state, p.known, p.chain = s, true, proof.NewChain()
		p.mu.Unlock()
		return s, nil
	}
	s.TxID, s.Hash, s.Signature = head.state.TxID, head.state.Alh, head.signature
	_, err := p.swap(ctx, State{}, s)
	s, _ = p.snapshot()
	return s, err
}

// leadsTo checks that the newest transaction extends the trusted one. Nothing
// moves.
func (p *Prover) leadsTo(ctx context.Context, trusted State, head proof.State) error {
	if head.TxID < trusted.TxID {
		return p.older(head, trusted)
	}
	_, err := p.proveHead(ctx, trusted, head)
	return err
}

// holdsPin checks that the pinned state is part of the trusted history, which
// goes on to head.
func (p *Prover) holdsPin(ctx context.Context, trusted State, head proof.State) error {
	switch {
	case p.pin.TxID == 0 || p.pin == trusted.proof():
		return nil
	case head.TxID < p.pin.TxID:
		return p.older(head, State{TxID: p.pin.TxID})
	}
	_, err := p.try(ctx, trusted, func(ctx context.Context, trusted State) (proven, error) {
		tx, pr, err := p.proveTx(ctx, trusted, p.pin.TxID, wire.NoEntries)
		if err != nil {
			return pr, err
		}
		return pr, p.expect(tx, p.pin, "trusted_state is part of the history")
	})
	return err
}

// expect checks that a proven transaction is the one that s names.
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

// impostor says of a server that does not show the history of the one that was
// at its place before that it is another one. One that is older may yet come to
// show it.
func (p *Prover) impostor(ctx context.Context, cause error) error {
	if !is(cause, Tampered, ServerOlder) {
		return cause
	}
	before, _, err := p.neighbour(ctx)
	if err != nil {
		return err
	}
	if is(cause, ServerOlder) {
		return &Error{
			Message: fmt.Sprintf("the server at %s is %s, not %s as before: it is a replica that lags behind, or has nothing to do with that one "+
				"(if it was replaced on purpose, delete the state of the old one)", p.host, p.id.serverUUID, before.ServerUUID),
			SQLState: "XX001",
			Kind:     ServerOlder,
			Cause:    cause,
		}
	}
	return p.tampered(&Tampering{
		Check: "the server is the one that was at this address before, or shows the same history " +
			"(if it was replaced on purpose, delete the state of the old one)",
		Expected: before.ServerUUID, Found: p.id.serverUUID,
	})
}
