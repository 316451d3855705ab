package rules

import (
	"slices"
	"strings"

	"github.com/immudb-go/immudb/internal/sqltext/tree"
)

// Written is a table with secondary indexes that the transaction at hand has written.
// The server's secondary indexes do not show what the transaction wrote: only the
// primary one does.
type Written struct {
	Table            // of which Primary is known
	Indexed []string // the columns of secondary indexes
}

// Read returns the names of the tables whose rows a statement reads as they are now,
// each once.
func Read(st tree.Statement) []string {
	var names []string
	add := func(name string) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	switch st := st.(type) {
	case *tree.Update:
		add(st.Table.Name)
	case *tree.Delete:
		add(st.Table.Name)
	}
	tree.Inspect(st, func(n tree.Node) bool {
		if t, ok := n.(*tree.Table); ok && isNow(t) {
			add(t.Name.Name)
		}
		return true
	})
	return names
}

// isNow reports whether a source is a table as it is now.
func isNow(t *tree.Table) bool { return t.Kind == tree.Plain && t.Since == nil && t.Until == nil }

// ThroughPrimary rewrites the statements of a script so that tables which written
// knows, by statement and name, are read through their primary index. Two things
// keep the server from another index: USE INDEX ON, which a condition of equality
// overrides, and NOT (NOT (…)) around conditions, behind which it does not look.
// scans names the tables of which all rows are then read.
func ThroughPrimary(script *tree.Script, written func(statement int, table string) *Written) (text string, scans []string, refusal *Refusal) {
	r := &rerouting{text: script.Text}
	for i, st := range script.Statements {
		r.written = func(name string) *Written { return written(i, name) }
		r.statement(st)
	}
	if r.refusal != nil {
		return "", nil, r.refusal
	}
	text, _ = apply(script.Text, r.edits)
	return text, r.scans, nil
}

type rerouting struct {
	text    string
	written func(table string) *Written
	edits   []edit
	scans   []string
	refusal *Refusal
}

// routed is a table that a statement reads and that the transaction has written.
type routed struct {
	*Written
	name  string // as the statement calls it
	table string
	place int          // where USE INDEX ON may stand, or -1
	index []tree.Ident // what the statement says itself
	node  tree.Node
}

func (r *rerouting) statement(st tree.Statement) {
	switch st := st.(type) {
	case *tree.Update:
		r.change(st.Table, st.Where, st.Index, st)
	case *tree.Delete:
		r.change(st.Table, st.Where, st.Index, st)
	}
	tree.Inspect(st, func(n tree.Node) bool {
		if s, ok := n.(*tree.Select); ok {
			r.query(s)
		}
		return true
	})
}

// change is about an UPDATE or DELETE. Without a condition it reads the primary index.
func (r *rerouting) change(table tree.Ident, where tree.Expr, index []tree.Ident, n tree.Node) {
	w := r.written(table.Name)
	if w == nil || where == nil {
		return
	}
	t := &routed{w, table.Name, table.Name, where.Place().End, index, n}
	r.hide(where, []*routed{t})
	r.route(t, where)
}

// query is about one SELECT, without those within it.
func (r *rerouting) query(s *tree.Select) {
	var tables []*routed
	conditions := []tree.Expr{s.Where}
	if from, ok := s.From.(*tree.Table); ok {
		tables = r.add(tables, from, s.Index, true)
	}
	for _, j := range s.Joins {
		conditions = append(conditions, j.On)
		if t, ok := j.Source.(*tree.Table); ok {
			tables = r.add(tables, t, j.Index, j.On != nil)
		}
	}
	if len(tables) == 0 {
		return
	}
	for i, x := range conditions {
		if x == nil || !r.hide(x, tables) || i == 0 {
			continue
		}
		// What is hidden would be taken for a condition on one table, see isFrozen.
		r.append(x.Place().End, " AND TRUE")
	}
	for _, t := range tables {
		r.route(t, conditions...)
	}
}

