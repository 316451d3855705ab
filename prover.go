package immudb

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"

	"github.com/immudb-go/immudb/internal/proof"
	"github.com/immudb-go/immudb/internal/wire"
)

// prover asks the server of a connection for proofs and checks them against what
// is trusted of a database. Several goroutines may use one.
type prover struct {
	*history
	conn *Conn
}

// prover proves what is said of the database that c is in, by the name that the
// server gives it: in lower case, whatever it was asked for.
func (c *Conn) prover() *prover {
	return &prover{c.connector.trust.history(c.session(), strings.ToLower(c.Database())), c}
}

// call makes a call that changes nothing.
func (p *prover) call(ctx context.Context, method string, req []byte) (wire.Raw, error) {
	var ans wire.Raw
	err := p.conn.call(ctx, reads, "", method, req, &ans)
	return ans, err
}

// head asks for the newest transaction, whose signature is checked.
func (p *prover) head(ctx context.Context) (proven, error) {
	msg, err := p.call(ctx, wire.MethodCurrentState, nil)
	if err != nil {
		return proven{}, err
	}
	s, err := wire.DecodeSignedState(msg)
	if err != nil {
		return proven{}, p.notAProof(err)
	}
	head := proven{state: s.State, signature: s.Signature}
	return head, p.checkSignature(head)
}

func (p *prover) checkSignature(pr proven) error {
	if p.trust.key == nil || pr.state.TxID == 0 { // of an empty database there is nothing to sign
		return nil
	}
	if err := pr.state.VerifySignature(p.trust.key, p.id.database, pr.signature); err != nil {
		return p.tampering(err)
	}
	return nil
}

// A check asks for something, proves it against the trusted state and keeps
// what it has proven for its caller. It may be run again against a newer state.
type check func(ctx context.Context, trusted State) (proven, error)

// verify runs a check and moves the trusted state to what it has proven.
func (p *prover) verify(ctx context.Context, c check) error {
	trusted, err := p.establish(ctx)
	if err != nil {
		return err
	}
	// Most checks prove something older than the state, which then stays.
	pr, err := p.try(ctx, trusted, c)
	if errors.Is(err, proof.ErrNoState) { // the database was empty and is not any more
		if trusted, err = p.establish(ctx); err == nil {
			pr, err = p.try(ctx, trusted, c)
		}
		if errors.Is(err, proof.ErrNoState) {
			err = p.tampering(&proof.Error{Check: "a database that is empty has no transactions"})
		}
	}
	if err != nil || pr.state == trusted.proof() {
		return err
	}
	leave, err := p.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if ok, err := p.advance(ctx, trusted, pr); ok || err != nil {
		return err
	}
	return p.verifyInTurn(ctx, c)
}

// verifyInTurn is verify for who has the turn.
func (p *prover) verifyInTurn(ctx context.Context, c check) error {
	for {
		trusted, _ := p.snapshot()
		pr, err := p.try(ctx, trusted, c)
		if err != nil {
			return err
		}
		if ok, err := p.advance(ctx, trusted, pr); ok || err != nil {
			return err
		}
		// Another process has moved the stored state.
	}
}

// try runs a check once and checks the signature of what it has proven.
func (p *prover) try(ctx context.Context, trusted State, c check) (proven, error) {
	pr, err := c(ctx, trusted)
	if err == nil {
		err = p.checkSignature(pr)
	}
	return pr, p.explain(ctx, trusted, err)
}

// explain tells a server that does not show the trusted history any more from
// one that says no for another reason: a no cannot be proven.
func (p *prover) explain(ctx context.Context, trusted State, err error) error {
	var e *Error
	if !errors.As(err, &e) || errors.Is(err, driver.ErrBadConn) || trusted.TxID == 0 {
		return err
	}
	switch e.kind {
	case nil, errNoSuchKey, ErrNoSuchTable, ErrNoSuchColumn:
	default:
		return err
	}
	head, verdict := p.head(ctx)
	if verdict == nil {
		verdict = p.leadsTo(ctx, trusted, head.state)
	}
	if isVerdict(verdict) {
		return verdict
	}
	return err
}

