package feedtest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/testserver"
)

// model makes random statements and knows the changes that they are.
type model struct {
	*rand.Rand
	tables []*modelTable
	made   int // tables and columns so far
	want   []string
	begun  int // what was in want before the statement: a transaction writes no row twice
}

type modelTable struct {
	name    string
	columns []string // after id; all are INTEGER
	rows    map[int][]any
}

func (m *model) name(prefix string) string {
	m.made++
	if prefix == "t" { // names of tables are used again
		for {
			if name := fmt.Sprintf("t%d", m.IntN(5)); !slices.ContainsFunc(m.tables, func(t *modelTable) bool { return t.name == name }) {
				return name
			}
		}
	}
	return fmt.Sprintf("%s%d", prefix, m.made)
}

func (m *model) schema(t *modelTable, format string, args ...any) {
	m.want = append(m.want, t.name+": "+fmt.Sprintf(format, args...))
}

func (m *model) row(kind string, t *modelTable, id int) {
	m.want = append(m.want, fmt.Sprintf("%s %s [id][%d]=%v of %v", kind, t.name, id, append([]any{id}, t.rows[id]...), append([]string{"id"}, t.columns...)))
}

// statement returns the next text to execute, which is one transaction.
func (m *model) statement() string {
	m.begun = len(m.want)
	if len(m.tables) == 0 {
		return m.create()
	}
	t := m.tables[m.IntN(len(m.tables))]
	switch n := m.IntN(40); {
	case n == 0 && len(m.tables) < 4:
		return m.create()
	case n == 1:
		m.schema(t, "the table is dropped")
		m.tables = slices.DeleteFunc(m.tables, func(o *modelTable) bool { return o == t })
		return "DROP TABLE " + t.name
	case n == 2:
		name := m.name("t")
		m.schema(t, "the table is renamed to %s", name)
		old := t.name
		t.name = name
		return fmt.Sprintf("ALTER TABLE %s RENAME TO %s", old, name)
	case n == 3 && len(t.columns) < 5:
		name := m.name("c")
		m.schema(t, "column %s is added", name)
		t.columns = append(t.columns, name)
		for id, row := range t.rows {
			t.rows[id] = append(row, nil)
		}
		return fmt.Sprintf("ALTER TABLE %s ADD COLUMN %s INTEGER", t.name, name)
	case n == 4 && len(t.columns) > 1:
		i := m.IntN(len(t.columns))
		name := t.columns[i]
		m.schema(t, "column %s is dropped", name)
		t.columns = slices.Delete(slices.Clone(t.columns), i, i+1)
		for id, row := range t.rows {
			t.rows[id] = slices.Delete(slices.Clone(row), i, i+1)
		}
		return fmt.Sprintf("ALTER TABLE %s DROP COLUMN %s", t.name, name)
	case n == 5:
		i, name := m.IntN(len(t.columns)), m.name("c")
		m.schema(t, "column %s is renamed to %s", t.columns[i], name)
		old := t.columns[i]
		t.columns[i] = name
		return fmt.Sprintf("ALTER TABLE %s RENAME COLUMN %s TO %s", t.name, old, name)
	case n < 14:
		return m.change(t)
	case n < 20: // rows of several tables
		return m.upsert(t) + "; " + m.upsert(m.tables[m.IntN(len(m.tables))])
	}
	return m.upsert(t)
}

// create makes a table, with a row in it at times.
func (m *model) create() string {
	t := &modelTable{name: m.name("t"), columns: []string{m.name("c"), m.name("c")}, rows: make(map[int][]any)}
	m.tables = append(m.tables, t)
	m.schema(t, "the table is created")
	text := fmt.Sprintf("CREATE TABLE %s (id INTEGER, %s INTEGER, PRIMARY KEY id)", t.name, strings.Join(t.columns, " INTEGER, "))
	if m.IntN(2) == 0 {
		text += "; " + m.upsert(t)
	}
	return text
}

// upsert writes rows that no other statement of the model writes in the same transaction.
func (m *model) upsert(t *modelTable) string {
	var values []string
	for range 1 + m.IntN(3) {
		m.made++
		id := m.made
		if ids := t.ids(); len(ids) > 0 && len(values) == 0 && m.IntN(3) == 0 {
			id = ids[m.IntN(len(ids))]
			row := fmt.Sprintf("upsert %s [id][%d]", t.name, id)
			if slices.ContainsFunc(m.want[m.begun:], func(change string) bool { return strings.HasPrefix(change, row) }) {
				m.made++
				id = m.made
			}
		}
		row := make([]any, len(t.columns))
		text := fmt.Sprint(id)
		for i := range row {
			row[i] = m.IntN(1000)
			text += fmt.Sprintf(", %d", row[i])
		}
		t.rows[id] = row
		m.row("upsert", t, id)
		values = append(values, "("+text+")")
	}
	return fmt.Sprintf("UPSERT INTO %s (id, %s) VALUES %s", t.name, strings.Join(t.columns, ", "), strings.Join(values, ", "))
}

