package answertest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/testserver"
)

// A transaction must find the rows that it has written, for each condition and order, as
// in SQLite. The transactions and the indexes of the tables are random.
func TestTransactionsReadTheirOwnWritesAsInSQLite(t *testing.T) {
	worlds := testserver.Rounds(t, 4, 10)
	var n tally
	for i := range worlds {
		ownWritesIn(t, uint64(i), &n)
		if t.Failed() {
			break
		}
	}
	t.Logf("%d transactions, %d committed: %d statements, %d of them queries", n.transactions, n.committed, n.statements, n.queries)
	for _, reason := range slices.Sorted(maps.Keys(n.refused)) {
		t.Logf("refused %d times: %s", n.refused[reason], reason)
	}
	if n.refusals()*3 > n.statements {
		t.Errorf("%d of %d statements were refused", n.refusals(), n.statements)
	}
}

type tally struct {
	transactions, committed, statements, queries int
	refused                                      map[string]int
}

func (n *tally) refuse(err error) {
	if n.refused == nil {
		n.refused = make(map[string]int)
	}
	n.refused[numbers.ReplaceAllString(err.Error(), "n")]++
}

var numbers = regexp.MustCompile(`\b(line \d+, column \d+|[xyz]\d+_?\w*)`)

func (n *tally) refusals() (sum int) {
	for _, times := range n.refused {
		sum += times
	}
	return sum
}

// transactionsPerWorld is how many transactions run over the same tables.
const transactionsPerWorld = 60

// world describes three tables that both databases have.
type world struct {
	*rand.Rand
	tables []source
	keys   map[string][]string   // the primary key by table
	unique map[string][][]string // the unique indexes by table
	led    map[string][]string   // the first columns of the indexes by table
}

func newWorld(seed uint64) *world {
	w := &world{Rand: rand.New(rand.NewPCG(3, seed)), keys: map[string][]string{}, unique: map[string][][]string{}, led: map[string][]string{}}
	for i, prefix := range []string{"x", "y", "z"} {
		name := fmt.Sprint(prefix, seed)
		w.tables = append(w.tables, source{name, []string{"id", "a", "b", "c"}})
		w.keys[name] = []string{"id"}
		if i == 2 {
			w.keys[name] = []string{"id", "c"}
		}
	}
	return w
}

// create returns the statements that make the tables, for the server and for SQLite.
func (w *world) create() (ours, lite []string) {
	for _, s := range w.tables {
		text := "CREATE TABLE " + s.name + " (id INTEGER NOT NULL, a INTEGER, b INTEGER, c INTEGER NOT NULL, PRIMARY KEY (" + strings.Join(w.keys[s.name], ", ") + "))"
		ours, lite = append(ours, text), append(lite, text)
		taken := map[string]bool{}
		for range w.IntN(4) {
			columns := [][]string{{"a"}, {"b"}, {"c"}, {"a", "b"}, {"b", "a"}, {"b", "c"}, {"c", "a"}, {"a", "b", "c"}}[w.IntN(8)]
			list := strings.Join(columns, ", ")
			if taken[list] {
				continue
			}
			taken[list] = true
			w.led[s.name] = append(w.led[s.name], columns[0])
			unique := ""
			if w.IntN(4) == 0 {
				unique = "UNIQUE "
				w.unique[s.name] = append(w.unique[s.name], columns)
				// Two NULLs are different for SQLite and equal for the server.
				var same []string
				for _, c := range columns {
					same = append(same, "COALESCE("+c+", -1000)")
				}
				lite = append(lite, fmt.Sprintf("CREATE UNIQUE INDEX %s_%d ON %s (%s)", s.name, len(taken), s.name, strings.Join(same, ", ")))
			}
			ours = append(ours, "CREATE "+unique+"INDEX ON "+s.name+" ("+list+")")
		}
	}
	return ours, lite
}

func (w *world) pick(list ...string) string { return list[w.IntN(len(list))] }
func (w *world) chance(p float64) bool      { return w.Float64() < p }
func (w *world) table() source              { return w.tables[w.IntN(len(w.tables))] }

// value returns a number to store: one of few, and often NULL.
func (w *world) value() string {
	if w.chance(0.2) {
		return "NULL"
	}
	return fmt.Sprint(w.IntN(6))
}

func (w *world) id() string { return fmt.Sprint(w.IntN(25)) }

// column returns a column for a condition. For SQLite, the part in braces makes NULL
// smaller than every value, as on the server.
func (w *world) column(name string) string {
	return "{" + name + "." + w.pick("id", "a", "b", "c") + "}"
}

