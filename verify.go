package immudb

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/immudb-go/immudb/internal/proof"
	"github.com/immudb-go/immudb/internal/scanrow"
	"github.com/immudb-go/immudb/internal/served"
	"github.com/immudb-go/immudb/internal/trust"
	"github.com/immudb-go/immudb/internal/value"
)

// ProvenRow is a row whose values are proven: transaction TxID wrote exactly these
// values, and the transaction is part of the trusted history.
//
// It is not proven to be the latest revision of the row; see [VerifiedRow].
type ProvenRow struct {
	Table   string
	Columns []string
	Values  []any // one for each column: int64, float64, bool, string, []byte, time.Time or nil, as in the result of a query

	TxID uint64    // the transaction that wrote the row; see [VerifyRows] for values that were written more than once
	Time time.Time // when, by the server's clock, UTC, in whole seconds
	// Deleted is true if the transaction deleted the row. Values are then its last ones.
	Deleted bool

	key []byte // of its entry, which tells the table by its id, and the row
}

func newProvenRow(row *proof.Row) *ProvenRow {
	r := &ProvenRow{Table: row.Table.Name, TxID: row.TxID, Time: row.Time, Deleted: row.Deleted, key: row.Key}
	for i, c := range row.Table.Columns {
		r.Columns = append(r.Columns, c.Name)
		v := served.Value(row.Values[i])
		if b, ok := v.([]byte); ok {
			v = bytes.Clone(b) // the row may be known, see [trust.Prover.Known]
		}
		r.Values = append(r.Values, v)
	}
	return r
}

// Value returns the value of a column. ok is false if there is none of that
// name.
func (r *ProvenRow) Value(column string) (v any, ok bool) {
	i := slices.Index(r.Columns, column)
	if i < 0 {
		return nil, false
	}
	return r.Values[i], true
}

// Scan copies the values, in the order of Columns, into the destinations, as
// sql.Row.Scan does.
func (r *ProvenRow) Scan(dest ...any) error {
	if err := scanrow.Into(r.Columns, r.Values, dest...); err != nil {
		return fmt.Errorf("immudb: proven row: %w", err)
	}
	return nil
}

// StructScan copies the values into the fields of the struct that dest points
// to: those whose tag `db:"name"` is the column's name, or which have that name in
// lower case and no tag, also within embedded structs. A column without a field is
// an error.
func (r *ProvenRow) StructScan(dest any) error {
	if err := scanrow.IntoStruct(r.Columns, r.Values, dest); err != nil {
		return fmt.Errorf("immudb: proven row: %w", err)
	}
	return nil
}

// VerifiedRow returns the row of a table with the given primary key, proven on
// the client: transaction TxID wrote its values, and that transaction is part of a
// history that extends the trusted state (see verify, trusted_state and state_dir
// at [ParseDSN]). The proof does not depend on the server's honesty.
//
//	row, err := immudb.VerifiedRow(ctx, db, "accounts", 42)
//	var a Account
//	err = row.StructScan(&a)
//
// Errors match [ErrTampered] (with a [*Tampering]), [ErrStateMissing],
// [ErrSignature], [ErrServerOlder], or sql.ErrNoRows if the server answers that
// there is no such row. After an error the trusted state is as before; at first use
// it is the state that the server showed first.
//
// VerifiedRow does not promise what no immudb server can prove: that the revision is
// the latest one ([Verifier.Latest] proves it for recent rows), that a row does not exist, that a result is complete (package
// indeximmudb proves these three from the history), and the time, which is the server's clock. The number of the revision is not part of the
// answer; SELECT _rev FROM (HISTORY OF t) tells it, unproven. A dishonest server can
// answer with an older revision, which then has an older TxID. An honest one answers
// with everything that was committed through this sql.DB. Rows that another client
// committed just before may be missing, because the server does not wait for its
// index here; with [Verifier.NotBefore] it does.
//
// Names and types of columns come from the definition of the table. With
// verify=trust-first-use the driver trusts the first definition that the server
// sends. A later, different one must be proven by reading the history of the
// database from its first transaction on, which takes long for a long history. That
// also detects a false first definition: it is then an [ErrTampered]. Without
// verify=trust-first-use the first definition is proven in this way too. After that
// only new transactions are read. An [Audit] with FromStart proves the definitions in
// use beforehand. A definition that gives older rows another meaning, because columns
// or tables were renamed, is an [ErrSchemaChanged] until it is accepted.
func VerifiedRow(ctx context.Context, db *sql.DB, table string, pk ...any) (*ProvenRow, error) {
	return NewVerifier(db).Row(ctx, table, pk...)
}

