package immudb

import (
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/immudb-go/immudb/internal/proof"
	"github.com/immudb-go/immudb/internal/served"
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
	// The conversions are those of database/sql, which does not export them.
	db := sql.OpenDB(oneRow{r})
	defer db.Close()
	if err := db.QueryRow("").Scan(dest...); err != nil {
		return fmt.Errorf("immudb: proven row: %w", err)
	}
	return nil
}

// StructScan copies the values into the fields of the struct that dest points
// to: those whose tag `db:"name"` is the column's name, or which have that name in
// lower case and no tag, also within embedded structs. A column without a field is
// an error.
func (r *ProvenRow) StructScan(dest any) error {
	v := reflect.ValueOf(dest)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		return fmt.Errorf("immudb: proven row: StructScan needs a pointer to a struct, not %T", dest)
	}
	fields := make(map[string][]int)
	collectFields(v.Elem().Type(), nil, nil, fields)
	into := make([]any, len(r.Columns))
	for i, column := range r.Columns {
		index, ok := fields[column]
		if !ok {
			return fmt.Errorf("immudb: proven row: %T has no field for column %s; add one, or the tag `db:%q`", dest, column, column)
		}
		into[i] = fieldByIndex(v.Elem(), index).Addr().Interface()
	}
	return r.Scan(into...)
}

// collectFields finds the field for each column name. An outer field takes precedence
// over an embedded one. A type that embeds itself is visited once.
func collectFields(t reflect.Type, within []reflect.Type, prefix []int, fields map[string][]int) {
	if slices.Contains(within, t) {
		return
	}
	within = append(slices.Clip(within), t)
	var embedded []reflect.StructField
	for i := range t.NumField() {
		f := t.Field(i)
		name, tagged := f.Tag.Lookup("db")
		name, _, _ = strings.Cut(name, ",")
		switch {
		case name == "-":
		case f.Anonymous && !tagged && structOf(f.Type) != nil:
			embedded = append(embedded, f)
		case !f.IsExported():
		default:
			if name == "" {
				name = strings.ToLower(f.Name)
			}
			if _, taken := fields[name]; !taken {
				fields[name] = append(slices.Clone(prefix), i)
			}
		}
	}
	for _, f := range embedded {
		if f.IsExported() || f.Type.Kind() == reflect.Struct { // an embedded pointer must be settable
			collectFields(structOf(f.Type), within, append(slices.Clone(prefix), f.Index[0]), fields)
		}
	}
}

// structOf returns the struct type that t is or points to. It returns nil for other
// types, and for structs that are one value, such as time.Time.
func structOf(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || t == reflect.TypeFor[time.Time]() || reflect.PointerTo(t).Implements(reflect.TypeFor[sql.Scanner]()) {
		return nil
	}
	return t
}

// fieldByIndex returns a field, and allocates the embedded structs that hold it.
func fieldByIndex(v reflect.Value, index []int) reflect.Value {
	for _, i := range index {
		if v.Kind() == reflect.Pointer {
			if v.IsNil() {
				v.Set(reflect.New(v.Type().Elem()))
			}
			v = v.Elem()
		}
		v = v.Field(i)
	}
	return v
}

// oneRow is a connector whose connections return the row for each query.
type oneRow struct{ row *ProvenRow }

func (o oneRow) Connect(context.Context) (driver.Conn, error) { return o, nil }
func (o oneRow) Driver() driver.Driver                        { return &Driver{} }
func (o oneRow) Prepare(string) (driver.Stmt, error)          { return o, nil }
func (o oneRow) Begin() (driver.Tx, error)                    { return nil, driver.ErrSkip }
func (o oneRow) Close() error                                 { return nil }
func (o oneRow) NumInput() int                                { return 0 }
func (o oneRow) Exec([]driver.Value) (driver.Result, error)   { return nil, driver.ErrSkip }
func (o oneRow) Query([]driver.Value) (driver.Rows, error)    { return &oneRowRows{row: o.row}, nil }

type oneRowRows struct {
	row  *ProvenRow
	done bool
}

func (r *oneRowRows) Columns() []string { return r.row.Columns }
func (r *oneRowRows) Close() error      { return nil }

func (r *oneRowRows) Next(dest []driver.Value) error {
	if r.done {
		return io.EOF
	}
	r.done = true
	for i, v := range r.row.Values {
		dest[i] = v
	}
	return nil
}
