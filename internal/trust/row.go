package trust

import (
	"context"
	"errors"
	"fmt"

	"github.com/immudb-go/immudb/internal/proof"
	"github.com/immudb-go/immudb/internal/wire"
)

// Tx proves that transaction id belongs to the trusted history, and returns its
// hash with it.
func (p *Prover) Tx(ctx context.Context, id uint64) (s State, err error) {
	err = p.verify(ctx, func(ctx context.Context, trusted State) (proven, error) {
		h, pr, err := p.proveTx(ctx, trusted, id, wire.NoEntries)
		if err != nil {
			return pr, err
		}
		alh, err := h.Alh()
		s = p.moved(State{}, proof.State{TxID: h.ID, Alh: alh}, nil)
		return pr, err
	})
	return s, err
}

// RowsOf proves transaction id with all of its entries and returns the rows that it
// wrote, table by table.
func (p *Prover) RowsOf(ctx context.Context, id uint64, tables ...*proof.Table) (rows []*proof.Row, err error) {
	tx, err := p.Entries(ctx, id)
	for i := 0; err == nil && i < len(tables); i++ {
		var of []*proof.Row
		of, err = tx.Rows(tables[i])
		rows, err = append(rows, of...), p.Tampering(err)
	}
	return rows, err
}

// Entries proves transaction id with all of its entries and their hashes. The values are
// proven by [proof.Entry.CheckValue].
func (p *Prover) Entries(ctx context.Context, id uint64) (tx *proof.Tx, err error) {
	err = p.verify(ctx, func(ctx context.Context, trusted State) (pr proven, err error) {
		tx, pr, err = p.proveEntries(ctx, trusted, id)
		return pr, err
	})
	return tx, err
}

// proveEntries asks for a transaction with all of its entries and proves them.
func (p *Prover) proveEntries(ctx context.Context, trusted State, id uint64) (*proof.Tx, proven, error) {
	v, err := p.fetchTx(ctx, trusted, id, wire.WithValues)
	if err != nil {
		return nil, proven{}, err
	}
	_, s, err := p.proveDual(ctx, trusted, v.Dual, id)
	if err != nil {
		return nil, proven{}, err
	}
	tx, _, err := proof.VerifyTx(trusted.proof(), v.Dual, id, v.Entries)
	if err != nil {
		return nil, proven{}, p.Tampering(err)
	}
	return tx, proven{s, v.Dual, v.Signature}, nil
}

// Written is RowsOf for every table that the history had when the transaction was
// committed, with the definitions of that time.
func (p *Prover) Written(ctx context.Context, id uint64) ([]*proof.Row, error) {
	tables, err := p.TablesAt(ctx, id)
	if err != nil {
		return nil, err
	}
	return p.RowsOf(ctx, id, tables...)
}

// TablesAt returns the tables that the history had when transaction id was committed,
// with the definitions of that time.
func (p *Prover) TablesAt(ctx context.Context, id uint64) (tables []*proof.Table, err error) {
	err = p.withCatalog(ctx, func(catalog *proof.Catalog) error {
		tables = catalog.TablesAt(id)
		return nil
	})
	return tables, err
}

// needsDefinition is the error of a check that needs the definition of a table: it
// is not known, or differs from the server's claim.
type needsDefinition struct{ claim *proof.Table }

func (needsDefinition) Error() string { return "the definition of the table is not known" }

// maxDefinitionTries bounds how often a row is asked for until the server's claim
// of the table agrees with the definition relied on. Two or three tries are enough
// unless the table changes meanwhile.
const maxDefinitionTries = 6

