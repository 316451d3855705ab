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

// AuditOptions say what [Prover.Audit] checks.
type AuditOptions struct {
	FromStart bool     // read the history from its first transaction on, not only what is new
	Tables    []string // tables whose rows are checked, in lower case; "*": all. Implies FromStart
	// Progress, if not nil, is called with the last transaction checked and the last
	// one to check.
	Progress func(tx, last uint64)
	Live     Live // compares what is served with the history, or nil. It needs Tables
}

// Live compares what the server serves with what the history says.
type Live interface {
	// Wrote takes a revision of a row, of any table, in the order of the history.
	Wrote(row *proof.Row)
	// Compare compares the rows of the tables. It calls onward to read on to the newest
	// transaction, with Wrote for each revision; changed means that the tables are others
	// now.
	Compare(ctx context.Context, tables []*proof.Table, onward func(context.Context) (changed bool, err error)) error
}

// AuditReport is what an audit has checked.
type AuditReport struct {
	ServerUUID, Database, Host string

	Trusted  State // the state trusted before the audit
	FirstUse bool  // nothing was trusted before; Trusted is the server's state at the beginning
	State    State // the state trusted after the audit
	Signed   bool  // the server signed State with the configured key

	First        uint64 // the first transaction checked
	Transactions int64
	Entries      int64
	Rows         map[string]int64 // revisions checked, by table
	// SchemaChanges are the changes of tables and indexes in the checked transactions.
	// An audit that did not read the history from its start names neither the table
	// nor the change.
	SchemaChanges []proof.SchemaChange
	Activity      []Period // what was checked, by the time in the transactions
}

// Audit reads the history, checks every transaction, and then trusts the newest
// one. When it fails, the trusted state stays as it was, and the report says how far
// the audit came.
func (p *Prover) Audit(ctx context.Context, opts AuditOptions) (*AuditReport, error) {
	r := &AuditReport{ServerUUID: p.server.UUID, Database: p.id.database, Host: p.server.Host}
	a := &audit{Prover: p, opts: opts, report: r}
	err := a.run(ctx)
	r.Activity = a.activity.list()
	return r, err
}

type audit struct {
	*Prover
	opts   AuditOptions
	report *AuditReport

	end     proof.State
	catalog *proof.Catalog          // nil unless the history is read from its start
	tables  map[string]*proof.Table // that the catalog defines at this point
	defined int                     // how often these have changed

	dropped []uint32 // without a catalog: the ids of the tables that were dropped

	chosen, all bool // rows are checked; the rows of all tables are
	progress    time.Time
	activity    activity
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
	if err == nil {
		err = a.ends(chain)
	}
	if err != nil {
		return err
	}
	if a.opts.Live != nil {
		if err := a.compare(ctx, trusted, chain); err != nil {
			return err
		}
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

// ends checks that the chain has reached the end.
func (a *audit) ends(chain *proof.Chain) error {
	if chain.State() == a.end {
		return nil
	}
	return a.Tampering(&proof.Error{Check: "the history ends as the server says it does", TxID: a.end.TxID,
		Expected: a.end.Alh.String(), Found: chain.State().Alh.String()})
}

// compare compares what the server serves now with the history, which it reads on
// meanwhile.
func (a *audit) compare(ctx context.Context, trusted State, chain *proof.Chain) error {
	for changed := true; changed; {
		changed = false
		var tables []*proof.Table
		for _, name := range slices.Sorted(maps.Keys(a.tables)) {
			if a.checks(name) {
				tables = append(tables, a.tables[name])
			}
		}
		err := a.opts.Live.Compare(ctx, tables, func(ctx context.Context) (bool, error) {
			head, err := a.head(ctx)
			if err != nil {
				return false, err
			}
			if head.state.TxID < a.end.TxID {
				return false, a.older(head.state, State{TxID: a.end.TxID})
			}
			a.end = head.state
			before := a.defined
			if err := a.replay(ctx, chain, a.end.TxID, wire.WithValues, func(tx *proof.Tx) error { return a.visit(trusted, chain, tx) }); err != nil {
				return false, err
			}
			changed = changed || a.defined != before
			return changed, a.ends(chain)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// checks reports whether the rows of a table are checked.
func (a *audit) checks(table string) bool { return a.all || slices.Contains(a.opts.Tables, table) }

// begin returns the state that the history must contain: the trusted one, or at
// first use the newest, which is trusted only after the whole audit has passed.
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

// adopt stores the first trusted state, after an audit that began without one. If
// another goroutine or process has stored a state meanwhile, that one stays, and
// accept checks it.
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

// provesEnd checks that the server's own proof of the newest transaction agrees
// with the history that was read. The server keeps the data for proofs in separate
// files, so that only such a proof checks them.
func (a *audit) provesEnd(ctx context.Context, trusted State) (proven, error) {
	h, pr, err := a.proveTx(ctx, trusted, a.end.TxID, wire.NoEntries)
	if err != nil {
		return pr, err
	}
	return pr, a.expect(h, a.end, "the proof is one of the history that was read")
}

// beginChain decides where to start: after the last audited transaction, even if
// reads have moved the trusted state further since.
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
		return proof.NewChain(), nil // an old server wrote the transaction: it must be read from the start
	}
	if err != nil {
		return nil, a.Tampering(err)
	}
	return chain, nil
}

// visit takes a transaction that the chain has checked into the report.
func (a *audit) visit(trusted State, chain *proof.Chain, tx *proof.Tx) error {
	r := a.report
	at := chain.State()
	if at.TxID == trusted.TxID && at != trusted.proof() {
		return a.Tampering(&proof.Error{Check: "the history leads to the trusted state", TxID: at.TxID,
			Expected: trusted.Hash.String(), Found: at.Alh.String()})
	}
	r.Transactions++
	r.Entries += int64(len(tx.Entries()))
	a.activity.add(tx.Header().Time, int64(len(tx.Entries())))
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

// define takes the definitions of tables from a transaction.
func (a *audit) define(tx *proof.Tx, changed bool) error {
	if err := a.catalog.Apply(tx); err != nil {
		return a.Tampering(err)
	}
	if !changed && a.tables != nil {
		return nil
	}
	a.defined++
	a.tables = make(map[string]*proof.Table)
	for _, name := range a.catalog.TableNames() {
		t, err := a.catalog.Table(name)
		if err != nil {
			if !a.checks(name) {
				continue // its rows are not checked
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
		if !a.checks(name) && a.opts.Live == nil {
			continue
		}
		rows, err := tx.Rows(t)
		if err != nil {
			return a.Tampering(err)
		}
		if a.opts.Live != nil {
			for _, row := range rows {
				a.opts.Live.Wrote(row)
			}
		}
		if len(rows) > 0 && a.checks(name) {
			if a.report.Rows == nil {
				a.report.Rows = make(map[string]int64)
			}
			a.report.Rows[name] += int64(len(rows))
		}
	}
	return nil
}

// checkTables checks that the requested tables exist in the history, and that the
// history contains every definition that is relied on.
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

// accept moves the trusted state to the end of the audited history.
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

// noteAudited stores which transaction was audited last.
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

// relyOnProven makes the history's current definitions of the tables in use the
// ones relied on, except changed ones that AcceptSchema must accept first. It also
// records which tables were dropped.
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
