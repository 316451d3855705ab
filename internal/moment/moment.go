// Package moment keeps count of the snapshots that a transaction may have made the server take.
// The server (v1.11.1) takes one of each index when a transaction first reads that index, so two
// of them may be of different moments. This package asks no server.
package moment

import (
	"maps"
	"slices"
	"strings"

	"github.com/immudb-go/immudb/internal/sqltext"
	"github.com/immudb-go/immudb/internal/sqltext/tree"
)

// Snapshots are those that a transaction may have. The zero value has none.
type Snapshots struct {
	statements map[string]bool // that take no snapshot when they are run again
	indexes    map[string]int  // how many indexes of a table or view may have been read
	read       map[string]bool // tables of one index, which was read for certain
	fixed      map[string]bool // tables of which every index was read at one moment
}

// Indexes tells how many indexes a table has, the primary one included. ok is false if a name
// is not that of a table.
type Indexes func(table string) (n int, ok bool)

// Taking says when a statement may take a snapshot that is not the only one of its transaction.
type Taking uint8

const (
	None    Taking = iota // never
	AtFirst               // before the server returns its first row
	Late                  // until the server has returned all its rows
)

// Run records a statement that is run, and returns when it may take a snapshot beside another one.
//
// What is read for certain is known only if a statement reads one table: the server opens the
// index by which it joins a second table when the first has a row, and a subquery when a row
// depends on it.
func (s *Snapshots) Run(st *sqltext.Statement, indexes Indexes) Taking {
	if s.statements[st.Text] {
		return None
	}
	names, selects := sources(st)
	alone := len(names) == 1 && selects <= 1
	when := None
	for _, name := range names {
		n, isTable := indexes(name)
		switch {
		case s.fixed[name] || s.read[name]:
			continue
		case !isTable:
			s.ReadView(name)
			alone, when = false, Late
			continue
		case selects > 1:
			when = Late
		}
		when = max(when, AtFirst)
		s.take(name, min(n, s.indexes[name]+1))
		if alone && n == 1 {
			set(&s.read, name)
		}
	}
	if alone && hasOneIndex(st) {
		set(&s.statements, st.Text)
	}
	if s.count() < 2 {
		return None
	}
	return when
}

// sources returns the tables and views that a statement names, and how many queries are in it.
func sources(st *sqltext.Statement) (names []string, selects int) {
	if st.Kind.IsDML() && st.Table != "" {
		names = append(names, st.Table)
	}
	tree.Inspect(st.Tree, func(n tree.Node) bool {
		switch n := n.(type) {
		case *tree.Table:
			names = append(names, n.Name.Name)
		case *tree.Select:
			selects++
		}
		return true
	})
	return names, selects
}

// hasOneIndex reports whether the server reads a table by the same index whatever the arguments
// are. If a column is between two arguments, it reads the index of the column if they are equal.
func hasOneIndex(st *sqltext.Statement) bool {
	arguments, ranges := false, false
	tree.Inspect(st.Tree, func(n tree.Node) bool {
		switch n := n.(type) {
		case *tree.Param:
			arguments = true
		case *tree.Between:
			ranges = true
		case *tree.Compare:
			ranges = ranges || strings.ContainsAny(n.Operator[:1], "<>")
		case *tree.Chain:
			ranges = ranges || slices.Contains(n.Operators, "OR")
		}
		return true
	})
	return !arguments || !ranges
}

func set(m *map[string]bool, key string) {
	if *m == nil {
		*m = make(map[string]bool)
	}
	(*m)[key] = true
}

func (s *Snapshots) count() (n int) {
	for _, indexes := range s.indexes {
		n += indexes
	}
	return n
}

// take records how many indexes of a table or view have snapshots.
func (s *Snapshots) take(name string, n int) {
	if s.indexes == nil {
		s.indexes = make(map[string]int)
	}
	s.indexes[name] = n
}

// ReadView records that a view is read, which may read several tables.
func (s *Snapshots) ReadView(name string) { s.take(name, 2) }

// Fix records that all indexes of a table have their snapshots, which are of one moment.
func (s *Snapshots) Fix(table string, indexes int) {
	set(&s.fixed, table)
	s.take(table, indexes)
}

// Fixed reports whether [Snapshots.Fix] has recorded a table.
func (s *Snapshots) Fixed(table string) bool { return s.fixed[table] }

// Renew records that statements of the transaction, but perhaps not all, were run again in another
// one.
func (s *Snapshots) Renew() { s.statements, s.read, s.fixed = nil, nil, nil }

// Read returns the names of the tables and views that may have been read.
func (s *Snapshots) Read() []string { return slices.Sorted(maps.Keys(s.indexes)) }

// Torn reports whether the snapshots may be of different moments, if that many tables were
// changed since before the first one. The change of one table is before all snapshots or after
// them, unless there are two of that table.
func (s *Snapshots) Torn(changed int) bool {
	for _, n := range s.indexes {
		if n > 1 {
			return changed > 0
		}
	}
	return changed > 1
}
