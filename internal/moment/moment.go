// Package moment keeps count of the snapshots that a transaction may have made the server take.
// The server (v1.11.1) takes one of each index when a transaction first reads that index, so two
// of them may be of different moments. This package asks no server.
package moment

import (
	"maps"
	"slices"

	"github.com/immudb-go/immudb/internal/sqltext"
	"github.com/immudb-go/immudb/internal/sqltext/tree"
)

// Snapshots are those that a transaction may have. The zero value has none.
type Snapshots struct {
	statements map[string]bool // that were run
	indexes    map[string]int  // how many indexes of a table or view may have been read
	fixed      map[string]bool // tables of which every index was read at one moment
}

// Indexes tells how many indexes a table has, the primary one included. ok is false if a name
// is not that of a table.
type Indexes func(table string) (n int, ok bool)

// Run records a statement that was run, and reports whether it may have taken a snapshot when
// there was another one already.
func (s *Snapshots) Run(st *sqltext.Statement, indexes Indexes) bool {
	if s.statements[st.Text] {
		return false // the server reads the same indexes
	}
	if s.statements == nil {
		s.statements = make(map[string]bool)
	}
	s.statements[st.Text] = true
	first, taken := len(s.indexes) == 0, 0
	if st.Kind.IsDML() && st.Table != "" {
		taken += s.read(st.Table, indexes)
	}
	tree.Inspect(st.Tree, func(n tree.Node) bool {
		if source, ok := n.(*tree.Table); ok {
			taken += s.read(source.Name.Name, indexes)
		}
		return true
	})
	return taken > 1 || taken == 1 && !first
}

// read records that a table is read, and returns how many snapshots that may take.
func (s *Snapshots) read(name string, indexes Indexes) int {
	if s.fixed[name] {
		return 0
	}
	switch n, ok := indexes(name); {
	case !ok: // a view, which may read several tables
		return s.take(name, 2)
	case n == 1 && s.indexes[name] > 0:
		return 0
	default:
		return s.take(name, 1)
	}
}

func (s *Snapshots) take(name string, n int) int {
	if s.indexes == nil {
		s.indexes = make(map[string]int)
	}
	s.indexes[name] += n
	return n
}

// Fix records that all indexes of a table have their snapshots, which are of one moment.
func (s *Snapshots) Fix(table string, indexes int) {
	if s.fixed == nil {
		s.fixed = make(map[string]bool)
	}
	s.fixed[table] = true
	s.take(table, indexes)
}

// Fixed reports whether [Snapshots.Fix] has recorded a table.
func (s *Snapshots) Fixed(table string) bool { return s.fixed[table] }

// Renew records that all statements were run again, in another transaction.
func (s *Snapshots) Renew() { s.fixed = nil }

// Move records that the statements of before were run again in this transaction, which may
// have read views.
func (s *Snapshots) Move(before *Snapshots, views []string) {
	s.statements = before.statements
	for _, name := range views {
		s.take(name, 2)
	}
}

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