// proveHead proves that the newest transaction extends the trusted one.
func (p *prover) proveHead(ctx context.Context, trusted State, head proof.State) (proven, error) {
	tx, pr, err := p.proveTx(ctx, trusted, head.TxID, wire.NoEntries)
	if err != nil {
		return pr, err
	}
	return pr, p.expect(tx, head, "the newest transaction is the one that the server says it is")
}

func (p *prover) older(head proof.State, trusted State) error {
	return &Error{
		Message: fmt.Sprintf("database %s on the server at %s ends with tx %d, but tx %d of it is trusted: it was restored from a backup, "+
			"lost transactions, or is a replica that lags behind", p.id.database, p.host, head.TxID, trusted.TxID),
		SQLState: "XX001",
		kind:     ErrServerOlder,
	}
}

// establish returns the trusted state. The first time it finds out what that
// is, and that the server still stands by it.
func (p *prover) establish(ctx context.Context) (State, error) {
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

func (p *prover) establishInTurn(ctx context.Context) (State, error) {
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
func (p *prover) trustHead(ctx context.Context, s State, head proven) (State, error) {
	if head.state.TxID == 0 {
		p.mu.Lock()
		p.state, p.known, p.chain = s, true, proof.NewChain()
		p.mu.Unlock()
		return s, nil
	}
	s.TxID, s.Hash, s.Signature = head.state.TxID, Hash(head.state.Alh), head.signature
	_, err := p.swap(ctx, State{}, s)
	s, _ = p.snapshot()
	return s, err
}

// leadsTo checks that the newest transaction extends the trusted one. Nothing
// moves.
func (p *prover) leadsTo(ctx context.Context, trusted State, head proof.State) error {
	if head.TxID < trusted.TxID {
		return p.older(head, trusted)
	}
	_, err := p.proveHead(ctx, trusted, head)
	return err
}

// holdsPin checks that the pinned state is part of the trusted history, which
// goes on to head.
func (p *prover) holdsPin(ctx context.Context, trusted State, head proof.State) error {
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
func (p *prover) expect(h *proof.Header, s proof.State, what string) error {
	alh, err := h.Alh()
	if err != nil {
		return p.tampering(err)
	}
	if alh != s.Alh {
		return p.tampering(&proof.Error{Check: what, TxID: s.TxID, Expected: s.Alh.String(), Found: alh.String()})
	}
	return nil
}

// impostor says of a server that does not show the history of the one that was
// at its place before that it is another one. One that is older may yet come to
// show it.
func (p *prover) impostor(ctx context.Context, cause error) error {
	if !errors.Is(cause, ErrTampered) && !errors.Is(cause, ErrServerOlder) {
		return cause
	}
	before, _, err := p.neighbour(ctx)
	if err != nil {
		return err
	}
	if errors.Is(cause, ErrServerOlder) {
		return &Error{
			Message: fmt.Sprintf("the server at %s is %s, not %s as before: it is a replica that lags behind, or has nothing to do with that one "+
				"(if it was replaced on purpose, delete the state of the old one)", p.host, p.id.serverUUID, before.ServerUUID),
			SQLState: "XX001",
			kind:     ErrServerOlder,
			cause:    cause,
		}
	}
	return tampered(&Tampering{
		Check: "the server is the one that was at this address before, or shows the same history " +
			"(if it was replaced on purpose, delete the state of the old one)",
		Expected: before.ServerUUID, Found: p.id.serverUUID,
		ServerUUID: p.id.serverUUID, Database: p.id.database, Host: p.host,
	})
}

// catchUp moves the trusted state to the newest transaction and returns it.
func (p *prover) catchUp(ctx context.Context) (State, error) {
	err := p.verify(ctx, func(ctx context.Context, trusted State) (proven, error) {
		head, err := p.head(ctx)
		if err != nil {
			return proven{}, err
		}
		switch {
		case head.state.TxID < trusted.TxID:
			return proven{}, p.older(head.state, trusted)
		case head.state.TxID == 0: // the database is empty
			return proven{state: trusted.proof()}, nil
		}
		return p.proveHead(ctx, trusted, head.state)
	})
	trusted, _ := p.snapshot()
	return trusted, err
}

// fetchTx asks for a transaction with a proof that ties it to the trusted one.
func (p *prover) fetchTx(ctx context.Context, trusted State, id uint64, d wire.EntryDetail) (*wire.VerifiableTx, error) {
	msg, err := p.call(ctx, wire.MethodVerifiableTx, wire.VerifiableTxRequest(id, trusted.TxID, d))
	if err != nil {
		return nil, err
	}
	v, err := wire.DecodeVerifiableTx(msg)
	if err != nil {
		return nil, p.notAProof(err)
	}
	return v, nil
}

// proveTx asks for a transaction and proves that it belongs to the trusted
// history.
func (p *prover) proveTx(ctx context.Context, trusted State, id uint64, d wire.EntryDetail) (*proof.Header, proven, error) {
	v, err := p.fetchTx(ctx, trusted, id, d)
	if err != nil {
		return nil, proven{}, err
	}
	h, s, err := p.proveDual(ctx, trusted, v.Dual, id)
	return h, proven{s, v.Dual, v.Signature}, err
}

// proveDual checks a dual proof between the trusted state and transaction id.
func (p *prover) proveDual(ctx context.Context, trusted State, dual *proof.DualProof, id uint64) (*proof.Header, proof.State, error) {
	h, s, err := dual.Prove(trusted.proof(), id)
	if errors.Is(err, proof.ErrUnlinked) {
		var v *wire.VerifiableTx
		if v, err = p.fetchTx(ctx, State{TxID: dual.Target.BlTxID}, dual.Source.ID, wire.NoEntries); err != nil {
			return nil, s, err
		}
		if v.Dual != nil {
			dual.BlLinear = v.Dual.Linear
		}
		h, s, err = dual.Prove(trusted.proof(), id)
	}
	if err != nil {
		return nil, s, p.tampering(err)
	}
	return h, s, nil
}

// proveCommit proves that the transaction whose header a commit was answered
// with extends the trusted history.
func (p *prover) proveCommit(ctx context.Context, header *proof.Header) error {
	leave, err := p.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	alh, err := header.Alh()
	if err != nil {
		return p.tampering(err)
	}
	committed := proof.State{TxID: header.ID, Alh: alh}
	if ok, err := p.followChain(ctx, header); ok || err != nil {
		return err
	}
	if _, err := p.establishInTurn(ctx); err != nil {
		return err
	}
	return p.verifyInTurn(ctx, func(ctx context.Context, trusted State) (proven, error) {
		h, pr, err := p.proveTx(ctx, trusted, header.ID, wire.NoEntries)
		if err != nil {
			return pr, err
		}
		return pr, p.expect(h, committed, "the transaction in the history is the one that the commit was answered with")
	})
}

// followChain checks a commit that comes right after the trusted state without
// asking the server: its header holds all there is to check. ok is false where it does
// not come right after, or is to be signed.
func (p *prover) followChain(ctx context.Context, header *proof.Header) (ok bool, err error) {
	p.mu.Lock()
	chain, trusted := p.chain, p.state
	if chain == nil || p.trust.key != nil || header.ID != chain.State().TxID+1 || trusted.TxID != chain.State().TxID {
		p.mu.Unlock()
		return false, nil
	}
	p.chain = nil // of no use if it fails
	p.mu.Unlock()
	if err := chain.AppendHeader(header); err != nil {
		return false, p.tampering(err)
	}
	newer := trusted
	newer.TxID, newer.Hash, newer.Signature = header.ID, Hash(chain.State().Alh), nil
	old := trusted
	if trusted.TxID == 0 {
		old = State{}
	}
	if ok, err := p.swap(ctx, old, newer); !ok || err != nil {
		return false, err
	}
	p.mu.Lock()
	p.chain = chain
	p.mu.Unlock()
	return true, nil
}
