package rules

import (
	"github.com/immudb-go/immudb/internal/indexkey"
	"github.com/immudb-go/immudb/internal/sqltext/tree"
)

// keyRules are about keys and indexes.
var keyRules = []*Rule{
	{
		Name:      "conflict-changes-key",
		Construct: "ON CONFLICT DO UPDATE SET with a column of the primary key",
		Reason: "the server overwrites the row that has that key, and if the table has an index all later writes hang; " +
			"delete the row and insert another",
		Needs: tree.HasConflict,
		look: func(l *look) {
			i, ok := l.st.(*tree.Insert)
			if !ok || i.Conflict == nil {
				return
			}
			for j := range i.Conflict.Set {
				set := &i.Conflict.Set[j]
				if c, same := tree.Bare(set.Value).(*tree.Column); same && c.Name.Name == set.Column.Name {
					continue
				}
				l.refuseTables(set, "", nil, func(tables Tables, _ Args) bool {
					t := l.table(tables, i.Table.Name)
					if t == nil {
						return true
					}
					for _, key := range t.Primary {
						if key == set.Column.Name {
							return false
						}
					}
					return true
				})
			}
		},
	},
	{
		Name:      "key-too-long",
		Construct: "a key that may be longer than 1,024 bytes",
		Reason: "the server accepts it, and after such a key is written every write to the database hangs, even after a restart; " +
			"give the VARCHAR and BLOB columns of the key a shorter length",
		Needs: tree.HasDDL,
		look: func(l *look) {
			switch st := l.st.(type) {
			case *tree.CreateTable:
				t := described(st)
				if !fits(t, nil) {
					l.refuse(st, "")
				}
			case *tree.CreateIndex:
				columns := make([]string, len(st.Columns))
				for i := range st.Columns {
					columns[i] = st.Columns[i].Name
				}
				script, index := l.script, l.index
				l.refuseTables(st, "", nil, func(tables Tables, _ Args) bool {
					t := tableAt(script, index, tables, st.Table.Name)
					return t == nil || fits(t, columns)
				})
			}
		},
	},
}

// table finds a table that exists or that the text creates.
func (l *look) table(tables Tables, name string) *Table {
	return tableAt(l.script, l.index, tables, name)
}

// tableAt returns the table as of before the statement with that index.
func tableAt(script *tree.Script, index int, tables Tables, name string) *Table {
	var t *Table
	for _, st := range script.Statements[:index] {
		switch st := st.(type) {
		case *tree.CreateTable:
			if st.Name.Name == name && (!st.IfNotExists || t == nil) {
				t = described(st)
			}
		case *tree.AlterTable:
			if t != nil && st.Table.Name == name && st.Action == tree.AddColumn {
				t.Columns = append(t.Columns, columnOf(st.Column))
			}
		}
	}
	if t == nil {
		t = tables.Table(name)
		if t == nil {
			return nil
		}
		copied := *t
		t = &copied
		for _, st := range script.Statements[:index] {
			if a, ok := st.(*tree.AlterTable); ok && a.Table.Name == name && a.Action == tree.AddColumn {
				t.Columns = append(t.Columns[:len(t.Columns):len(t.Columns)], columnOf(a.Column))
			}
		}
	}
	for _, st := range script.Statements[:index] {
		if c, ok := st.(*tree.CreateIndex); ok && c.Table.Name == name {
			t.Indexes = append(t.Indexes[:len(t.Indexes):len(t.Indexes)], namesOf(c.Columns))
		}
	}
	return t
}

func namesOf(list []tree.Ident) []string {
	names := make([]string, len(list))
	for i := range list {
		names[i] = list[i].Name
	}
	return names
}

// described returns the table that a statement creates.
func described(st *tree.CreateTable) *Table {
	t := &Table{}
	for _, c := range st.Columns {
		t.Columns = append(t.Columns, columnOf(c))
		if c.PrimaryKey {
			t.Primary = append(t.Primary, c.Name.Name)
		}
	}
	for _, key := range st.PrimaryKey {
		t.Primary = append(t.Primary, key.Name)
	}
	return t
}

func columnOf(c *tree.ColumnDef) Column {
	return Column{Name: c.Name.Name, Type: c.Type, MaxLength: int(min(c.Length, 1<<30))}
}

// fits reports whether the key of an index on the columns is short enough; nil means
// the primary key. A column without a length may hold a value of any length, and the
// server refuses to index it.
func fits(t *Table, columns []string) bool {
	list := func(names []string) []*indexkey.Column {
		var list []*indexkey.Column
		for _, name := range names {
			if c := t.Column(name); c != nil {
				list = append(list, &indexkey.Column{Type: c.Type, Length: c.MaxLength})
			}
		}
		return list
	}
	keys := indexkey.Table{Primary: list(t.Primary)}
	if columns == nil {
		return keys.PrimaryLength() <= indexkey.Max
	}
	return keys.IndexLength(list(columns)) <= indexkey.Max
}