func (t *modelTable) ids() (ids []int) {
	for id := range t.rows {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// change updates or deletes a row.
func (m *model) change(t *modelTable) string {
	ids := t.ids()
	if len(ids) == 0 {
		return m.upsert(t)
	}
	id := ids[m.IntN(len(ids))]
	if m.IntN(2) == 0 {
		m.row("delete", t, id)
		delete(t.rows, id)
		return fmt.Sprintf("DELETE FROM %s WHERE id = %d", t.name, id)
	}
	i := m.IntN(len(t.columns))
	t.rows[id] = slices.Clone(t.rows[id])
	t.rows[id][i] = m.IntN(1000)
	m.row("upsert", t, id)
	return fmt.Sprintf("UPDATE %s SET %s = %d WHERE id = %d", t.name, t.columns[i], t.rows[id][i], id)
}

// follower reads a feed and closes it again and again, as programs that end at random places.
type follower struct {
	dsn    string
	rand   *rand.Rand
	cursor string

	mu  sync.Mutex
	got []string
}

func (f *follower) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.got)
}

// session reads up to most changes with a program of its own.
func (f *follower) session(ctx context.Context, most int) error {
	db, err := sql.Open("immudb", f.dsn)
	if err != nil {
		return err
	}
	defer db.Close()
	after, err := immudb.ParseCursor(f.cursor)
	if err != nil {
		return err
	}
	for c, err := range immudb.Changes(ctx, db, immudb.ChangesOptions{After: after, Follow: true, PollInterval: 60 * time.Millisecond}) {
		if err != nil {
			return err
		}
		f.mu.Lock()
		f.got = append(f.got, inWords(&c))
		f.mu.Unlock()
		f.cursor = c.Cursor.String()
		if most--; most == 0 {
			return nil
		}
	}
	return errors.New("the feed has ended without an error")
}

func (f *follower) run(ctx context.Context) error {
	for ctx.Err() == nil {
		// Some sessions begin while the server is down, and cannot be opened then.
		if err := f.session(ctx, 1+f.rand.IntN(60)); err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

func TestAFollowedFeedIsWhatWasCommitted(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	s := testserver.Start(t)
	writer := dbtest.OpenDSN(t, s.DSN())
	m := &model{Rand: rand.New(rand.NewPCG(seed, 1))}
	f := &follower{dsn: dbtest.WithOptions(s.DSN(), trustFirstUse, "state_dir="+t.TempDir()), rand: rand.New(rand.NewPCG(seed, 2))}
	ctx, stop := context.WithTimeout(t.Context(), 4*time.Minute)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- f.run(ctx) }()

	for range testserver.Rounds(t, 2, 4) {
		for range 80 {
			dbtest.Exec(t, writer, m.statement())
		}
		end := s.Stop
		if m.IntN(2) == 0 {
			end = s.Kill
		}
		if err := errors.Join(end(), s.Restart()); err != nil {
			t.Fatal(err)
		}
	}
	for f.count() < len(m.want) && ctx.Err() == nil {
		time.Sleep(20 * time.Millisecond)
		if len(ended) > 0 {
			break
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("after %d of %d changes: %v", f.count(), len(m.want), err)
	}
	got := f.got
	for i := range min(len(got), len(m.want)) {
		if got[i] != m.want[i] {
			t.Fatalf("change %d of %d is\n%s, want\n%s", i, len(m.want), got[i], m.want[i])
		}
	}
	if len(got) != len(m.want) {
		t.Fatalf("the feed has given %d changes, want %d", len(got), len(m.want))
	}
	// Nothing follows, and the whole history is the same.
	db := dbtest.OpenDSN(t, f.dsn)
	after, err := immudb.ParseCursor(f.cursor)
	if err != nil {
		t.Fatal(err)
	}
	if rest := all(t, db, immudb.ChangesOptions{After: after}); len(rest) > 0 {
		t.Errorf("after the last change come %d more, such as %s", len(rest), inWords(&rest[0]))
	}
	var again []string
	for _, c := range all(t, db, immudb.ChangesOptions{}) {
		again = append(again, inWords(&c))
	}
	if !slices.Equal(again, m.want) {
		t.Errorf("read from the start there are %d changes, want the same %d", len(again), len(m.want))
	}
	t.Logf("%d changes of %d tables and columns", len(got), m.made)
}
