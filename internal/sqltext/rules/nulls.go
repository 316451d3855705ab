package rules

import (
	"bytes"
	"database/sql/driver"
	"strings"
	"unicode/utf8"

	"github.com/immudb-go/immudb/internal/sqltext/tree"
)

// nullRules are about values that are stored in a column of another type than theirs.
var nullRules = []*Rule{
	{
		Name:      "json-null",
		Construct: "the JSON value null",
		Reason: "the server cannot read it again, so that no UPDATE or DELETE of the row works; " +
			"write NULL, or pass nil",
		Needs: tree.HasWrite | tree.HasCast,
		look: func(l *look) {
			l.each(func(n tree.Node) bool {
				if c, ok := n.(*tree.Cast); ok && c.Type == "JSON" {
					l.store(c.Expr, func(Tables) *Column { return &Column{Type: "JSON"} })
				}
				return true
			})
			l.eachStored(l.store)
		},
	},
}

// eachStored calls f for each value that the statement stores, with the column that it
// is stored in, which is nil if that cannot be told.
func (l *look) eachStored(f func(x tree.Expr, column func(Tables) *Column)) {
	set := func(table string, list []tree.Assignment) {
		for i := range list {
			column := list[i].Column.Name
			f(list[i].Value, func(tables Tables) *Column { return l.table(tables, table).Column(column) })
		}
	}
	switch st := l.st.(type) {
	case *tree.Insert:
		for r := range st.Rows {
			for at, x := range st.Rows[r].Values {
				f(x, func(tables Tables) *Column { return l.columnAt(tables, st, at) })
			}
		}
		if st.Conflict != nil {
			set(st.Table.Name, st.Conflict.Set)
		}
	case *tree.Update:
		set(st.Table.Name, st.Set)
	}
}

// columnAt is the column that an INSERT stores the value with that index in, or nil.
func (l *look) columnAt(tables Tables, i *tree.Insert, at int) *Column {
	t := l.table(tables, i.Table.Name)
	switch {
	case t == nil:
		return nil
	case len(i.Columns) == 0 && at < len(t.Columns):
		return &t.Columns[at]
	case at < len(i.Columns):
		return t.Column(i.Columns[at].Name)
	}
	return nil
}

// store looks at a value that is stored in a column.
func (l *look) store(x tree.Expr, column func(Tables) *Column) {
	isJSON := func(tables Tables) bool {
		c := column(tables)
		return c != nil && c.Type == "JSON"
	}
	switch x := tree.Bare(x).(type) {
	case *tree.Literal:
		if x.Kind == tree.String && IsJSONNull(x.String()) {
			l.refuseTables(x, "", nil, func(tables Tables, _ Args) bool { return !isJSON(tables) })
		}
	case *tree.Param:
		for _, p := range l.script.Params {
			if p != x && p.Index == x.Index { // another value may not be meant elsewhere
				l.refuseTables(x, "", func(args Args) bool { return IsJSONNull(args(x.Index)) },
					func(tables Tables, _ Args) bool { return !isJSON(tables) })
				return
			}
		}
		l.plan.stored = append(l.plan.stored, stored{x.Index, column})
	}
}

// stored is an argument that is stored in a column as it is.
type stored struct {
	index  int
	column func(Tables) *Column
}

// IsJSONNull reports whether a string or a []byte is the JSON value null.
func IsJSONNull(v driver.Value) bool {
	switch v := v.(type) {
	case string:
		return len(v) >= 4 && strings.Trim(v, " \t\r\n") == "null"
	case []byte:
		return len(v) >= 4 && string(bytes.Trim(v, " \t\r\n")) == "null"
	}
	return false
}

// MayFit reports whether Fitted may change any of these arguments.
func (p *Plan) MayFit(args Args) bool {
	for _, s := range p.stored {
		v := args(s.index)
		if b, ok := v.([]byte); ok && b != nil || IsJSONNull(v) {
			return true
		}
	}
	return false
}

// Fitted returns the arguments that are to be sent as other values, by their
// indexes.
func (p *Plan) Fitted(tables Tables, args Args) map[int]driver.Value {
	changed := make(map[int]driver.Value)
	for _, s := range p.stored {
		v := args(s.index)
		if b, ok := v.([]byte); ok && b != nil || IsJSONNull(v) {
			if c := s.column(tables); c != nil {
				if now, ok := Fit(v, c.Type); ok {
					changed[s.index] = now
				}
			}
		}
	}
	return changed
}

// Fit returns what to store in a column of the type in place of v, and whether that
// is another value: NULL for the JSON value null, and a string for bytes that are
// text.
func Fit(v driver.Value, columnType string) (fitted driver.Value, changed bool) {
	b, isBytes := v.([]byte)
	switch {
	case columnType == "JSON" && IsJSONNull(v):
		return nil, true
	case isBytes && b != nil && (columnType == "JSON" || columnType == "VARCHAR") && utf8.Valid(b):
		return string(b), true
	}
	return v, false
}
