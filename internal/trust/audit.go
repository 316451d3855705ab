package trust

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/immudb-go/immudb/internal/proof"
	"github.com/immudb-go/immudb/internal/wire"
)

// AuditOptions say how far [Prover.Audit] goes.
type AuditOptions struct {
	FromStart bool     // read the history from its first transaction on
	Tables    []string // whose rows are read, in lower case; "*": all. Implies FromStart
	// Progress, if not nil, is called with the last transaction checked and the last
	// one to check.
	Progress func(tx, last uint64)
}

// AuditReport is what an audit has checked.
type AuditReport struct {
	ServerUUID, Database, Host string

	Trusted  State // what was trusted before
	FirstUse bool  // nothing was; Trusted is what the server said at the beginning
	State    State // what is trusted now
	Signed   bool  // the server signed State with the key

	First        uint64 // the first transaction checked
	Transactions int64
	Entries      int64
	Rows         map[string]int64 // revisions checked, by table
	// SchemaChanges are what the transactions that were checked did to tables. Without
	// the history from its start they name neither the table nor the change.
	SchemaChanges []proof.SchemaChange
}

// Audit reads the history and checks every transaction, and then trusts the
// newest one. When it fails, the report says how far it came, and what is
// trusted is what was trusted before.
func (p *Prover) Audit(ctx context.Context, opts AuditOptions) (*AuditReport, error) {
	r := &AuditReport{ServerUUID: p.server.UUID, Database: p.id.database, Host: p.server.Host}
	a := &audit{Prover: p, opts: opts, report: r}
	return r, a.run(ctx)
}

type audit struct {
	*Prover
	opts   AuditOptions
	report *AuditReport

	end     proof.State
	catalog *proof.Catalog          // nil unless the history is read from its start
	tables  map[string]*proof.Table // that the catalog defines at this point

	dropped []uint32 // the tables that were dropped, where there is no catalog

	chosen, all bool // rows are read; of all tables
	progress    time.Time
}

func (a *audit) run(ctx context.Context) error {
	r := a.report
	trusted, err := a.begin(ctx)
	if err != nil {
		return err
	}
	r.Trusted, r.State = trusted.Clone(), trusted.Clone()
	head, err := a.head(ctx)
	if err != nil {
		return err
	}
	if head.state.TxID < trusted.TxID {
		return a.older(head.state, trusted)
	}
	a.end = head.state
	r.Signed = a.trust.Key != nil && a.end.TxID > 0

	chain, err := a.beginChain(ctx, trusted)
	if err != nil {
		return err
	}
	r.First = chain.State().TxID + 1
	detail := wire.KeysOnly
	if a.chosen {
		detail = wire.WithValues
	}
	err = a.replay(ctx, chain, a.end.TxID, detail, func(tx *proof.Tx) error { return a.visit(trusted, chain, tx) })
	if err != nil {
		return err
	}
	if chain.State() != a.end {
		return a.Tampering(&proof.Error{Check: "the history ends as the server says it does", TxID: a.end.TxID,
			Expected: a.end.Alh.String(), Found: chain.State().Alh.String()})
	}
	if a.catalog != nil {
		r.SchemaChanges = a.catalog.Changes(r.First)
	}
	if err := a.checkTables(); err != nil {
		return err
	}
	if r.FirstUse {
		if err := a.adopt(ctx, trusted); err != nil {
			return err
		}
	}
	return a.accept(ctx)
}

// begin returns the state that the history has to lead to: the trusted one, or at
// first use the newest, which is trusted only when the audit has come to its end.
func (a *audit) begin(ctx context.Context) (State, error) {
	if s, ok := a.snapshot(); ok {
		return s, nil
	}
	_, found, err := a.load(ctx)
	if err != nil {
		return State{}, err
	}
	if found || a.pin.TxID > 0 {
		return a.Establish(ctx)
	}
	if !a.trust.FirstUse {
		return State{}, a.nothingTrusted()
	}
	a.report.FirstUse = true
	head, err := a.head(ctx)
	if err != nil {
		return State{}, err
	}
	return a.moved(State{}, head.state, head.signature).begun(), nil
}

// adopt trusts what the audit has found in order, begun at a state that nothing
// was known of. If somebody else trusts something by now, that stands, for accept
// to compare.
func (a *audit) adopt(ctx context.Context, begun State) error {
	if a.end.TxID == 0 {
		return nil
	}
	pr, err := a.try(ctx, begun, a.provesEnd)
	if err != nil {
		return err
	}
	leave, err := a.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if _, ok := a.snapshot(); ok {
		return nil
	}
	_, err = a.swap(ctx, State{}, a.moved(State{}, pr.state, pr.signature).begun())
	return err
}

// provesEnd checks that the server, asked for a proof as any client asks, proves
// the history that was read: its proofs come from files of their own.
func (a *audit) provesEnd(ctx context.Context, trusted State) (proven, error) {
	h, pr, err := a.proveTx(ctx, trusted, a.end.TxID, wire.NoEntries)
	if err != nil {
		return pr, err
	}
	return pr, a.expect(h, a.end, "the proof is one of the history that was read")
}

