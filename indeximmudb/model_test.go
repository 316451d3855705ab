package indeximmudb

import (
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/testserver"
)

// model makes random statements and knows what they leave.
type model struct {
	*rand.Rand
	tables map[string]*modelTable
	made   int
}

// modelTable has the columns id, s and v, and maybe more.
type modelTable struct {
	key  string
	v    string // the name of column v
	rows map[[2]any]int64
}

var primaryKeys = []string{"id", "s", "(s, id)", "(id, s)"}

// at returns the primary key of a row.
func (t *modelTable) at(id int64, s string) [2]any {
	switch t.key {
	case "id":
		return [2]any{id}
	case "s":
		return [2]any{s}
	case "(s, id)":
		return [2]any{s, id}
	}
	return [2]any{id, s}
}

// texts are hostile to an order of packed keys.
var texts = []string{"", "a", "a\x00", "a\x00\x00b", "aa", "\x00", "\x00\x00", "\u00ff\u00ff", "b", "\x01", "123456789012"}

func (m *model) id() int64 {
	return []int64{0, 1, -1, 255, 256, 1 << 40, -1 << 63, 1<<63 - 1, m.Int64N(20) - 5, m.Int64N(20)}[m.IntN(10)]
}

func (m *model) text() string { return texts[m.IntN(len(texts))] }

func (m *model) name() string {
	for {
		if name := fmt.Sprintf("t%d", m.IntN(6)); m.tables[name] == nil {
			return name
		}
	}
}

// step executes a random statement, which is one transaction.
func (m *model) step(t *testing.T, db *sql.DB) {
	t.Helper()
	names := slices.Sorted(maps.Keys(m.tables))
	n := m.IntN(60)
	if len(names) == 0 || n == 0 && len(names) < 4 {
		name, table := m.name(), &modelTable{key: primaryKeys[m.IntN(len(primaryKeys))], v: "v", rows: make(map[[2]any]int64)}
		m.tables[name] = table
		dbtest.Exec(t, db, fmt.Sprintf("CREATE TABLE %s (id INTEGER NOT NULL, s VARCHAR[12] NOT NULL, v INTEGER, PRIMARY KEY %s)", name, table.key))
		return
	}
	name := names[m.IntN(len(names))]
	table := m.tables[name]
	switch {
	case n == 1:
		dbtest.Exec(t, db, "DROP TABLE "+name)
		delete(m.tables, name)
	case n == 2:
		to := m.name()
		dbtest.Exec(t, db, fmt.Sprintf("ALTER TABLE %s RENAME TO %s", name, to))
		delete(m.tables, name)
		m.tables[to] = table
	case n == 3:
		m.made++
		dbtest.Exec(t, db, fmt.Sprintf("ALTER TABLE %s ADD COLUMN c%d INTEGER", name, m.made))
	case n == 4:
		m.made++
		to := fmt.Sprintf("v%d", m.made)
		dbtest.Exec(t, db, fmt.Sprintf("ALTER TABLE %s RENAME COLUMN %s TO %s", name, table.v, to))
		table.v = to
	case n == 5:
		dbtest.Exec(t, db, "TRUNCATE TABLE "+name)
		clear(table.rows)
	case n < 20 && len(table.rows) > 0:
		keys := slices.Collect(maps.Keys(table.rows))
		pk := keys[m.IntN(len(keys))]
		if columns := strings.Split(strings.Trim(table.key, "()"), ", "); len(columns) == 1 {
			dbtest.Exec(t, db, fmt.Sprintf("DELETE FROM %s WHERE %s = ?", name, columns[0]), pk[0])
		} else {
			dbtest.Exec(t, db, fmt.Sprintf("DELETE FROM %s WHERE %s = ? AND %s = ?", name, columns[0], columns[1]), pk[0], pk[1])
		}
		delete(table.rows, pk)
	default:
		var values []string
		var args []any
		in := make(map[[2]any]bool)
		for range 1 + m.IntN(4) {
			id, s, v := m.id(), m.text(), m.Int64N(100)
			if pk := table.at(id, s); !in[pk] {
				in[pk], table.rows[pk] = true, v
				values, args = append(values, "(?, ?, ?)"), append(args, id, s, v)
			}
		}
		dbtest.Exec(t, db, fmt.Sprintf("UPSERT INTO %s (id, s, %s) VALUES %s", name, table.v, strings.Join(values, ", ")), args...)
	}
}

