package rules

import (
	"slices"
	"strings"

	"github.com/immudb-go/immudb/internal/sqltext/tree"
)

// If a transaction reads through a secondary index, the server uses the index as of the
// beginning of the transaction and the rows as they are now: rows are missing, come
// twice, or are found by values that they no longer have. Reads through the primary
// index are right. So a query that reads rows written by its transaction is changed
// until the server uses the primary index:
//
//   - USE INDEX ON (primary key) works for ORDER BY and GROUP BY;
//   - a condition on the first column of another index makes the server use that index
//     in spite of USE INDEX, unless the condition follows NOT: the server does not plan
//     with conditions under NOT.

// Guarded is a text that reads the rows written by its transaction through the primary
// index.
type Guarded struct {
	Text string
	// Scans are the full scans that the change causes: for each, the tables whose
	// numbers of rows must be multiplied to get the number of rows read.
	Scans [][]string
	// View is a view that the text reads, or "". The text cannot choose the index that
	// is used for a view.
	View string
	// Deleted is a table that an INSERT … ON CONFLICT writes to after the transaction
	// deleted rows of it, or "". The server treats the deleted rows as existing.
	Deleted string
}

// Written are the tables that a transaction has written to, and the tables that it has
// deleted rows from.
type Written struct{ Tables, Deleted []string }

// Guard changes a text for a transaction that has written to some tables. It also
// counts the writes of each statement of the text for the statements after it.
func Guard(script *tree.Script, written Written, tables Tables) Guarded {
	g := guard{text: script.Text, tables: tables, guarded: make(map[string]*Table)}
	for _, name := range written.Tables {
		g.wrote(name, tables.Table(name))
	}
	deleted := slices.Clone(written.Deleted)
	for i, st := range script.Statements {
		switch st := st.(type) {
		case *tree.Delete:
			deleted = append(deleted, st.Table.Name)
		case *tree.Insert:
			if st.Conflict != nil && slices.Contains(deleted, st.Table.Name) {
				g.Deleted = st.Table.Name
			}
		}
		g.find = func(name string) *Table { return tableAt(script, i, tables, name) }
		g.walk(st, nil)
		if name := changed(st); name != "" && i < len(script.Statements)-1 {
			g.wrote(name, tableAt(script, i+1, tables, name))
		}
	}
	g.Text, _ = apply(script.Text, g.edits)
	return g.Guarded
}

// ReadsOwn reports whether a statement of the text may read rows that an earlier
// statement of it wrote.
func ReadsOwn(script *tree.Script) bool {
	if len(script.Statements) < 2 {
		return false
	}
	wrote := false
	for _, st := range script.Statements {
		if wrote && reads(st) {
			return true
		}
		wrote = wrote || changed(st) != ""
	}
	return false
}

// Reads reports whether the effect of a statement of the text depends on rows of a
// table.
func Reads(script *tree.Script) bool { return slices.ContainsFunc(script.Statements, reads) }

func reads(st tree.Statement) bool {
	switch st := st.(type) {
	case *tree.Update, *tree.Delete:
		return true
	case *tree.Insert:
		if st.Conflict != nil {
			return true
		}
	}
	found := false
	tree.Inspect(st, func(n tree.Node) bool {
		_, ok := n.(*tree.Table)
		found = found || ok
		return !found
	})
	return found
}

type guard struct {
	Guarded
	text    string
	tables  Tables
	find    func(name string) *Table
	guarded map[string]*Table // the tables with secondary indexes that were written to
	edits   []edit
}

func (g *guard) wrote(name string, t *Table) {
	if t != nil && len(t.Indexes) > 0 {
		g.guarded[name] = t
	}
}

// walk guards the queries and changes within n. They run once for each row of the
// tables in outer.
func (g *guard) walk(n tree.Node, outer []string) {
	if len(g.guarded) == 0 {
		return
	}
	tree.Inspect(n, func(n tree.Node) bool {
		switch n := n.(type) {
		case *tree.Select:
			g.query(n, outer)
			return false
		case *tree.Update:
			g.change(n.Table.Name, n.Where, n.Index, outer)
			inner := g.around(outer, n.Table.Name, n.Table.Name, n.Where)
			for i := range n.Set {
				g.walk(n.Set[i].Value, inner)
			}
			g.walkExpr(n.Where, inner)
			return false
		case *tree.Delete:
			g.change(n.Table.Name, n.Where, n.Index, outer)
			g.walkExpr(n.Where, g.around(outer, n.Table.Name, n.Table.Name, n.Where))
			return false
		}
		return true
	})
}

