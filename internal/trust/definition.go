package trust

import (
	"context"
	"fmt"
	"slices"

	"github.com/immudb-go/immudb/internal/proof"
	"github.com/immudb-go/immudb/internal/wire"
)

// schema holds the definitions of tables in the history, read from its first
// transaction on.
type schema struct {
	turn    chan struct{} // holds a token while a goroutine reads the history
	chain   *proof.Chain
	catalog *proof.Catalog
}

// define decides which definition of a table to use, given the server's claim. If
// the claim is the definition relied on, or none is and FirstUse is set, define
// returns the claim; the caller must prove a row by it and then call [Prover.keep].
// Otherwise define proves the definition from the history, relies on that and
// returns nil.
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

// keep makes a definition by which a row was proven the one that is relied on. kept
// is false if another one has become that meanwhile.
func (p *Prover) keep(ctx context.Context, t *proof.Table) (kept bool, err error) {
	leave, err := p.enter(ctx)
	if err != nil {
		return false, err
	}
	defer leave()
	return p.believe(ctx, t)
}

// AcceptSchema makes the history's current definition of a table the one that is
// relied on, even if it gives rows another meaning than the one before.
func (p *Prover) AcceptSchema(ctx context.Context, name string) error {
	return p.proveDefinition(ctx, name, true)
}

// proveDefinition reads the history up to now and relies on its definition of a
// table. If that gives rows another meaning than the one relied on, it is a
// [SchemaChanged] error unless accepted is true.
func (p *Prover) proveDefinition(ctx context.Context, name string, accepted bool) error {
	return p.withCatalog(ctx, func(catalog *proof.Catalog) error {
		t, err := p.definedNow(catalog, name, accepted)
		if is(err, SchemaChanged) {
			t, err = p.acceptedElsewhere(ctx, catalog, name, err)
		}
		if err != nil {
			return err
		}
		return p.rely(ctx, catalog.Dropped(), t)
	})
}

// definedAt returns the history's definition, as of transaction tx, of the table
// that now has the given name and id.
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
// on against it, and calls f with the definitions of the history.
func (p *Prover) withCatalog(ctx context.Context, f func(*proof.Catalog) error) error {
	s := &p.schema
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	before, _ := p.snapshot()
	// Trust the newest transaction first, then read the history up to it.
	trusted, err := p.CatchUp(ctx)
	if err != nil {
		return err
	}
	if s.chain == nil {
		s.chain, s.catalog = proof.NewChain(), proof.NewCatalog()
	}
	chain, catalog := s.chain, s.catalog
	s.chain, s.catalog = nil, nil // an error leaves them unusable
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
	// Definitions that others rely on since may be newer than the history just read,
	// so those relied on before are checked.
	if err := p.checkRelied(catalog, before); err != nil {
		return err
	}
	return f(catalog)
}

// checkRelied checks that the history contains, now or earlier, each definition that
// is relied on.
func (p *Prover) checkRelied(catalog *proof.Catalog, s State) error {
	for name, fingerprint := range s.Tables {
		if catalog.Had(name, fingerprint) == nil {
			if _, err := catalog.Table(name); err != nil && slices.Contains(catalog.TableNames(), name) {
				return p.Tampering(err) // the definition is one this package cannot read, which is not tampering
			}
			return p.Tampering(&proof.Error{Check: "the definition of table " + name + " that was relied on is one of the history"})
		}
	}
	return nil
}

// definedNow returns the history's current definition of a table. It must give rows
// the same meaning as the one relied on, unless accepted is true.
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

// rely makes proven definitions the ones that are relied on, and records which
// tables were dropped.
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

// acceptedElsewhere returns the history's current definition of a table if another user
// of the store has accepted it meanwhile, else the error changed.
func (p *Prover) acceptedElsewhere(ctx context.Context, catalog *proof.Catalog, name string, changed error) (*proof.Table, error) {
	stored, err := p.refresh(ctx)
	if err != nil {
		return nil, err
	}
	t, err := catalog.Table(name)
	if err != nil || stored.Tables[name] != t.Fingerprint() {
		return nil, changed
	}
	return t, nil
}

// noDefinition returns the error for a table without a usable definition.
func (p *Prover) noDefinition(catalog *proof.Catalog, name string, err error) error {
	if !slices.Contains(catalog.TableNames(), name) {
		return &Error{Kind: NoSuchTable, SQLState: "42P01", Message: fmt.Sprintf("the history of database %s has no table %s", p.id.database, name)}
	}
	return p.Tampering(err)
}