// VerifyRows runs SELECT * FROM table with the given tail (a WHERE condition, ORDER
// BY, LIMIT and OFFSET, or nothing), proves every row of the result as [VerifiedRow]
// does, and returns the rows in the order of the result.
//
//	rows, err := immudb.VerifyRows(ctx, db, "entries", "WHERE account = ? ORDER BY id", 42)
//
// The trusted state moves once, to the newest transaction; then each transaction
// that wrote some of the rows is proven once, whatever their number. Rows that were
// proven before need no proof again if no transaction has written them since: the
// transactions since then are read instead, if they are few. At most 16 MiB of rows are
// kept for that. If the query
// returns other values of a row than the proven ones, the error is [ErrTampered]. A
// row that was changed meanwhile is read again; if that happens too often, the error
// is [ErrConflict].
//
// The condition is evaluated again on the client, over the proven rows. A row that
// it excludes, a row that comes twice, a wrong order, and more rows than LIMIT are
// [ErrTampered]. A condition that needs more than the row, such as a subquery or a
// function, is refused before anything is read, with an [ErrUnsupported] that names
// it. NULL and types are compared as in immudb 1.11; if a server of another version
// answers differently, the error is [ErrUnsupported] too.
//
// VerifyRows cannot detect missing rows, nor whether OFFSET skipped the right ones.
//
// The TxID of a row is that of a transaction that wrote exactly these values. If the
// same values were written more than once, with others in between, it may be an
// earlier transaction than the one that [VerifiedRow] returns.
func VerifyRows(ctx context.Context, db *sql.DB, table, tail string, args ...any) ([]*ProvenRow, error) {
	return NewVerifier(db).Rows(ctx, table, tail, args...)
}

// Verifier verifies rows of a database. Its methods may be called from several
// goroutines at once. All verifiers of one sql.DB share its trusted state, which
// belongs to the connector.
type Verifier struct {
	db *sql.DB
	// Concurrency is how many proofs Rows asks for at once. 0: 8.
	Concurrency int
	// NotBefore is the id of a transaction, of another client for instance, that Row
	// must see: an honest server waits until its index contains it. 0: none.
	NotBefore uint64
}

// NewVerifier returns a Verifier for a database opened with this driver.
func NewVerifier(db *sql.DB) *Verifier { return &Verifier{db: db} }

// Row is [VerifiedRow].
func (v *Verifier) Row(ctx context.Context, table string, pk ...any) (*ProvenRow, error) {
	return v.row(ctx, table, 0, pk)
}

// AcceptSchema makes the history's current definition of a table the one that is
// relied on. Call it after an [ErrSchemaChanged], when the changes are known to be
// intended: afterwards older rows have the current names of columns too.
func (v *Verifier) AcceptSchema(ctx context.Context, table string) error {
	table, err := tableName(table)
	if err != nil {
		return err
	}
	return onConn(ctx, v.db, func(c *Conn) error { return c.prover().AcceptSchema(ctx, table) })
}

// RowAt is Row for the revision of the row that transaction tx wrote, or deleted,
// with the table's and columns' names of that time. These come from the history,
// which is read from its first transaction on, once for a sql.DB.
func (v *Verifier) RowAt(ctx context.Context, tx uint64, table string, pk ...any) (*ProvenRow, error) {
	return v.row(ctx, table, tx, pk)
}

// Latest proves whether a row that was proven before, with its deletion as a revision
// like any other, is still the latest revision of the row: no transaction after TxID
// wrote the row again or dropped its table. It reads all transactions since then,
// without values, which is meant for rows that were written recently: if there are more
// than maxTxs, the error is [ErrInvalidValue].
//
// asOf is the newest transaction that the server shows, which is then trusted, and as of
// which the answer holds. A server can hold back what came after it.
func (v *Verifier) Latest(ctx context.Context, row *ProvenRow, maxTxs int) (latest bool, asOf State, err error) {
	if row == nil || row.key == nil {
		return false, State{}, newError(ErrInvalidValue, "22023", "Latest needs a row that this package has proven")
	}
	var later uint64
	asOf, err = v.state(ctx, func(p *trust.Prover) (s trust.State, err error) {
		later, s, err = p.WrittenAfter(ctx, row.key, row.TxID, maxTxs)
		return s, err
	})
	return err == nil && later == 0, asOf, err
}

// Written returns the rows that transaction tx wrote or deleted, proven and with all
// their values, table by table, with the names of that time. It answers what a commit
// has done, by the id that [CommitInfo] tells: [ErrTampered] if what the server shows
// is not what the history holds. It does not tell that an UPDATE or DELETE met every
// row that it should have. The definitions of tables come from the history, which is
// read from its first transaction on, once for a sql.DB.
func (v *Verifier) Written(ctx context.Context, tx uint64) ([]*ProvenRow, error) {
	var found []*proof.Row
	err := onConn(ctx, v.db, func(c *Conn) (err error) {
		found, err = c.prover().Written(ctx, tx)
		return err
	})
	if err != nil {
		return nil, err
	}
	rows := make([]*ProvenRow, len(found))
	for i, row := range found {
		rows[i] = newProvenRow(row)
	}
	return rows, nil
}