// condition returns a random condition and its arguments.
func (m *model) condition(t *modelTable) (text string, args []any) {
	var parts []string
	for range 1 + m.IntN(3) {
		column, value := "id", func() any { return m.id() }
		switch m.IntN(5) {
		case 0, 1:
			column, value = "s", func() any { return m.text() }
		case 2:
			column, value = t.v, func() any { return m.Int64N(100) }
		}
		op := []string{"=", "<", "<=", ">", ">=", "<>"}[m.IntN(6)]
		switch m.IntN(4) {
		case 0:
			parts, args = append(parts, column+" BETWEEN ? AND ?"), append(args, value(), value())
		case 1:
			parts, args = append(parts, "? "+op+" "+column), append(args, value())
		default:
			parts, args = append(parts, column+" "+op+" ?"), append(args, value())
		}
	}
	return "WHERE " + strings.Join(parts, []string{" AND ", " AND ", " OR "}[m.IntN(3)]), args
}

// check compares what the index answers with the model, and with what the server selects.
func (m *model) check(t *testing.T, db *sql.DB, x *Index) {
	t.Helper()
	for name, table := range m.tables {
		rows, err := x.Rows(t.Context(), name, "")
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got := make(map[[2]any]int64)
		for _, r := range rows {
			id, _ := r.Value("id")
			s, _ := r.Value("s")
			v, ok := r.Value(table.v)
			if !ok {
				t.Fatalf("%s has the columns %v, want %s", name, r.Columns, table.v)
			}
			got[table.at(id.(int64), s.(string))] = v.(int64)
		}
		if len(rows) != len(got) || !maps.Equal(got, table.rows) {
			t.Fatalf("table %s by %s has\n%v, want\n%v", name, table.key, got, table.rows)
		}
		for range 4 {
			pk := table.at(m.id(), m.text())
			values := pk[:]
			if pk[1] == nil {
				values = pk[:1]
			}
			row, err := x.Row(t.Context(), name, values...)
			if v, ok := table.rows[pk]; ok != (err == nil) || !ok && !errors.Is(err, sql.ErrNoRows) {
				t.Fatalf("row %q of table %s is there: %v; err = %v", pk, name, ok, err)
			} else if got := any(nil); ok {
				if got, _ = row.Value(table.v); got != v {
					t.Fatalf("row %q of table %s is %v, want %d", pk, name, got, v)
				}
			}
			tail, args := m.condition(table)
			m.compare(t, db, x, name, table, tail, args)
		}
	}
	if _, err := x.Row(t.Context(), m.name(), 1); err == nil || errors.Is(err, sql.ErrNoRows) {
		t.Errorf("a table that is not there: err = %v", err)
	}
}

// compare compares the rows of a condition with those that the server selects.
func (m *model) compare(t *testing.T, db *sql.DB, x *Index, name string, table *modelTable, tail string, args []any) {
	t.Helper()
	rows, err := x.Rows(t.Context(), name, tail, args...)
	if err != nil {
		t.Fatalf("%s %s %q: %v", name, tail, args, err)
	}
	var got, want []string
	for _, r := range rows {
		id, _ := r.Value("id")
		s, _ := r.Value("s")
		got = append(got, fmt.Sprintf("%v %q", id, s))
	}
	order := strings.Trim(table.key, "()")
	selected, err := db.Query(fmt.Sprintf("SELECT id, s FROM %s %s ORDER BY %s", name, tail, order), args...)
	if err != nil {
		t.Fatal(err)
	}
	defer selected.Close()
	for selected.Next() {
		var id int64
		var s string
		if err := selected.Scan(&id, &s); err != nil {
			t.Fatal(err)
		}
		want = append(want, fmt.Sprintf("%v %q", id, s))
	}
	if err := selected.Err(); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("%s by %s, %s %q: the index has\n%q, the server\n%q", name, table.key, tail, args, got, want)
	}
}

func TestTheIndexIsWhatRandomStatementsLeave(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	s := testserver.Start(t, "-synced=false")
	db := dbtest.OpenDSN(t, dbtest.WithOptions(s.DSN(), trustFirstUse))
	m := &model{Rand: rand.New(rand.NewPCG(seed, 1)), tables: make(map[string]*modelTable)}
	path := filepath.Join(t.TempDir(), "index")
	for range testserver.Rounds(t, 8, 60) {
		for range 1 + m.IntN(60) {
			m.step(t, db)
		}
		x, err := Open(path, db, Options{})
		if err != nil {
			t.Fatal(err)
		}
		for range 1 + m.IntN(3) {
			update(t, x)
			m.check(t, db, x)
			for range m.IntN(10) {
				m.step(t, db)
			}
		}
		if err := x.Close(); err != nil {
			t.Fatal(err)
		}
	}
	x := newIndex(t, db)
	update(t, x)
	m.check(t, db, x)
}