func (g *guard) walkExpr(x tree.Expr, outer []string) {
	if x != nil {
		g.walk(x, outer)
	}
}

// around adds a table to the outer ones, unless the conditions select one row of it.
func (g *guard) around(outer []string, table, alias string, conditions ...tree.Expr) []string {
	if t := g.find(table); t != nil {
		for _, x := range conditions {
			if t.pinned(x, alias, false) {
				return outer
			}
		}
	}
	return append(outer[:len(outer):len(outer)], table)
}

// change guards UPDATE and DELETE.
func (g *guard) change(table string, where tree.Expr, index []tree.Ident, outer []string) {
	t := g.guarded[table]
	if t == nil {
		return
	}
	hidden := g.hide(where, t.leading())
	if len(index) > 0 {
		g.useInstead(index, t)
	}
	if scanned := g.around(outer, table, table, where); (hidden || len(index) > 0) && len(scanned) > len(outer) {
		g.Scans = append(g.Scans, scanned)
	}
}

// query guards a SELECT and those within it.
func (g *guard) query(s *tree.Select, outer []string) {
	from, isTable := s.From.(*tree.Table)
	inner := outer
	var leading []string // the first columns of all indexes that the server may use
	if isTable {
		g.look(from)
		inner = g.around(inner, from.Name.Name, nameOf(from), s.Where)
		leading = append(leading, g.of(from).leading()...)
	} else if s.From != nil {
		g.walk(s.From, outer)
	}
	ofFrom := len(inner)
	hiddenJoin := false
	for _, j := range s.Joins {
		source, isTable := j.Source.(*tree.Table)
		if !isTable {
			g.walk(j.Source, inner)
			g.walkExpr(j.On, inner)
			continue
		}
		g.look(source)
		inner = g.around(inner, source.Name.Name, nameOf(source), s.Where, j.On)
		if t := g.of(source); t != nil {
			leading = append(leading, t.leading()...)
			if len(j.Index) > 0 {
				g.useInstead(j.Index, t)
			}
			hiddenJoin = g.joined(s, j, t.leading()) || hiddenJoin
		}
		g.walkExpr(j.On, inner)
	}
	hidden := g.hide(s.Where, leading)
	if t := g.of(from); t != nil && s.From != nil {
		sorted := len(s.GroupBy)+len(s.OrderBy) > 0
		switch {
		case len(s.Index) > 0:
			g.useInstead(s.Index, t)
			hidden = true
		case sorted:
			at := from.End
			g.edits = append(g.edits, edit{tree.Span{Start: at, End: at}, " USE INDEX ON (" + t.key() + ")"})
		}
		if sorted {
			for _, c := range s.GroupBy {
				hidden = hidden || mentions(c, t.leading())
			}
			for i := range s.OrderBy {
				hidden = hidden || mentions(s.OrderBy[i].Expr, t.leading())
			}
		}
	}
	switch {
	case hiddenJoin && len(inner) > len(outer):
		g.Scans = append(g.Scans, inner)
	case hidden && ofFrom > len(outer):
		g.Scans = append(g.Scans, inner[:ofFrom])
	}
	for i := range s.Targets {
		g.walkExpr(s.Targets[i].Expr, inner)
	}
	g.walkExpr(s.Where, inner)
	g.walkExpr(s.Having, inner)
	for i := range s.OrderBy {
		g.walk(s.OrderBy[i].Expr, inner)
	}
}

// of is the table of a source if it is guarded, or nil.
func (g *guard) of(source *tree.Table) *Table {
	if source == nil || source.Kind != tree.Plain {
		return nil // former rows of a table are read through the primary index
	}
	return g.guarded[source.Name.Name]
}

// look finds out whether a source is a view.
func (g *guard) look(source *tree.Table) {
	name := source.Name.Name
	if g.View == "" && source.Kind == tree.Plain && g.guarded[name] == nil && !isSystemName(name) &&
		g.find(name) == nil && g.tables.IsView(name) {
		g.View = name
	}
}

