package rules

import (
	"fmt"
	"slices"
	"strings"

	"github.com/immudb-go/immudb/internal/sqltext/tree"
)

// withRules are about WITH.
var withRules = []*Rule{{
	Name:      "with-columns",
	Construct: "WITH name (columns) for more columns than the query has, or for SELECT *,",
	Reason:    "the server supports neither the list of columns nor VALUES in WITH; the driver names the columns in the query: write SELECT a AS x, b AS y",
	Needs:     tree.HasWithColumns,
	look: func(l *look) {
		l.each(func(n tree.Node) bool {
			if w, ok := n.(*tree.With); ok {
				for _, t := range w.Tables {
					l.nameColumns(t)
				}
			}
			return true
		})
	},
}, {
	Name:      "with-is-shared",
	Construct: "WITH RECURSIVE with a query that reads itself, or WITH with queries that become too long,",
	Reason: "the server keeps the names of WITH in memory that all sessions share without a lock, so that it crashes when two such queries run at once; " +
		"the driver turns queries that do not read themselves into derived tables; read a tree level by level",
	Needs: tree.HasWith,
	look: func(l *look) {
		l.each(func(n tree.Node) bool {
			w, ok := n.(*tree.With)
			if !ok {
				return true
			}
			in := inliner{text: l.script.Text}
			text := in.with(w, nil)
			if in.refused != nil {
				l.refuse(in.refused, "")
			}
			l.replace(w.Span, text)
			return false
		})
	},
}}

// nameColumns writes the list of columns of a name of WITH as aliases. VALUES becomes a query,
// whose columns are called column1, column2, … like those of PostgreSQL if they have no names.
func (l *look) nameColumns(t *tree.CommonTable) {
	var columns []string // of the query
	switch q := t.Query.(type) {
	case *tree.Values:
		for i := range q.Rows[0].Values {
			columns = append(columns, fmt.Sprintf("col%d AS column%d", i, i+1))
		}
	default:
		if t.Columns == nil {
			return
		}
		columns = l.columnsNamed(outermost(q))
	}
	if len(columns) == 0 || len(t.Columns) > len(columns) {
		l.refuse(t, "")
		return
	}
	for i, name := range t.Columns {
		columns[i], _, _ = strings.Cut(columns[i], " ")
		columns[i] += " AS " + nameWritten(name, l.script.Text)
	}
	if t.Columns != nil {
		l.replace(t.ColumnsAt, "")
	}
	at := t.Query.Place()
	l.replace(tree.Span{Start: at.Start, End: at.Start}, "SELECT "+strings.Join(columns, ", ")+" FROM (")
	l.replace(tree.Span{Start: at.End, End: at.End}, ")")
}

// columnsNamed returns the names of the columns of a query, and gives names to those that have
// none. It returns nil if not all can be told apart.
func (l *look) columnsNamed(s *tree.Select) []string {
	if s == nil || s.Star {
		return nil
	}
	var names []string
	for i := range s.Targets {
		t := &s.Targets[i]
		c, isColumn := t.Expr.(*tree.Column)
		name := fmt.Sprintf("with_%d", i)
		switch {
		case t.Star:
			return nil
		case t.Alias.Given():
			name = nameWritten(t.Alias, l.script.Text)
		case isColumn:
			name = nameWritten(c.Name, l.script.Text)
		default:
			l.replace(tree.Span{Start: t.End, End: t.End}, " AS "+name)
		}
		if slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) }) {
			return nil
		}
		names = append(names, name)
	}
	return names
}

// longestWith bounds the length of a query with derived tables, in bytes. If each query
// of WITH reads the one before it twice, the length doubles each time.
const longestWith = 1 << 20

// inliner replaces the names of WITH by their queries.
type inliner struct {
	text    string
	refused tree.Node // the part that cannot be replaced, or nil
}

// with returns the text of the query after WITH, without WITH.
func (in *inliner) with(w *tree.With, outer map[string]string) string {
	queries := make(map[string]string, len(outer)+len(w.Tables))
	for name, text := range outer {
		queries[name] = text
	}
	for _, t := range w.Tables {
		if w.Recursive && readsTable(t.Query, t.Name.Name) {
			in.refused = t
			return ""
		}
		queries[t.Name.Name] = in.query(t.Query, queries)
	}
	return in.query(w.Body, queries)
}

// query returns the text of a query with the queries of WITH in place of their names.
func (in *inliner) query(q tree.Query, queries map[string]string) string {
	at := q.Place()
	var edits []edit
	size := at.End - at.Start
	put := func(n tree.Node, text string) {
		place := n.Place()
		edits = append(edits, edit{tree.Span{Start: place.Start - at.Start, End: place.End - at.Start}, text})
		if size += len(text); size > longestWith {
			in.refused = q
		}
	}
	tree.Inspect(q, func(n tree.Node) bool {
		if in.refused != nil {
			return false
		}
		switch n := n.(type) {
		case *tree.With:
			put(n, in.with(n, queries))
			return false
		case *tree.Table:
			if text, ok := queries[n.Name.Name]; ok && n.Kind == tree.Plain && n.Since == nil && n.Until == nil {
				alias := n.Name
				if n.Alias.Given() {
					alias = n.Alias
				}
				put(n, "("+text+") AS "+nameWritten(alias, in.text))
			}
		}
		return true
	})
	if in.refused != nil {
		return ""
	}
	text, _ := apply(at.Of(in.text), edits)
	return text
}

// readsTable reports whether a query reads a source with that name.
func readsTable(q tree.Query, name string) bool {
	found := false
	tree.Inspect(q, func(n tree.Node) bool {
		t, ok := n.(*tree.Table)
		found = found || ok && t.Name.Name == name
		return !found
	})
	return found
}
