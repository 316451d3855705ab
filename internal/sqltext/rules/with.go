package rules

import "github.com/immudb-go/immudb/internal/sqltext/tree"

// withRules are about WITH.
var withRules = []*Rule{{
	Name:      "with-is-shared",
	Construct: "WITH RECURSIVE of a query that reads itself, or WITH of queries that become too long,",
	Reason: "the server keeps the names of WITH where all sessions read and write them, so that its process ends when two such queries meet; " +
		"the driver makes derived tables of those that do not read themselves: read a tree level by level",
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

// longestWith bounds the text that derived tables make of a query, in bytes: one
// that is read twice by another, and so on, doubles it each time.
const longestWith = 1 << 20

// inliner writes the queries of WITH in the places where they are read.
type inliner struct {
	text    string
	refused tree.Node // what cannot be written so, or nil
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

// query returns the text of a query with others in the places of their names.
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

// readsTable reports whether a query reads something of the name.
func readsTable(q tree.Query, name string) bool {
	found := false
	tree.Inspect(q, func(n tree.Node) bool {
		t, ok := n.(*tree.Table)
		found = found || ok && t.Name.Name == name
		return !found
	})
	return found
}
