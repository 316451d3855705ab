package rules

import "github.com/immudb-go/immudb/internal/sqltext/tree"

// systemRules are about system tables and views.
var systemRules = []*Rule{
	{
		Name:      "write-to-system-table",
		Construct: "a change of a table whose name begins with pg_ or information_schema_",
		Reason:    "these names are reserved for system tables, and the server crashes when they are written to; give the table another name",
		Needs:     tree.HasWrite | tree.HasDDL,
		look: func(l *look) {
			if isSystemName(changed(l.st)) {
				l.refuse(l.st, "")
			}
		},
	},
	{
		Name:      "delete-from-view",
		Construct: "DELETE from a view",
		Reason:    "the server crashes; delete from the table that the view reads",
		Needs:     tree.HasWrite,
		look: func(l *look) {
			d, ok := l.st.(*tree.Delete)
			if !ok || l.creates(d.Table.Name) {
				return
			}
			name := d.Table.Name
			l.refuseTables(d, "", nil, func(tables Tables, _ Args) bool { return !tables.IsView(name) })
		},
	},
}

// changed returns the name of the table that a statement writes or changes, or "".
func changed(st tree.Statement) string {
	switch st := st.(type) {
	case *tree.Insert:
		return st.Table.Name
	case *tree.Update:
		return st.Table.Name
	case *tree.Delete:
		return st.Table.Name
	case *tree.CreateTable:
		return st.Name.Name
	case *tree.CreateIndex:
		return st.Table.Name
	case *tree.AlterTable:
		if st.Action == tree.RenameTable {
			return st.New.Name
		}
		return st.Table.Name
	case *tree.Truncate:
		return st.Table.Name
	case *tree.Drop:
		if st.What == "TABLE" || st.What == "INDEX" {
			return st.Name.Name
		}
	}
	return ""
}

// creates reports whether an earlier statement of the text creates a table with that
// name, or renames one to it.
func (l *look) creates(table string) bool {
	for _, st := range l.script.Statements[:l.index] {
		switch st := st.(type) {
		case *tree.CreateTable:
			if st.Name.Name == table {
				return true
			}
		case *tree.AlterTable:
			if st.Action == tree.RenameTable && st.New.Name == table {
				return true
			}
		}
	}
	return false
}