// rowKey returns the name of a table and the values of a primary key as they are looked up.
func rowKey(table string, pk []any) (name string, key []any, err error) {
	if name, err = tableName(table); err != nil {
		return "", nil, err
	}
	key = make([]any, len(pk))
	for i := range pk {
		if key[i], err = value.Convert(pk[i]); err != nil {
			return "", nil, newError(ErrInvalidValue, "22023", fmt.Sprintf("primary key value %d: %s", i+1, err))
		}
	}
	return name, key, nil
}

func (v *Verifier) row(ctx context.Context, table string, at uint64, pk []any) (*ProvenRow, error) {
	table, key, err := rowKey(table, pk)
	if err != nil {
		return nil, err
	}
	var row *proof.Row
	err = onConn(ctx, v.db, func(c *Conn) (err error) {
		if v.NotBefore > 0 {
			if err := c.awaitIndex(ctx, table, v.NotBefore); err != nil {
				return err
			}
		}
		row, err = c.verifyRow(ctx, table, at, key)
		return err
	})
	switch {
	case errors.Is(err, errNoSuchKey), err == nil && row.Deleted && at == 0:
		return nil, fmt.Errorf("immudb: the server says that table %s has no such row, which cannot be proven: %w", table, sql.ErrNoRows)
	case err != nil:
		return nil, err
	}
	return newProvenRow(row), nil
}

// verifyRow proves a row once the server's index of the table has caught up.
func (c *Conn) verifyRow(ctx context.Context, table string, at uint64, key []any) (*proof.Row, error) {
	p := c.prover()
	trusted, err := p.Establish(ctx)
	if err != nil {
		return nil, err
	}
	touched, err := c.touch(ctx, table, false)
	if err != nil {
		return nil, p.Explain(ctx, trusted, err)
	}
	row, _, err := p.Row(ctx, table, at, key)
	if !errors.Is(err, errNoSuchKey) || touched {
		return row, err
	}
	if _, err := c.touch(ctx, table, true); err != nil {
		return nil, p.Explain(ctx, trusted, err)
	}
	row, _, err = p.Row(ctx, table, at, key)
	return row, err
}

// State returns the trusted state of the database. At first use it takes the state
// from the server, if verify=trust-first-use allows that.
func (v *Verifier) State(ctx context.Context) (State, error) {
	return v.state(ctx, func(p *trust.Prover) (trust.State, error) { return p.Establish(ctx) })
}

// Tx proves that a transaction, by its id from [CommitInfo], belongs to the trusted
// history, and returns its id and hash as a State.
func (v *Verifier) Tx(ctx context.Context, id uint64) (State, error) {
	return v.state(ctx, func(p *trust.Prover) (trust.State, error) { return p.Tx(ctx, id) })
}

func (v *Verifier) state(ctx context.Context, prove func(p *trust.Prover) (trust.State, error)) (State, error) {
	var s trust.State
	err := onConn(ctx, v.db, func(c *Conn) (err error) {
		s, err = prove(c.prover())
		return err
	})
	if err != nil {
		return State{}, err
	}
	return newState(s), nil
}

// tableName folds a name to lower case, as the server does, and refuses invalid
// names.
func tableName(name string) (string, error) {
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', c == '_', i > 0 && '0' <= c && c <= '9':
		default:
			return "", newError(ErrNoSuchTable, "42602", fmt.Sprintf("%q is not the name of a table", name))
		}
	}
	if name == "" {
		return "", newError(ErrNoSuchTable, "42602", "the name of the table is missing")
	}
	return strings.ToLower(name), nil
}

// awaitIndex makes the server wait until its index of a table has a transaction.
func (c *Conn) awaitIndex(ctx context.Context, table string, id uint64) error {
	q, err := c.connector.queries.parse("SELECT * FROM " + quoteName(table) + " LIMIT 1")
	if err != nil {
		return err
	}
	tx, err := c.begin(WithTxOptions(ctx, TxOptions{SnapshotMustIncludeTx: id}), true)
	if err != nil {
		return err
	}
	defer tx.abandon()
	set, err := tx.queryStatement(ctx, q.bind(0, nil))
	if err != nil {
		return err
	}
	_, _, err = set.count()
	return err
}

// touch makes the server's index of a table contain all commits of this connector,
// or, if forced, of all clients. It runs a query of one row, which the server answers
// only when the index is up to date; for a proof the server does not wait.
func (c *Conn) touch(ctx context.Context, table string, forced bool) (touched bool, err error) {
	t := c.connector.trust
	key := indexedTable{c.session().ServerUUID, strings.ToLower(c.Database()), table}
	writes := t.writes.Load()
	t.mu.Lock()
	upToDate := t.indexed[key] == writes
	t.mu.Unlock()
	if upToDate && !forced {
		return false, nil
	}
	q, err := c.connector.queries.parse("SELECT * FROM " + quoteName(table) + " LIMIT 1")
	if err != nil {
		return false, err
	}
	if _, err = c.discard(ctx, q, nil); err != nil {
		return false, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.indexed[key] = max(t.indexed[key], writes)
	return true, nil
}
