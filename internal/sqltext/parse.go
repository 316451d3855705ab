package sqltext

import (
	"slices"

	"github.com/immudb-go/immudb/internal/sqltext/tree"
)

// Parse parses a query text of one or more statements. Its error is a [*tree.Error],
// which says where the text is wrong and what to write instead. The error quotes
// only keywords and placeholders of the text.
func Parse(text string) (*Query, error) {
	script, err := tree.Parse(text)
	if err != nil {
		return nil, err
	}
	q := &Query{Text: text, Style: script.Style, NumInput: script.NumInput, Names: script.Names, Script: script}
	q.Statements = q.one[:0:1]
	for _, st := range script.Statements {
		q.Statements = append(q.Statements, describe(script, st))
	}
	return q, nil
}

// describe makes the driver's description of one statement.
func describe(script *tree.Script, st tree.Statement) Statement {
	d := Statement{Text: st.Place().Of(script.Text), Tree: st}
	d.arguments(script)
	d.Returning.End = len(d.Text)
	switch st := st.(type) {
	case *tree.Explain:
		d.Kind, d.Selects = Explain, true
	case *tree.Insert:
		d.insert(script, st)
	case *tree.Update:
		d.Kind, d.Table = Update, st.Table.Name
		d.write(script, st.Returning)
	case *tree.Delete:
		d.Kind, d.Table = Delete, st.Table.Name
		d.write(script, st.Returning)
	case *tree.Truncate:
		d.Kind, d.Table = Truncate, st.Table.Name
	case *tree.CreateTable:
		d.Kind, d.Table = DDL, st.Name.Name
	case *tree.CreateIndex:
		d.Kind, d.Table = DDL, st.Table.Name
	case *tree.CreateView, *tree.CreateSequence:
		d.Kind = DDL
	case *tree.AlterTable:
		d.Kind, d.Table = DDL, st.Table.Name
		if st.Action == tree.AlterColumn {
			d.Kind = AlterColumn
		}
	case *tree.Drop:
		d.drop(st)
	case *tree.Control:
		d.Kind = controls[st.Kind]
	case *tree.CreateDatabase:
		d.Kind, d.Database = CreateDatabase, st.Name.Name
	case *tree.Use:
		d.Kind, d.Database = UseDatabase, st.Database.Name
		if st.Snapshot {
			d.Kind = UseSnapshot
		}
	case *tree.Access:
		d.Kind = Access
	default:
		d.Kind, d.Selects = Select, true
	}
	return d
}

var controls = [...]Kind{
	tree.Begin: Begin, tree.Commit: Commit, tree.Rollback: Rollback,
	tree.Savepoint: Savepoint, tree.RollbackTo: RollbackToSavepoint, tree.Release: ReleaseSavepoint,
}

// arguments finds the arguments of the text that the statement takes.
func (d *Statement) arguments(script *tree.Script) {
	params := script.ParamsOf(d.Tree)
	switch script.Style {
	case Question:
		d.NumArgs = len(params)
		if len(params) > 0 {
			d.FirstArg = params[0].Index
		} else {
			d.FirstArg = before(script, d.Tree)
		}
	case Dollar:
		for _, p := range params {
			d.NumArgs = max(d.NumArgs, p.Index+1)
		}
	case Named:
		for _, p := range params {
			if name := script.Names[p.Index]; !slices.Contains(d.Names, name) {
				d.Names = append(d.Names, name)
			}
		}
		d.NumArgs = len(d.Names)
	}
}

// before returns the number of placeholders before the statement.
func before(script *tree.Script, st tree.Statement) int {
	n, _ := slices.BinarySearchFunc(script.Params, st.Place().Start, func(p *tree.Param, start int) int { return p.Start - start })
	return n
}

func (d *Statement) insert(script *tree.Script, st *tree.Insert) {
	d.Kind, d.Table, d.NumRows = Insert, st.Table.Name, len(st.Rows)
	if st.Upsert {
		d.Kind = Upsert
	}
	if len(st.Columns) > 0 {
		d.Columns = make([]string, len(st.Columns))
		for i := range st.Columns {
			d.Columns[i] = st.Columns[i].Name
		}
	}
	if st.Conflict != nil {
		d.OnConflict = ConflictNothing
		if len(st.Conflict.Set) > 0 {
			d.OnConflict = ConflictUpdate
		}
	}
	d.write(script, st.Returning)
	if st.Query != nil {
		d.NumRows, d.Selects = -1, true
		d.SelfSelect = Reads(st.Query, d.Table)
	}
}

// write sets the fields that INSERT, UPDATE and DELETE have in common.
func (d *Statement) write(script *tree.Script, r *tree.Returning) {
	if script.Has.Any(tree.HasSubquery | tree.HasExists) {
		tree.Inspect(d.Tree, func(n tree.Node) bool {
			if _, ok := n.(*tree.Select); ok {
				d.Selects = true
			}
			return !d.Selects
		})
	}
	if r == nil {
		return
	}
	d.Returning = Returning{Has: true, Star: r.Star, End: r.After - d.Tree.Place().Start}
	if len(r.Items) > 0 {
		d.Returning.Items = make([]ReturnItem, len(r.Items))
	}
	for i := range r.Items {
		it := &r.Items[i]
		d.Returning.Items[i] = ReturnItem{Text: it.Place().Of(script.Text), Alias: it.Alias.Name}
		if it.Expr != nil {
			d.Returning.Items[i].Text = it.Expr.Place().Of(script.Text)
		}
		if c, ok := it.Expr.(*tree.Column); ok {
			d.Returning.Items[i].Table, d.Returning.Items[i].Column = c.Table.Name, c.Name.Name
		}
	}
}

func (d *Statement) drop(st *tree.Drop) {
	d.Kind = DDL
	switch st.What {
	case "TABLE", "INDEX":
		d.Table = st.Name.Name
	case "USER":
		d.Kind = Access
	}
}

// Reads reports whether n reads rows of the table, by its name.
func Reads(n tree.Node, table string) bool {
	found := false
	tree.Inspect(n, func(n tree.Node) bool {
		if t, ok := n.(*tree.Table); ok && t.Name.Name == table {
			found = true
		}
		return !found
	})
	return found
}
