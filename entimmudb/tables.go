package entimmudb

import (
	"slices"
	"strings"

	"entgo.io/ent/dialect/sql/schema"
)

// table is what the driver knows of a table.
type table struct {
	primary []string
	unique  [][]string // the columns of unique indexes that the server enforces
	sparse  [][]string // those with a column that may be NULL, which the driver checks
	spare   string     // a column that is NULL if nothing names it, or ""
}

func describe(tables []*schema.Table) map[string]*table {
	all := make(map[string]*table)
	for _, t := range tables {
		d := &table{primary: columnNames(t.PrimaryKey)}
		for _, index := range uniqueIndexes(t) {
			if mayBeNull(index) {
				d.sparse = append(d.sparse, columnNames(index))
			} else {
				d.unique = append(d.unique, columnNames(index))
			}
		}
		for _, c := range t.Columns {
			if d.spare == "" && c.Nullable && c.Default == nil && !slices.Contains(d.primary, strings.ToLower(c.Name)) {
				d.spare = c.Name
			}
		}
		all[strings.ToLower(t.Name)] = d
	}
	return all
}

// uniqueIndexes lists the columns of the unique indexes and of the unique columns.
func uniqueIndexes(t *schema.Table) (all [][]*schema.Column) {
	for _, c := range t.Columns {
		if c.Unique && !(len(t.PrimaryKey) == 1 && t.PrimaryKey[0] == c) {
			all = append(all, []*schema.Column{c})
		}
	}
	for _, index := range t.Indexes {
		if index.Unique {
			all = append(all, index.Columns)
		}
	}
	return all
}

func mayBeNull(columns []*schema.Column) bool {
	return slices.ContainsFunc(columns, func(c *schema.Column) bool { return c.Nullable })
}

func columnNames(columns []*schema.Column) []string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = strings.ToLower(c.Name)
	}
	return names
}

// keys lists the columns of the primary key and of the unique indexes.
func (t *table) keys() [][]string {
	return slices.Concat([][]string{t.primary}, t.unique, t.sparse)
}

// sameColumns reports whether two lists hold the same columns.
func sameColumns(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}
