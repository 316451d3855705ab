package trust

import (
	"context"
	"fmt"
	"slices"

	"github.com/immudb-go/immudb/internal/proof"
	"github.com/immudb-go/immudb/internal/wire"
)

// schema is what the history says of tables, read from its first transaction
// on.
type schema struct {
	turn    chan struct{} // holds a token while somebody reads
	chain   *proof.Chain
	catalog *proof.Catalog
}

// define puts the definition of a table to use, given what the server claims that
// to be: the claim if that is relied on, or nothing is and first use is trusted,
// else what the history says. believed is the claim where a row has to be proven
// by it first, for [Prover.keep].
func (p *Prover) define(ctx context.Context, claim *proof.Table) (believed *proof.Table, err error) {
	if err := claim.Check(); err != nil {
		return nil, p.Tampering(&proof.Error{Check: "the server describes a table that makes sense: " + err.Error()})
	}
	s, _ := p.snapshot()
	relied, isRelied := s.Tables[claim.Name]
	if isRelied && relied == claim.Fingerprint() || !isRelied && p.trust.FirstUse {
		return claim, nil
	}
	return nil, p.proveDefinition(ctx, claim.Name, false)
}

// keep relies from now on on a definition that a row was proven by. kept is false
// if another one is relied on meanwhile.
func (p *Prover) keep(ctx context.Context, t *proof.Table) (kept bool, err error) {
	leave, err := p.enter(ctx)
	if err != nil {
		return false, err
	}
	defer leave()
	return p.believe(ctx, t)
}

// AcceptSchema relies from now on on the definition that the history gives a table
// now, whatever the one relied on before meant.
func (p *Prover) AcceptSchema(ctx context.Context, name string) error {
	return p.proveDefinition(ctx, name, true)
}

// proveDefinition reads the history up to now for what it says of a table, and
// relies on that. A definition that gives rows another meaning than the one relied
// on is a [SchemaChanged] unless it is accepted.
func (p *Prover) proveDefinition(ctx context.Context, name string, accepted bool) error {
	return p.withCatalog(ctx, func(catalog *proof.Catalog) error {
		t, err := p.definedNow(catalog, name, accepted)
		if err != nil {
			return err
		}
		return p.rely(ctx, catalog.Dropped(), t)
	})
}

// definedAt returns the definition that the table with an id, which has that name
// now, had once transaction tx was committed, as the history says.
func (p *Prover) definedAt(ctx context.Context, name string, id uint32, tx uint64) (t *proof.Table, err error) {
	err = p.withCatalog(ctx, func(catalog *proof.Catalog) error {
		if now := catalog.At(id, catalog.Through()); now == nil || now.Name != name {
			return p.Tampering(&proof.Error{Check: "the row is of the table that has that name"})
		}
		if t = catalog.At(id, tx); t == nil {
			return p.Tampering(&proof.Error{Check: "the table of the row was there", TxID: tx})
		}
		return nil
	})
	return t, err
}

// withCatalog reads the history up to now, checks the definitions that are relied
// on against it, and calls f with what it says of tables.
func (p *Prover) withCatalog(ctx context.Context, f func(*proof.Catalog) error) error {
	s := &p.schema
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	before, _ := p.snapshot()
	// First to now, then the history up to there.
	trusted, err := p.CatchUp(ctx)
	if err != nil {
		return err
	}
	if s.chain == nil {
		s.chain, s.catalog = proof.NewChain(), proof.NewCatalog()
	}
	chain, catalog := s.chain, s.catalog
	s.chain, s.catalog = nil, nil // of no use after an error
	err = p.replay(ctx, chain, trusted.TxID, wire.KeysOnly, func(tx *proof.Tx) error {
		if err := catalog.Apply(tx); err != nil {
			return p.Tampering(err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if at := chain.State(); at != trusted.proof() {
		return p.Tampering(&proof.Error{Check: "the history leads to the trusted state", TxID: trusted.TxID,
			Expected: trusted.Hash.String(), Found: at.Alh.String()})
	}
	s.chain, s.catalog = chain, catalog
	// What others have come to rely on since may be newer than what was read.
	if err := p.checkRelied(catalog, before); err != nil {
		return err
	}
	return f(catalog)
}

// checkRelied checks that each definition that is relied on is or was one of the
// history's.
func (p *Prover) checkRelied(catalog *proof.Catalog, s State) error {
	for name, fingerprint := range s.Tables {
		if catalog.Had(name, fingerprint) == nil {
			if _, err := catalog.Table(name); err != nil && slices.Contains(catalog.TableNames(), name) {
				return p.Tampering(err) // it makes no sense, which is no lie
			}
			return p.Tampering(&proof.Error{Check: "the definition of table " + name + " that was relied on is one of the history"})
		}
	}
	return nil
}

// definedNow returns the definition of a table that the history gives now, if it
// means the same as the one that is relied on, or is accepted.
func (p *Prover) definedNow(catalog *proof.Catalog, name string, accepted bool) (*proof.Table, error) {
	t, err := catalog.Table(name)
	if err != nil {
		return nil, p.noDefinition(catalog, name, err)
	}
	s, _ := p.snapshot()
	fingerprint, relied := s.Tables[name]
	if !relied || accepted {
		return t, nil
	}
	if before := catalog.Had(name, fingerprint); before != nil && !before.Means(t) {
		return nil, &Error{
			Kind:     SchemaChanged,
			SQLState: "XX001",
			Message: fmt.Sprintf("table %s of database %s is another one, or has columns of other names, than when it was first relied on, "+
				"which gives its rows another meaning: look at what changed (an audit tells), and accept it with Verifier.AcceptSchema", name, p.id),
		}
	}
	return t, nil
}

// rely makes proven definitions those that are relied on, and notes which tables
// were dropped.
func (p *Prover) rely(ctx context.Context, dropped []uint32, tables ...*proof.Table) error {
	leave, err := p.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	for {
		old, ok := p.snapshot()
		if !ok { // the database is empty
			return nil
		}
		if ok, err := p.relyOver(ctx, old, dropped, tables...); ok || err != nil {
			return err
		}
	}
}

// noDefinition says why the history defines no table of a name.
func (p *Prover) noDefinition(catalog *proof.Catalog, name string, err error) error {
	if !slices.Contains(catalog.TableNames(), name) {
		return &Error{Kind: NoSuchTable, SQLState: "42P01", Message: fmt.Sprintf("the history of database %s has no table %s", p.id.database, name)}
	}
	return p.Tampering(err)
}
