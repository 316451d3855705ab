package rules

import (
	"bytes"
	"database/sql/driver"
	"strings"

	"github.com/immudb-go/immudb/internal/sqltext/tree"
)

// nullRules are about the JSON value null.
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
					l.jsonNull(c.Expr, func(Tables) bool { return true })
				}
				return true
			})
			switch st := l.st.(type) {
			case *tree.Insert:
				l.jsonRows(st)
			case *tree.Update:
				l.jsonSet(st.Table.Name, st.Set)
			}
		},
	},
}

func (l *look) jsonRows(i *tree.Insert) {
	for r := range i.Rows {
		for at, x := range i.Rows[r].Values {
			l.jsonNull(x, func(tables Tables) bool {
				t := l.table(tables, i.Table.Name)
				if t == nil {
					return false
				}
				if len(i.Columns) == 0 {
					return at < len(t.Columns) && t.Columns[at].Type == "JSON"
				}
				if at >= len(i.Columns) {
					return false
				}
				c := t.Column(i.Columns[at].Name)
				return c != nil && c.Type == "JSON"
			})
		}
	}
	if i.Conflict != nil {
		l.jsonSet(i.Table.Name, i.Conflict.Set)
	}
}

func (l *look) jsonSet(table string, set []tree.Assignment) {
	for i := range set {
		column := set[i].Column.Name
		l.jsonNull(set[i].Value, func(tables Tables) bool {
			c := l.table(tables, table).Column(column)
			return c != nil && c.Type == "JSON"
		})
	}
}

// jsonNull refuses a value that is the JSON null, if into says that it goes into a
// JSON column. An argument of that value becomes NULL.
func (l *look) jsonNull(x tree.Expr, into func(Tables) bool) {
	switch x := tree.Bare(x).(type) {
	case *tree.Literal:
		if x.Kind == tree.String && IsJSONNull(x.String()) {
			l.refuseTables(x, "", nil, func(tables Tables, _ Args) bool { return !into(tables) })
		}
	case *tree.Param:
		for _, p := range l.script.Params {
			if p != x && p.Index == x.Index { // NULL may not be meant elsewhere
				l.refuseTables(x, "", func(args Args) bool { return IsJSONNull(args(x.Index)) },
					func(tables Tables, _ Args) bool { return !into(tables) })
				return
			}
		}
		l.plan.nulls = append(l.plan.nulls, null{x.Index, into})
	}
}

// null is an argument that becomes NULL if it is the JSON null and into says that
// it goes into a JSON column.
type null struct {
	index int
	into  func(Tables) bool
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

// Nulls returns the indexes of the arguments that are to be sent as NULL.
func (p *Plan) Nulls(tables Tables, args Args) []int {
	var list []int
	for _, n := range p.nulls {
		if IsJSONNull(args(n.index)) && n.into(tables) {
			list = append(list, n.index)
		}
	}
	return list
}

// MayHaveNulls reports whether Nulls may return any with these arguments.
func (p *Plan) MayHaveNulls(args Args) bool {
	for _, n := range p.nulls {
		if IsJSONNull(args(n.index)) {
			return true
		}
	}
	return false
}
