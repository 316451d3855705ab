// Package scanrow copies the values of a row as database/sql does, which does not export its
// conversions.
package scanrow

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"time"
)

type row struct {
	columns []string
	values  []any
}

// Into copies the values into the destinations, as sql.Row.Scan does.
func Into(columns []string, values []any, dest ...any) error {
	db := sql.OpenDB(connector{row{columns, values}})
	defer db.Close()
	return db.QueryRow("").Scan(dest...)
}

// IntoStruct copies the values into the fields of the struct that dest points to: those
// whose tag `db:"name"` is the column's name, or which have that name in lower case and no
// tag, also within embedded structs. A column without a field is an error.
func IntoStruct(columns []string, values []any, dest any) error {
	v := reflect.ValueOf(dest)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		return fmt.Errorf("StructScan needs a pointer to a struct, not %T", dest)
	}
	fields := make(map[string][]int)
	collectFields(v.Elem().Type(), nil, nil, fields)
	into := make([]any, len(columns))
	for i, column := range columns {
		index, ok := fields[column]
		if !ok {
			return fmt.Errorf("%T has no field for column %s; add one, or the tag `db:%q`", dest, column, column)
		}
		into[i] = fieldByIndex(v.Elem(), index).Addr().Interface()
	}
	return Into(columns, values, into...)
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

// connector is a connector whose connections return the row for each query.
type connector struct{ row row }

func (o connector) Connect(context.Context) (driver.Conn, error) { return o, nil }
func (o connector) Driver() driver.Driver                        { return nil }
func (o connector) Prepare(string) (driver.Stmt, error)          { return o, nil }
func (o connector) Begin() (driver.Tx, error)                    { return nil, driver.ErrSkip }
func (o connector) Close() error                                 { return nil }
func (o connector) NumInput() int                                { return 0 }
func (o connector) Exec([]driver.Value) (driver.Result, error)   { return nil, driver.ErrSkip }
func (o connector) Query([]driver.Value) (driver.Rows, error)    { return &rows{row: o.row}, nil }

type rows struct {
	row  row
	done bool
}

func (r *rows) Columns() []string { return r.row.columns }
func (r *rows) Close() error      { return nil }

func (r *rows) Next(dest []driver.Value) error {
	if r.done {
		return io.EOF
	}
	r.done = true
	for i, v := range r.row.values {
		dest[i] = v
	}
	return nil
}
