package rules

import (
	"bytes"
	"database/sql/driver"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/immudb-go/immudb/internal/sqltext/tree"
)

// nullRules are about values that are stored in a column of another type.
var nullRules = []*Rule{
	{
		Name:      "json-null",
		Construct: "the JSON value null",
		Reason: "the server cannot read it back, so no UPDATE or DELETE of the row works; " +
			"write NULL, or pass nil",
		Needs: tree.HasWrite | tree.HasCast,
		look: func(l *look) {
			l.each(func(n tree.Node) bool {
				if c, ok := n.(*tree.Cast); ok && c.Type == "JSON" {
					l.store(c.Expr, func(Tables) *Column { return &Column{Type: "JSON"} })
				}
				return true
			})
			l.eachStored(func(x tree.Expr, _ scope, column func(Tables) *Column) { l.store(x, column) })
		},
	},
	{
		Name:      "text-into-json",
		Construct: "a computed string or a VARCHAR column as the value of a JSON column",
		Reason: "if it is null the server cannot read it back, so no UPDATE or DELETE of the row works; " +
			"write CAST(… AS JSON), which fails in that case",
		Needs: tree.HasWrite,
		look: func(l *look) {
			l.eachStored(func(x tree.Expr, s scope, column func(Tables) *Column) {
				if !s.mayBeText(noTables{}, x) {
					return
				}
				l.refuseTables(x, "", nil, func(tables Tables, _ Args) bool {
					c := column(tables)
					return c == nil || c.Type != "JSON" || !s.mayBeText(tables, x)
				})
			})
			if i, ok := l.st.(*tree.Insert); ok {
				l.starIntoJSON(i)
			}
		},
	},
}

// eachStored calls f for each value that the statement stores, with its scope and the
// column that it is stored in, which is nil if it is not known.
func (l *look) eachStored(f func(x tree.Expr, s scope, column func(Tables) *Column)) {
	set := func(table string, list []tree.Assignment) {
		for i := range list {
			column := list[i].Column.Name
			f(list[i].Value, scope{target: table}, func(tables Tables) *Column { return l.table(tables, table).Column(column) })
		}
	}
	switch st := l.st.(type) {
	case *tree.Insert:
		for r := range st.Rows {
			for at, x := range st.Rows[r].Values {
				f(x, scope{}, func(tables Tables) *Column { return l.columnAt(tables, st, at) })
			}
		}
		for _, s := range sides(st.Query) {
			sc := scopeOf(s, nil)
			for at := range s.Targets {
				if x := s.Targets[at].Expr; x != nil {
					f(x, sc, func(tables Tables) *Column { return l.columnAt(tables, st, at) })
				}
			}
		}
		if st.Conflict != nil {
			set(st.Table.Name, st.Conflict.Set)
		}
	case *tree.Update:
		set(st.Table.Name, st.Set)
	}
}

// sides are the queries whose rows a query returns.
func sides(q tree.Query) []*tree.Select {
	switch q := q.(type) {
	case *tree.Select:
		return []*tree.Select{q}
	case *tree.Brackets:
		return sides(q.Query)
	case *tree.SetOperation:
		var all []*tree.Select
		for _, side := range q.Sides {
			all = append(all, sides(side)...)
		}
		return all
	case *tree.With:
		return sides(q.Body)
	}
	return nil
}

// columnAt is the column for the value with that index in an INSERT, or nil.
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

// store checks a value that is stored in a column.
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
			if p != x && p.Index == x.Index { // the argument is used elsewhere too, where it must not change
				l.refuseTables(x, "", func(args Args) bool { return IsJSONNull(args(x.Index)) },
					func(tables Tables, _ Args) bool { return !isJSON(tables) })
				return
			}
		}
		l.plan.stored = append(l.plan.stored, stored{x.Index, column})
	case *tree.Case:
		for _, w := range x.Whens {
			l.store(w.Then, column)
		}
		if x.Else != nil {
			l.store(x.Else, column)
		}
	case *tree.Call:
		if !handsThrough(x) {
			return
		}
		for _, arg := range x.Args {
			switch arg := tree.Bare(arg).(type) {
			case *tree.Param: // with NULL in its place the call would mean something else
				l.refuseTables(arg, "", func(args Args) bool { return IsJSONNull(args(arg.Index)) },
					func(tables Tables, _ Args) bool { return !isJSON(tables) })
			default:
				l.store(arg, column)
			}
		}
	}
}

// starIntoJSON checks INSERT … SELECT * like the columns that the * means.
func (l *look) starIntoJSON(i *tree.Insert) {
	for _, side := range sides(i.Query) {
		if !side.Star || side.From == nil {
			continue
		}
		s := scopeOf(side, nil)
		l.refuseTables(side, "", nil, func(tables Tables, _ Args) bool {
			if !l.names(tables, i, "JSON") {
				return true
			}
			list := columnsAnswered(tables, side)
			for at, name := range list {
				if c := l.columnAt(tables, i, at); c != nil && c.Type == "JSON" && s.mayBeText(tables, &tree.Column{Name: tree.Ident{Name: name}}) {
					return false
				}
			}
			return list != nil
		})
	}
}

// mayBeText reports whether an expression may be a string that is not a literal of the
// statement.
func (s *scope) mayBeText(tables Tables, x tree.Expr) bool {
	switch x := tree.Bare(x).(type) {
	case *tree.Column, *tree.Cast:
		typ := s.typeOf(tables, x)
		return typ == "VARCHAR" || typ == ""
	case *tree.Aggregate:
		return x.Name == "STRING_AGG" || x.Column != nil && x.Name != "COUNT" && s.mayBeText(tables, x.Column)
	case *tree.Case:
		return x.Else != nil && s.mayBeText(tables, x.Else) || slices.ContainsFunc(x.Whens, func(w tree.When) bool { return s.mayBeText(tables, w.Then) })
	case *tree.Call:
		return !handsThrough(x) || slices.ContainsFunc(x.Args, func(arg tree.Expr) bool { return s.mayBeText(tables, arg) })
	case *tree.Subquery:
		if len(x.Query.Targets) != 1 || x.Query.Targets[0].Expr == nil {
			return true
		}
		inner := scopeOf(x.Query, s)
		return inner.mayBeText(tables, x.Query.Targets[0].Expr)
	}
	return false
}

// noTables knows no tables.
type noTables struct{}

func (noTables) Table(string) *Table { return nil }
func (noTables) IsView(string) bool  { return false }

// handsThrough reports whether a call may return one of its arguments unchanged.
func handsThrough(c *tree.Call) bool {
	switch c.Name.Name {
	case "coalesce", "nullif", "greatest", "least":
		return true
	}
	return false
}

// stored is an argument that is stored in a column unchanged.
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

// Fitted returns the arguments for which other values must be sent, by their indexes.
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

// Fit returns the value to store in a column of the type in place of v, and whether it
// differs from v: NULL for the JSON value null, and a string for bytes that are text.
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