// joined hides the conditions by which the server may choose an index of a joined
// table. It reports whether, because of that, the table is read again for each row of
// the tables before it.
//
// If ON has an equality, the server reads the table once, through the primary index,
// and looks its rows up in memory. It then evaluates all other conditions under NOT only
// for the first row of the other tables; conditions in a CASE are evaluated for each.
func (g *guard) joined(s *tree.Select, j *tree.Join, columns []string) bool {
	if j.On == nil || len(columns) == 0 {
		return false
	}
	name := sourceName(j.Source)
	conditions := conjuncts(j.On)
	equal := slices.ContainsFunc(conditions, func(x tree.Expr) bool { return partOf(x, name) == onEqual })
	once := equal && !j.Natural && !j.Lateral && (j.Kind == "INNER" || j.Kind == "LEFT") &&
		!slices.ContainsFunc(s.Joins, func(j *tree.Join) bool { return j.Kind == "FULL" })
	for _, x := range conditions {
		part := partOf(x, name)
		once = once && (part == onEqual || part == onJoined)
	}
	hidden := false
	for _, x := range conditions {
		switch {
		case !isRange(x) || !mentions(x, columns) || once && partOf(x, name) == onEqual:
		case once:
			g.hide(x, columns)
		default:
			g.edits = append(g.edits, asCase(x)...)
			hidden = true
		}
	}
	return hidden
}

// hide puts the conditions by which the server may choose an index under NOT: those
// that mention one of the columns. It reports whether there are any.
func (g *guard) hide(x tree.Expr, columns []string) bool {
	if x == nil || len(columns) == 0 {
		return false
	}
	list := conjuncts(x)
	if !slices.ContainsFunc(list, func(x tree.Expr) bool { return isRange(x) && mentions(x, columns) }) {
		return false
	}
	for _, x := range list {
		end := "))"
		switch _, isColumn := tree.Bare(x).(*tree.Column); {
		case isColumn:
			end = " = TRUE))" // it is now evaluated for more rows, and would fail if it is NULL
		case !isRange(x) || !mentions(x, columns):
			continue
		}
		at := x.Place()
		g.edits = append(g.edits, edit{tree.Span{Start: at.Start, End: at.Start}, "NOT (NOT ("}, edit{tree.Span{Start: at.End, End: at.End}, end})
	}
	return true
}

// conjuncts are the conditions that x joins by AND.
func conjuncts(x tree.Expr) []tree.Expr {
	chain, ok := tree.Bare(x).(*tree.Chain)
	if !ok || slices.ContainsFunc(chain.Operators, func(operator string) bool { return operator != "AND" }) {
		return []tree.Expr{x}
	}
	var list []tree.Expr
	for _, operand := range chain.Operands {
		list = append(list, conjuncts(operand)...)
	}
	return list
}

// isRange reports whether the server may derive a range of a column's values from a
// condition. It is false for a condition that may be NULL, because that would fail
// under NOT.
func isRange(x tree.Expr) bool {
	switch x := tree.Bare(x).(type) {
	case *tree.Compare, *tree.Between, *tree.IsNull:
		return true
	case *tree.InList:
		return !x.Not
	case *tree.Chain:
		return slices.ContainsFunc(x.Operands, isRange)
	}
	return false
}

// mentions reports whether n contains one of the columns, of any table.
func mentions(n tree.Node, columns []string) bool {
	found := false
	tree.Inspect(n, func(n tree.Node) bool {
		if c, ok := n.(*tree.Column); ok {
			found = found || slices.ContainsFunc(columns, func(column string) bool { return strings.EqualFold(column, c.Name.Name) })
		}
		return !found
	})
	return found
}

// useInstead replaces another index in USE INDEX by the primary key.
func (g *guard) useInstead(index []tree.Ident, t *Table) {
	at := tree.Span{Start: index[0].Start, End: index[len(index)-1].End}
	key := t.key()
	if before := strings.TrimRight(g.text[:at.Start], " \t\r\n"); !strings.HasSuffix(before, "(") && !strings.HasSuffix(before, "*/") {
		key = "(" + key + ")"
	}
	g.edits = append(g.edits, edit{at, key})
}

// leading are the first columns of the secondary indexes.
func (t *Table) leading() []string {
	if t == nil {
		return nil
	}
	var list []string
	for _, columns := range t.Indexes {
		list = append(list, columns[0])
	}
	return list
}

// key returns the columns of the primary key as USE INDEX names them.
func (t *Table) key() string {
	var list []string
	for _, column := range t.Primary {
		list = append(list, written(column))
	}
	return strings.Join(list, ", ")
}