// beginChain decides where to start: after what audits have read before, wherever
// reads have moved the trusted state since.
func (a *audit) beginChain(ctx context.Context, trusted State) (*proof.Chain, error) {
	a.all, a.chosen = slices.Contains(a.opts.Tables, "*"), len(a.opts.Tables) > 0
	if a.opts.FromStart || a.chosen || trusted.AuditedTxID == 0 {
		a.catalog = proof.NewCatalog()
		return proof.NewChain(), nil
	}
	audited := proof.State{TxID: trusted.AuditedTxID, Alh: trusted.AuditedHash}
	v, err := a.fetchTx(ctx, State{TxID: audited.TxID}, audited.TxID, wire.NoEntries)
	if err != nil {
		return nil, a.Explain(ctx, trusted, err)
	}
	chain, err := proof.ChainFrom(audited, v.Dual)
	if errors.Is(err, proof.ErrUnlinked) {
		return proof.NewChain(), nil // an old server's transaction: no way in but from the start
	}
	if err != nil {
		return nil, a.Tampering(err)
	}
	return chain, nil
}

// visit is called for each transaction, which the chain has checked.
func (a *audit) visit(trusted State, chain *proof.Chain, tx *proof.Tx) error {
	r := a.report
	at := chain.State()
	if at.TxID == trusted.TxID && at != trusted.proof() {
		return a.Tampering(&proof.Error{Check: "the history leads to the trusted state", TxID: at.TxID,
			Expected: trusted.Hash.String(), Found: at.Alh.String()})
	}
	r.Transactions++
	r.Entries += int64(len(tx.Entries()))
	changesSchema := slices.ContainsFunc(tx.Entries(), func(e proof.Entry) bool { return proof.IsCatalogKey(e.Key) })
	if a.catalog != nil {
		if err := a.define(tx, changesSchema); err != nil {
			return err
		}
	} else if changesSchema {
		r.SchemaChanges = append(r.SchemaChanges, proof.SchemaChange{TxID: at.TxID, What: "tables or indexes are changed; an audit from the start tells how"})
		a.dropped = append(a.dropped, proof.DroppedBy(tx)...)
	}
	if a.chosen {
		if err := a.rows(tx); err != nil {
			return err
		}
	}
	if a.opts.Progress != nil && (at.TxID == a.end.TxID || time.Since(a.progress) >= progressEvery) {
		a.progress = time.Now()
		a.opts.Progress(at.TxID, a.end.TxID)
	}
	return nil
}

// progressEvery is how often Progress is called.
const progressEvery = 100 * time.Millisecond

// define takes what a transaction says of tables.
func (a *audit) define(tx *proof.Tx, changed bool) error {
	if err := a.catalog.Apply(tx); err != nil {
		return a.Tampering(err)
	}
	if !changed && a.tables != nil {
		return nil
	}
	a.tables = make(map[string]*proof.Table)
	for _, name := range a.catalog.TableNames() {
		t, err := a.catalog.Table(name)
		if err != nil {
			if !a.all && !slices.Contains(a.opts.Tables, name) {
				continue // what it is does not matter
			}
			return a.Tampering(err)
		}
		a.tables[name] = t
	}
	return nil
}

// rows checks the rows of the chosen tables that a transaction wrote.
func (a *audit) rows(tx *proof.Tx) error {
	for name, t := range a.tables {
		if !a.all && !slices.Contains(a.opts.Tables, name) {
			continue
		}
		rows, err := tx.Rows(t)
		if err != nil {
			return a.Tampering(err)
		}
		if len(rows) > 0 {
			if a.report.Rows == nil {
				a.report.Rows = make(map[string]int64)
			}
			a.report.Rows[name] += int64(len(rows))
		}
	}
	return nil
}

// checkTables checks that the tables asked for were there, and those relied on
// were what they were taken for.
func (a *audit) checkTables() error {
	for _, name := range a.opts.Tables {
		if name != "*" && a.tables[name] == nil && a.report.Rows[name] == 0 {
			return &Error{Kind: NoSuchTable, SQLState: "42P01", Message: "audit: the history has no table " + name}
		}
	}
	if a.catalog == nil {
		return nil
	}
	return a.checkRelied(a.catalog, a.report.Trusted)
}

// accept trusts what was checked.
func (a *audit) accept(ctx context.Context) error {
	if a.end.TxID > 0 {
		if err := a.verify(ctx, a.provesEnd); err != nil {
			return err
		}
	}
	if err := a.relyOnProven(ctx); err != nil {
		return err
	}
	if err := a.noteAudited(ctx); err != nil {
		return err
	}
	if now, ok := a.snapshot(); ok {
		a.report.State = now.Clone()
	}
	return nil
}

// noteAudited stores how far the history was read.
func (a *audit) noteAudited(ctx context.Context) error {
	leave, err := a.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	for {
		old, ok := a.snapshot()
		if !ok || old.AuditedTxID >= a.end.TxID {
			return nil
		}
		newer := old
		newer.AuditedTxID, newer.AuditedHash = a.end.TxID, a.end.Alh
		if ok, err := a.swap(ctx, old, newer); ok || err != nil {
			return err
		}
	}
}

// relyOnProven relies on the definitions that the history gives now the tables that
// are in use, but for one that has to be accepted first, and notes what was
// dropped.
func (a *audit) relyOnProven(ctx context.Context) error {
	if a.catalog == nil {
		return a.rely(ctx, a.dropped)
	}
	names := slices.Collect(maps.Keys(a.report.Trusted.Tables))
	var tables []*proof.Table
	for _, name := range append(names, a.opts.Tables...) {
		if a.tables[name] == nil {
			continue
		}
		switch t, err := a.definedNow(a.catalog, name, false); {
		case err == nil:
			tables = append(tables, t)
		case !is(err, SchemaChanged):
			return err
		}
	}
	return a.rely(ctx, a.catalog.Dropped(), tables...)
}
