package liartest

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
)

// revision is what one transaction made of a row.
type revision struct {
	tx      uint64 // 0: not known, because it was written while the server lied
	values  []any  // by column; the columns that came later are NULL
	deleted bool
}

// table is the truth of one table: what each row ever was.
type table struct {
	name    string
	columns []string // now
	rows    map[int64][]revision
	version int // how often a name of it was changed
	// named are the names of the table and of its columns as of a transaction.
	named []naming
}

type naming struct {
	from    uint64 // the transaction
	table   string
	columns []string
}

// latest returns the last revision of a row, and false if there is no such row now.
func (t *table) latest(id int64) (revision, bool) {
	list := t.rows[id]
	if len(list) == 0 {
		return revision{}, false
	}
	r := list[len(list)-1]
	return r, !r.deleted
}

// live lists the keys of the rows there are.
func (t *table) live() []int64 {
	var ids []int64
	for _, id := range slices.Sorted(maps.Keys(t.rows)) {
		if _, ok := t.latest(id); ok {
			ids = append(ids, id)
		}
	}
	return ids
}

func (t *table) write(id int64, tx uint64, values []any) {
	t.rows[id] = append(t.rows[id], revision{tx: tx, values: values})
}

func (t *table) delete(id int64, tx uint64) {
	r, _ := t.latest(id)
	t.rows[id] = append(t.rows[id], revision{tx: tx, values: r.values, deleted: true})
}

// rename notes the names as they are since a transaction.
func (t *table) rename(tx uint64) {
	t.named = append(t.named, naming{tx, t.name, slices.Clone(t.columns)})
}

// at returns the names as of a transaction.
func (t *table) at(tx uint64) naming {
	n := naming{0, t.name, t.columns}
	for _, named := range t.named {
		if named.from <= tx {
			n = named
		}
	}
	return n
}

// matches tells whether named values are those of a revision, by the given names of
// the columns.
func (r revision) matches(columns []string, names []string, values []any) bool {
	if len(names) != len(values) {
		return false
	}
	for i, name := range names {
		at := slices.Index(columns, name)
		if at < 0 {
			return false
		}
		var want any
		if at < len(r.values) {
			want = r.values[at]
		}
		if !reflect.DeepEqual(want, values[i]) {
			return false
		}
	}
	return true
}

// ever tells whether a row was ever as it is said to be, in transaction tx unless that
// is 0.
func (t *table) ever(id int64, tx uint64, names []string, values []any) bool {
	return slices.ContainsFunc(t.rows[id], func(r revision) bool {
		return !r.deleted && (tx == 0 || r.tx == 0 || r.tx == tx) && r.matches(t.columns, names, values)
	})
}

// is tells whether a row is as it is said to be, now.
func (t *table) is(id int64, names []string, values []any) bool {
	r, ok := t.latest(id)
	return ok && r.matches(t.columns, names, values)
}

// wrote returns what a transaction wrote, as text, one line for a row.
func (m *model) wrote(tx uint64) []string {
	var lines []string
	for _, t := range m.tables {
		n := t.at(tx)
		for id, list := range t.rows {
			for _, r := range list {
				if r.tx != tx {
					continue
				}
				values := slices.Clone(r.values)
				for len(values) < len(n.columns) {
					values = append(values, nil)
				}
				_ = id
				lines = append(lines, rowText(n.table, n.columns, values, r.deleted))
			}
		}
	}
	slices.Sort(lines)
	return lines
}

func rowText(table string, columns []string, values []any, deleted bool) string {
	return fmt.Sprintf("%s %q %v %v", table, columns, values, deleted)
}

// model is what is true of a database.
type model struct {
	tables []*table
}