// condition returns a condition on the table with that name or alias.
func (w *world) condition(name string, depth int) string {
	switch n := w.IntN(14); {
	case n < 2 && depth > 0:
		return "(" + w.condition(name, depth-1) + w.pick(" AND ", " OR ") + w.condition(name, depth-1) + ")"
	case n < 3 && depth > 0:
		return w.condition(name, depth-1) + " AND " + w.condition(name, depth-1)
	case n == 3:
		return "NOT (" + w.condition(name, 0) + ")"
	case n == 4:
		return name + "." + w.pick("a", "b") + w.pick(" IS NULL", " IS NOT NULL")
	case n == 5:
		return w.column(name) + w.pick("", " NOT") + " IN (" + fmt.Sprint(w.IntN(6), ", ", w.IntN(6)) + ")"
	case n == 6:
		low := w.IntN(6)
		return w.column(name) + fmt.Sprintf(" BETWEEN %d AND %d", low, low+w.IntN(3))
	case n == 7:
		return "{" + name + ".id} = " + w.id()
	case n == 8:
		return w.column(name) + w.pick(" = ", " <= ") + w.column(name)
	case n == 9 && depth > 0:
		s := w.table()
		return fmt.Sprintf("{%s.%s}%s IN (SELECT {s%d.%s} FROM %s AS s%d WHERE %s)", name, w.pick("a", "b", "id"), w.pick("", " NOT"), depth, w.pick("a", "b", "id"), s.name, depth, w.condition(fmt.Sprint("s", depth), depth-1))
	case n == 10 && depth > 0:
		s, alias := w.table(), fmt.Sprint("s", depth)
		return fmt.Sprintf("%sEXISTS (SELECT 1 FROM %s AS %s WHERE %s = %s)", w.pick("", "NOT "), s.name, alias, w.column(alias), w.column(name))
	}
	return w.column(name) + w.pick(" = ", " = ", " = ", " <> ", " < ", " >= ") + fmt.Sprint(w.IntN(6))
}

func (w *world) where(name string) string {
	if w.chance(0.15) {
		return ""
	}
	return " WHERE " + w.condition(name, 2)
}

// query returns a SELECT. ordered: only one order of its rows is right.
func (w *world) query() (text string, ordered bool) {
	s := w.table()
	switch w.IntN(8) {
	case 0, 1:
		u := w.table()
		on := "{q." + w.pick("a", "b", "c", "id") + "} = {r." + w.pick("a", "b", "c", "id") + "}"
		if w.chance(0.3) {
			on += " AND " + w.condition("r", 0)
		}
		if w.chance(0.2) {
			on += " AND " + w.column("q") + w.pick(" < ", " <> ") + w.column("r")
		}
		text = fmt.Sprintf("SELECT q.id, q.a, q.b, q.c, r.id, r.a, r.b, r.c FROM %s AS q %s JOIN %s AS r ON %s", s.name, w.pick("INNER", "LEFT"), u.name, on)
		if w.chance(0.6) {
			text += " WHERE " + w.condition("q", 1)
		}
		if strings.Contains(text, "INNER") && strings.Contains(text, "WHERE") && w.chance(0.4) {
			text += " AND " + w.condition("r", 0)
		}
		if w.chance(0.4) {
			return text + " ORDER BY q." + w.pick("a", "b", "c") + ", q.id, q.c, r.id, r.c", true
		}
		return text, false
	case 2:
		by := w.pick("a", "b", "c")
		return fmt.Sprintf("SELECT %s, COUNT(*) FROM %s%s GROUP BY %s", by, s.name, w.where(s.name), by), false
	case 3:
		return fmt.Sprintf("SELECT COUNT(*) FROM %s%s", s.name, w.where(s.name)), true
	case 4:
		return fmt.Sprintf("SELECT d.id, d.a FROM (SELECT id, a, b FROM %s%s) AS d", s.name, w.where(s.name)), false
	case 5:
		text = fmt.Sprintf("SELECT id, a, b, c FROM %s WHERE {%s.id} = %s", s.name, s.name, w.id())
		if w.chance(0.5) {
			text += " AND " + w.condition(s.name, 0)
		}
		return text, false
	}
	text = "SELECT id, a, b, c FROM " + s.name + w.where(s.name)
	if w.chance(0.4) {
		return text, false
	}
	direction := w.pick("", " DESC")
	order := []string{w.pick("a", "b", "c"), "id", "c"}
	if w.chance(0.4) {
		order = []string{"a", "b", "c", "id"}
	}
	text += " ORDER BY " + strings.Join(order, direction+", ") + direction
	if w.chance(0.5) {
		text += fmt.Sprint(" LIMIT ", 1+w.IntN(5))
	}
	return text, true
}

