package trust

import (
	"context"
	"errors"
	"fmt"

	"github.com/immudb-go/immudb/internal/proof"
	"github.com/immudb-go/immudb/internal/wire"
)

// Prover asks a server for proofs and checks them against the trusted state of a
// database. Several goroutines may use one at once.
type Prover struct {
	*history
	server Server
}

// head asks for the newest transaction and checks its signature.
func (p *Prover) head(ctx context.Context) (proven, error) {
	msg, err := p.server.Call(ctx, wire.MethodCurrentState, nil)
	if err != nil {
		return proven{}, err
	}
	s, err := wire.DecodeSignedState(msg)
	if err != nil {
		return proven{}, p.NotAProof(err)
	}
	head := proven{state: s.State, signature: s.Signature}
	return head, p.checkSignature(head)
}

func (p *Prover) checkSignature(pr proven) error {
	if p.trust.Key == nil || pr.state.TxID == 0 { // the server does not sign the state of an empty database
		return nil
	}
	if err := pr.state.VerifySignature(p.trust.Key, p.id.database, pr.signature); err != nil {
		return p.Tampering(err)
	}
	return nil
}

// A check asks for something, proves it against the trusted state and keeps
// what it has proven for its caller. It may be run again against a newer state.
type check func(ctx context.Context, trusted State) (proven, error)

// verify runs a check and moves the trusted state to what it has proven.
func (p *Prover) verify(ctx context.Context, c check) (err error) {
	defer func() { p.proved(err) }()
	trusted, err := p.Establish(ctx)
	if err != nil {
		return err
	}
	for {
		// Most checks prove something older than the state, which then stays.
		pr, err := p.try(ctx, trusted, c)
		if errors.Is(err, proof.ErrNoState) { // the database was empty when its state was established
			if trusted, err = p.Establish(ctx); err == nil {
				pr, err = p.try(ctx, trusted, c)
			}
			if errors.Is(err, proof.ErrNoState) {
				err = p.Tampering(&proof.Error{Check: "a database that is empty has no transactions"})
			}
		}
		if err != nil {
			return err
		}
		if ok, err := p.advance(ctx, trusted, pr); ok || err != nil {
			return err
		}
		trusted, _ = p.snapshot() // another goroutine has moved it
	}
}

// try runs a check once and checks the signature of what it has proven.
func (p *Prover) try(ctx context.Context, trusted State, c check) (proven, error) {
	pr, err := c(ctx, trusted)
	if err == nil {
		err = p.checkSignature(pr)
	}
	return pr, p.Explain(ctx, trusted, err)
}

// Explain finds out why the server refused a call. A refusal carries no proof, so
// Explain checks whether the server still shows the trusted history, and returns
// that error if it does not, else err.
func (p *Prover) Explain(ctx context.Context, trusted State, err error) error {
	if err == nil || trusted.TxID == 0 || !p.server.Refused(err) {
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
func (p *Prover) proveHead(ctx context.Context, trusted State, head proof.State) (proven, error) {
	tx, pr, err := p.proveTx(ctx, trusted, head.TxID, wire.NoEntries)
	if err != nil {
		return pr, err
	}
	return pr, p.expect(tx, head, "the newest transaction is the one that the server says it is")
}

func (p *Prover) older(head proof.State, trusted State) error {
	return &Error{
		Message: fmt.Sprintf("database %s on the server at %s ends with tx %d, but tx %d of it is trusted: it was restored from a backup, "+
			"lost transactions, or is a replica that lags behind", p.id, p.server.Host, head.TxID, trusted.TxID),
		SQLState: "XX001",
		Kind:     ServerOlder,
	}
}

// CatchUp moves the trusted state to the newest transaction and returns it.
func (p *Prover) CatchUp(ctx context.Context) (State, error) {
	before, err := p.Establish(ctx)
	if err != nil {
		return State{}, err
	}
	head, err := p.head(ctx)
	if err != nil {
		return State{}, err
	}
	switch {
	case head.state.TxID < before.TxID:
		return State{}, p.older(head.state, before)
	case head.state.TxID > 0: // else the database is empty
		err = p.verify(ctx, func(ctx context.Context, trusted State) (proven, error) {
			return p.proveHead(ctx, trusted, head.state)
		})
		if err != nil {
			return State{}, err
		}
		p.saw(head.state.TxID)
	}
	trusted, _ := p.snapshot()
	return trusted, nil
}

// fetchTx asks for a transaction with a proof that links it to the trusted one.
func (p *Prover) fetchTx(ctx context.Context, trusted State, id uint64, d wire.EntryDetail) (*wire.VerifiableTx, error) {
	msg, err := p.server.Call(ctx, wire.MethodVerifiableTx, wire.VerifiableTxRequest(id, trusted.TxID, d))
	if err != nil {
		return nil, err
	}
	v, err := wire.DecodeVerifiableTx(msg)
	if err != nil {
		return nil, p.NotAProof(err)
	}
	return v, nil
}

// proveTx asks for a transaction and proves that it belongs to the trusted
// history.
func (p *Prover) proveTx(ctx context.Context, trusted State, id uint64, d wire.EntryDetail) (*proof.Header, proven, error) {
	v, err := p.fetchTx(ctx, trusted, id, d)
	if err != nil {
		return nil, proven{}, err
	}
	h, s, err := p.proveDual(ctx, trusted, v.Dual, id)
	return h, proven{s, v.Dual, v.Signature}, err
}

// proveDual checks a dual proof between the trusted state and transaction id.
func (p *Prover) proveDual(ctx context.Context, trusted State, dual *proof.DualProof, id uint64) (*proof.Header, proof.State, error) {
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
		return nil, s, p.Tampering(err)
	}
	return h, s, nil
}

// advance moves the trusted state from trusted to the state that was proven against
// it. done is false if the state has moved meanwhile; snapshot returns it, and the
// caller proves against that one.
func (p *Prover) advance(ctx context.Context, trusted State, pr proven) (done bool, err error) {
	if pr.state == trusted.proof() {
		return true, nil
	}
	leave, err := p.enter(ctx)
	if err != nil {
		return false, err
	}
	defer leave()
	if now, _ := p.snapshot(); !now.same(trusted) {
		return false, nil
	}
	if ok, err := p.swap(ctx, trusted, p.moved(trusted, pr.state, pr.signature)); !ok || err != nil {
		return false, err
	}
	if p.trust.Commits && p.trust.Key == nil && pr.dual != nil {
		// While the server's hash tree lags behind there is no chain, and every commit is
		// proven by a call.
		chain, err := proof.ChainFrom(pr.state, pr.dual)
		if err != nil {
			chain = nil
		}
		p.mu.Lock()
		p.chain = chain
		p.mu.Unlock()
	}
	return true, nil
}

// moved is old with the transaction, hash and server replaced: those of s, shown by
// the server of p.
func (p *Prover) moved(old State, s proof.State, signature []byte) State {
	old.History, old.Database = p.id.history, p.id.database
	old.ServerUUID, old.Host = p.server.UUID, p.server.Host
	old.TxID, old.Hash, old.Signature = s.TxID, s.Alh, signature
	return old
}
