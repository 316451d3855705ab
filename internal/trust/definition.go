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
// to be: the claim if that is pinned, or nothing is and first use is trusted,
// else what the history says. believed is the claim where a row has to be proven
// by it first, for [Prover.keep].
func (p *Prover) define(ctx context.Context, claim *proof.Table) (believed *proof.Table, err error) {
	if err := claim.Check(); err != nil {
		return nil, p.Tampering(&proof.Error{Check: "the server describes a table that makes sense: " + err.Error()})
	}
	s, _ := p.snapshot()
	pinned, isPinned := s.Tables[claim.Name]
	if isPinned && pinned == claim.Fingerprint() || !isPinned && p.trust.FirstUse {
		return claim, nil
	}
	return nil, p.proveDefinition(ctx, claim.Name)
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

// proveDefinition reads the history up to now for what it says of a table, and
// pins that.
func (p *Prover) proveDefinition(ctx context.Context, name string) error {
	s := &p.schema
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
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
	t, err := catalog.Table(name)
	if err != nil {
		return p.noDefinition(catalog, name, err)
	}
	leave, err := p.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	return p.pinTables(ctx, t)
}

// noDefinition says why the history defines no table of a name.
func (p *Prover) noDefinition(catalog *proof.Catalog, name string, err error) error {
	if !slices.Contains(catalog.TableNames(), name) {
		return &Error{Kind: NoSuchTable, SQLState: "42P01", Message: fmt.Sprintf("the history of database %s has no table %s", p.id.database, name)}
	}
	return p.Tampering(err)
}