// write returns a statement that changes a table.
func (w *world) write() string {
	s := w.table()
	row := func() string {
		return "(" + w.id() + ", " + w.value() + ", " + w.value() + ", " + fmt.Sprint(w.IntN(4)) + ")"
	}
	free := func() string { // a column without a unique index, whose value may depend on other columns
		for _, c := range []string{"a", "b"} {
			if !slices.ContainsFunc(w.unique[s.name], func(columns []string) bool { return slices.Contains(columns, c) }) {
				return c
			}
		}
		return ""
	}
	if len(w.unique[s.name]) == 0 && w.chance(0.12) {
		return "UPSERT INTO " + s.name + " (id, a, b, c) VALUES " + row()
	}
	switch w.IntN(9) {
	case 0, 1:
		rows := row()
		for range w.IntN(3) {
			rows += ", " + row()
		}
		return "INSERT INTO " + s.name + " (id, a, b, c) VALUES " + rows + " ON CONFLICT [key] DO NOTHING"
	case 2:
		return "INSERT INTO " + s.name + " (id, a, b, c) VALUES " + row()
	case 3:
		return "DELETE FROM " + s.name + " WHERE {" + s.name + ".id} = " + w.id()
	case 4:
		return "DELETE FROM " + s.name + " WHERE " + w.condition(s.name, 1)
	case 5:
		return "UPDATE " + s.name + " SET " + w.pick("a", "b") + " = " + w.value() + " WHERE {" + s.name + ".id} = " + w.id()
	case 6:
		u := w.table()
		return fmt.Sprintf("INSERT INTO %s (id, a, b, c) SELECT %s.id + 30 + %s.c * 100, %s.a, %s.b, %s.c FROM %s%s ON CONFLICT [key] DO NOTHING", s.name, u.name, u.name, u.name, u.name, u.name, u.name, w.where(u.name))
	}
	if c := free(); c != "" && w.chance(0.5) {
		return "UPDATE " + s.name + " SET " + c + " = id - 3 WHERE " + w.condition(s.name, 1)
	}
	return "UPDATE " + s.name + " SET " + w.pick("a", "b") + " = " + w.value() + " WHERE " + w.condition(s.name, 1)
}

var braces = regexp.MustCompile(`\{([^}]*)\}`)

// ours and lites write a text in the form for the server and for SQLite.
func ours(text string) string {
	return braces.ReplaceAllString(strings.ReplaceAll(text, "[key] ", ""), "$1")
}

func (w *world) lites(text string) string {
	for name, key := range w.keys {
		if strings.HasPrefix(text, "INSERT INTO "+name+" ") {
			text = strings.ReplaceAll(text, "[key]", "("+strings.Join(key, ", ")+")")
		}
	}
	if strings.Contains(text, "SELECT") && strings.Contains(text, "ON CONFLICT") && !strings.Contains(text, "WHERE") {
		text = strings.ReplaceAll(text, " ON CONFLICT", " WHERE true ON CONFLICT") // SQLite's grammar needs a WHERE here
	}
	text = strings.ReplaceAll(text, "UPSERT INTO", "INSERT OR REPLACE INTO")
	return braces.ReplaceAllString(text, "COALESCE($1, -1000)")
}

func ownWritesIn(t *testing.T, seed uint64, n *tally) {
	w := newWorld(seed)
	lite, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		t.Fatal(err)
	}
	defer lite.Close()
	lite.SetMaxOpenConns(1)
	var options []string
	if seed%10 == 9 {
		options = []string{"own_writes_scan=30"}
	}
	db, err := sql.Open("immudb", dbtest.WithOptions(ownWritesDSN(t), options...))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close() // not only at the end of the test: the server allows 100 sessions
	mine, its := w.create()
	for _, text := range mine {
		dbtest.Exec(t, db, text)
	}
	for _, text := range its {
		dbtest.Exec(t, lite, text)
	}
	for range transactionsPerWorld {
		w.transaction(t, db, lite, n)
		if t.Failed() {
			t.Logf("world %d: %s", seed, strings.Join(mine, "; "))
			return
		}
	}
	for _, s := range w.tables {
		dbtest.Exec(t, db, "DROP TABLE "+s.name)
	}
}