// Row asks for the revision of a row that transaction at wrote, the latest one if
// at is 0, and proves it. With at the columns have the names that they had then.
// keys are those that its transaction wrote, as the server claims.
func (p *Prover) Row(ctx context.Context, table string, at uint64, pk []any) (row *proof.Row, keys [][]byte, err error) {
	r := &rowProof{Prover: p, table: table, at: at, pk: pk}
	for try := 1; ; try++ {
		err = p.verify(ctx, r.check)
		var needs needsDefinition
		switch {
		case errors.As(err, &needs) && at != 0:
			r.asOf, err = p.definedAt(ctx, table, needs.claim.ID, at)
		case errors.As(err, &needs):
			r.believed, err = p.define(ctx, needs.claim)
		case err == nil && r.row.Table == r.believed:
			var kept bool
			if kept, err = p.keep(ctx, r.believed); kept {
				return r.row, r.keys, nil
			}
			r.believed = nil // another goroutine or process relies on another definition
		default:
			return r.row, r.keys, err
		}
		if err != nil {
			return nil, nil, err
		}
		if try == maxDefinitionTries {
			return nil, nil, p.Tampering(&proof.Error{Check: "the server describes table " + table + " as its history does"})
		}
	}
}

// rowProof is the proof of one row.
type rowProof struct {
	*Prover
	table string
	at    uint64
	pk    []any
	// believed is, at first use, the server's claim of the definition. It is kept if it
	// proves the row.
	believed *proof.Table
	asOf     *proof.Table // with at: the history's definition of the table as of then

	row  *proof.Row
	keys [][]byte
}

func (r *rowProof) check(ctx context.Context, trusted State) (proven, error) {
	req, err := wire.VerifiableRowRequest(r.table, r.pk, r.at, trusted.TxID)
	if err != nil {
		return proven{}, &Error{Kind: InvalidValue, SQLState: "22023", Message: err.Error()}
	}
	msg, err := r.server.Call(ctx, wire.MethodVerifiableRow, req)
	if err != nil {
		return proven{}, err
	}
	v, err := wire.DecodeVerifiableRow(msg, r.table)
	if err != nil {
		return proven{}, r.NotAProof(err)
	}
	h, s, err := r.proveDual(ctx, trusted, v.Proof.Dual, v.Proof.TxID)
	if err != nil {
		return proven{}, err
	}
	if trusted.dropped(v.Claim.ID) {
		return proven{}, r.Tampering(&proof.Error{Check: "the table of the row was not dropped", TxID: v.Proof.TxID})
	}
	t := r.definition(&v.Claim)
	if t == nil {
		return proven{}, needsDefinition{&v.Claim}
	}
	if r.at != 0 && v.Proof.TxID != r.at {
		return proven{}, r.Tampering(&proof.Error{Check: "the row is that of the transaction asked for", TxID: r.at,
			Expected: fmt.Sprint(r.at), Found: fmt.Sprint(v.Proof.TxID)})
	}
	if r.row, err = v.Proof.VerifyIn(h, t, r.pk...); err != nil {
		return proven{}, r.Tampering(err)
	}
	r.keys = v.Keys
	return proven{s, v.Proof.Dual, v.Signature}, nil
}

// definition returns the definition in use if the server's claim agrees with it,
// else nil. With at it returns the history's definition as of that transaction; the
// server's claim is the current one and need not agree.
func (r *rowProof) definition(claim *proof.Table) *proof.Table {
	if r.at != 0 {
		if r.asOf != nil && r.asOf.ID == claim.ID {
			return r.asOf
		}
		return nil
	}
	if t := r.Table(claim.Name); t != nil && t.Same(claim) == nil {
		return t
	}
	if r.believed != nil && r.believed.Same(claim) == nil {
		return r.believed
	}
	return nil
}

// Table returns the definition of a table that is relied on, or nil.
func (p *Prover) Table(name string) *proof.Table {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.tables[name]
}

// Trusted returns the trusted state without asking for anything; its TxID is 0 if there
// is none yet.
func (p *Prover) Trusted() State {
	s, _ := p.snapshot()
	return s
}

// Relies reports whether a definition of the table is relied on: some row of it was
// proven, by this process or by one before.
func (p *Prover) Relies(name string) bool {
	s, _ := p.snapshot()
	_, ok := s.Tables[name]
	return ok
}