func (r *rerouting) add(tables []*routed, t *tree.Table, index []tree.Ident, takesIndex bool) []*routed {
	if !isNow(t) {
		return tables
	}
	w := r.written(t.Name.Name)
	if w == nil {
		return tables
	}
	place := -1
	if takesIndex {
		place = t.End
	}
	return append(tables, &routed{w, nameOf(t), t.Name.Name, place, index, t})
}

// route has the server read a table through its primary index.
func (r *rerouting) route(t *routed, conditions ...tree.Expr) {
	switch {
	case len(t.index) == 0 && t.place >= 0:
		r.append(t.place, " USE INDEX ON ("+strings.Join(quoted(t.Primary), ", ")+")")
	case len(t.index) > 0 && !slices.EqualFunc(t.index, t.Primary, func(id tree.Ident, name string) bool { return id.Name == name }):
		r.refuse(t)
	}
	for _, x := range conditions {
		if t.pinned(x, t.name, false) {
			return
		}
	}
	if !slices.Contains(r.scans, t.table) {
		r.scans = append(r.scans, t.table)
	}
}

// otherIndex is the reason why a statement is refused that wants another index than
// the one that shows what its transaction has written.
var otherIndex = &Rule{
	Name:      "index-without-own-writes",
	Construct: "USE INDEX ON of a secondary index, for a table that the transaction has written,",
	Reason:    "the index does not show what was written; leave USE INDEX ON out, or commit first",
}

func (r *rerouting) refuse(t *routed) {
	if r.refusal == nil {
		r.refusal = &Refusal{Rule: otherIndex, Construct: otherIndex.Construct}
		r.refusal.Line, r.refusal.Column = tree.Position(r.text, t.node.Place().Start)
	}
}

func (r *rerouting) insert(at int, text string) {
	r.edits = append(r.edits, edit{tree.Span{Start: at, End: at}, text})
}

// append inserts behind what was inserted at a place before.
func (r *rerouting) append(at int, text string) {
	for i := len(r.edits) - 1; i >= 0; i-- {
		if e := &r.edits[i]; e.at.Start == at && e.at.End == at {
			e.text += text
			return
		}
	}
	r.insert(at, text)
}

// hide puts NOT (NOT (…)) around the parts of a condition that may make the server
// choose another index than the primary one: all but those about columns that are in
// no other. It reports whether there were any.
func (r *rerouting) hide(x tree.Expr, tables []*routed) bool {
	if c, ok := tree.Bare(x).(*tree.Chain); ok && c.Operators[0] == "AND" {
		hidden := false
		for _, operand := range c.Operands {
			hidden = r.hide(operand, tables) || hidden
		}
		return hidden
	}
	exposed := false
	tree.Inspect(x, func(n tree.Node) bool {
		switch n := n.(type) {
		case *tree.Column:
			exposed = exposed || slices.ContainsFunc(tables, func(t *routed) bool { return t.exposes(n) })
		case *tree.Subquery, *tree.Exists, *tree.InQuery:
			return false
		}
		return true
	})
	if !exposed {
		return false
	}
	at := x.Place()
	r.insert(at.Start, "(NOT (NOT (")
	r.truths(x)
	r.edits = append(r.edits, edit{tree.Span{Start: at.End, End: at.End}, ")))"})
	return true
}

// exposes reports whether a column may be one that a secondary index of the table has.
func (t *routed) exposes(c *tree.Column) bool {
	if c.Table.Given() && c.Table.Name != t.name {
		return false
	}
	return slices.Contains(t.Indexed, c.Name.Name)
}

// truths writes columns that are conditions by themselves as comparisons: under NOT,
// the server refuses one that is NULL.
func (r *rerouting) truths(x tree.Expr) {
	switch x := tree.Bare(x).(type) {
	case *tree.Column:
		r.insert(x.End, " = TRUE")
	case *tree.Chain:
		if op := x.Operators[0]; op == "AND" || op == "OR" {
			for _, operand := range x.Operands {
				r.truths(operand)
			}
		}
	}
}

func quoted(names []string) []string {
	q := make([]string, len(names))
	for i, name := range names {
		q[i] = `"` + name + `"`
	}
	return q
}