var sharedDSN string

func ownWritesDSN(t *testing.T) string {
	if sharedDSN == "" {
		sharedDSN = dbtest.FreshDSN(t)
	}
	return sharedDSN
}

// transaction runs one in both databases.
func (w *world) transaction(t *testing.T, db, lite *sql.DB, n *tally) {
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	liteTx, err := lite.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer liteTx.Rollback()
	n.transactions++
	var story []string
	for range 2 + w.IntN(11) {
		n.statements++
		isQuery := w.chance(0.5)
		text, ordered := "", false
		if isQuery {
			n.queries++
			text, ordered = w.query()
		} else if text = w.write(); w.chance(0.1) {
			text += "; " + w.write() // in one text
		}
		story = append(story, ours(text))
		var got, want string
		var liteErr error
		if isQuery {
			got, err = rowsOf(tx, ordered, ours(text))
		} else {
			got, err = affected(tx, ours(text))
		}
		if errors.Is(err, immudb.ErrUnsupported) || err != nil && isQuery && fails(db, ours(text)) {
			n.refuse(err)
			story[len(story)-1] += " -- refused"
			if _, err := rowsOf(tx, true, "SELECT 1"); err != nil {
				return // the server refused it and ended the transaction
			}
			continue
		}
		if isQuery {
			want, liteErr = rowsOf(liteTx, ordered, w.lites(text))
		} else {
			for part := range strings.SplitSeq(text, "; ") {
				if want, liteErr = affected(liteTx, w.lites(part)); liteErr != nil {
					break
				}
			}
			if strings.Contains(text, "; ") {
				want = got
			}
		}
		switch {
		case err != nil && liteErr != nil && !isQuery:
			return // a duplicate key: both are rolled back
		case errors.Is(err, immudb.ErrDuplicateKey) && !isQuery:
			n.refuse(err) // it inserts a row that the transaction has deleted
			return
		case err == nil && liteErr != nil && strings.Contains(liteErr.Error(), "UNIQUE constraint failed: index"):
			n.refuse(errLetThrough)
			return
		case err != nil || liteErr != nil || got != want:
			t.Errorf("%s\ngot  %s (%v)\nwant %s (%v)", strings.Join(story, ";\n"), got, err, want, liteErr)
			return
		}
	}
	if w.chance(0.5) {
		return
	}
	if err := tx.Commit(); err != nil {
		t.Errorf("%s\nCommit: %v", strings.Join(story, ";\n"), err)
		return
	}
	if err := liteTx.Commit(); err != nil {
		t.Fatal(err)
	}
	n.committed++
	for _, s := range w.tables {
		for _, text := range append([]string{"SELECT id, a, b, c FROM " + s.name + " ORDER BY id, c"}, w.byIndex(s)...) {
			got, err := rowsOf(db, true, text)
			want, liteErr := rowsOf(lite, true, text)
			if got != want || err != nil || liteErr != nil {
				t.Errorf("%s; COMMIT\n%s\ngot  %s (%v)\nwant %s (%v)", strings.Join(story, ";\n"), text, got, err, want, liteErr)
			}
		}
	}
}

// The server's unique indexes accept a duplicate value, also outside transactions, if a
// row with a smaller key had it before: see unique_test.go in internal/traptest.
var errLetThrough = errors.New("a unique index accepted a value that another row had before")

// fails reports whether a query fails outside transactions as well.
func fails(db *sql.DB, text string) bool {
	_, err := rowsOf(db, true, text)
	return err != nil
}

// byIndex are queries that the server answers from the indexes of a table.
func (w *world) byIndex(s source) []string {
	var list []string
	for _, column := range w.led[s.name] {
		list = append(list, "SELECT COUNT(*) FROM "+s.name+" WHERE "+column+" = 3")
	}
	return list
}

func affected(tx *sql.Tx, text string) (string, error) {
	res, err := tx.Exec(text)
	if err != nil {
		return "", err
	}
	n, err := res.RowsAffected()
	return fmt.Sprint(n), err
}

type queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

func rowsOf(db queryer, ordered bool, text string) (string, error) {
	rows, err := db.QueryContext(context.Background(), text)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return "", err
	}
	var lines []string
	for rows.Next() {
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return "", err
		}
		lines = append(lines, fmt.Sprint(values...))
	}
	if !ordered {
		slices.Sort(lines)
	}
	return strings.Join(lines, ", "), rows.Err()
}
