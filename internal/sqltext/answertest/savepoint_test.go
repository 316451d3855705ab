package answertest

import (
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/testserver"
)

// A transaction with savepoints has the same effect as in SQLite: its queries return the
// same rows, and so do the tables after it. A failed statement ends the transaction on
// the server but not in SQLite; then both roll back to a savepoint, or end.
func TestSavepointsAreThoseOfSQLite(t *testing.T) {
	var n savepointTally
	left := testserver.Rounds(t, 200, 400)
	for world := uint64(0); left > 0; world++ {
		// The tables must stay small: a transaction that updates all rows has a limit of them.
		transactions := min(left, 600)
		savepointsIn(t, world, transactions, &n)
		left -= transactions
	}
	t.Logf("%+v", n)
	if n.Returns == 0 || n.AfterFailure == 0 || n.Compared < n.Returns {
		t.Errorf("too little was tried: %+v", n)
	}
}

// savepointsIn plays transactions on tables of their own.
func savepointsIn(t *testing.T, world uint64, transactions int, n *savepointTally) {
	db, lite := both(t, true)
	for _, text := range []string{"CREATE TABLE k (id INTEGER NOT NULL, v INTEGER, PRIMARY KEY (id))", "CREATE TABLE w (id INTEGER NOT NULL, v INTEGER, PRIMARY KEY (id))"} {
		dbtest.Exec(t, db, text)
		dbtest.Exec(t, lite, text)
	}
	dbtest.Exec(t, db, "CREATE INDEX ON w (v)")
	dbtest.Exec(t, db, "CREATE TABLE g (id INTEGER AUTO_INCREMENT, v INTEGER, PRIMARY KEY id)")
	dbtest.Exec(t, lite, "CREATE TABLE g (id INTEGER PRIMARY KEY, v INTEGER)")
	for i := range transactions {
		s := savepointTx{T: t, Rand: rand.New(rand.NewPCG(16+world, uint64(i))), n: n, ours: dbtest.Begin(t, db, nil), lite: dbtest.Begin(t, lite, nil), deleted: map[string]bool{}}
		s.play()
		for _, table := range []string{"k", "w", "g"} {
			s.compare(db, lite, "SELECT id, v FROM "+table+" ORDER BY id")
		}
		if t.Failed() {
			t.Fatalf("transaction %d of world %d:\n%s", i, world, strings.Join(s.texts, "\n"))
		}
	}
}

type savepointTally struct{ Statements, Compared, Returns, AfterFailure, Committed, Failed int }

// savepointTx is a transaction in both databases.
type savepointTx struct {
	*testing.T
	*rand.Rand
	n          *savepointTally
	ours, lite *sql.Tx
	texts      []string
	names      []string        // of the existing savepoints
	deleted    map[string]bool // keys deleted by the transaction: the server does not insert them again
}

func (s *savepointTx) chance(p float64) bool { return s.Float64() < p }

func (s *savepointTx) play() {
	for range 3 + s.IntN(14) {
		ok := true
		switch n := s.IntN(12); {
		case n < 2:
			s.savepoint()
		case n < 4 && len(s.names) > 0:
			s.back()
		case n == 4 && len(s.names) > 0:
			ok = s.release()
		case n < 7:
			s.compare(s.ours, s.lite, "SELECT id, v FROM "+[]string{"k", "w", "g"}[s.IntN(3)]+[]string{"", " WHERE v > 2", " WHERE v = 1"}[s.IntN(3)]+" ORDER BY id")
		default:
			ok = s.write()
		}
		if s.Failed() {
			return
		}
		if !ok && !s.recover() {
			return
		}
	}
	if s.chance(0.2) {
		s.end((*sql.Tx).Rollback)
		return
	}
	s.n.Committed++
	s.end((*sql.Tx).Commit)
}

func (s *savepointTx) end(how func(*sql.Tx) error) {
	if err := errors.Join(how(s.ours), how(s.lite)); err != nil {
		s.Errorf("the end: %v", err)
	}
}

// both runs a statement in both databases.
func (s *savepointTx) both(ours, lite string) (res, liteRes sql.Result, err, liteErr error) {
	s.texts = append(s.texts, ours)
	s.n.Statements++
	res, err = s.ours.Exec(ours)
	liteRes, liteErr = s.lite.Exec(lite)
	return res, liteRes, err, liteErr
}

func (s *savepointTx) must(text string) {
	if _, _, err, liteErr := s.both(text, text); err != nil || liteErr != nil {
		s.Errorf("%s: %v, SQLite: %v", text, err, liteErr)
	}
}

func (s *savepointTx) savepoint() {
	name := []string{"a", "b", "c"}[s.IntN(3)]
	s.must("SAVEPOINT " + name)
	s.names = append(s.names, name)
}

// back rolls back to one of the existing savepoints.
func (s *savepointTx) back() {
	name := s.names[s.IntN(len(s.names))]
	s.must([]string{"ROLLBACK TO ", "ROLLBACK TO SAVEPOINT "}[s.IntN(2)] + name)
	s.names = s.names[:s.last(name)+1]
	s.n.Returns++
}

func (s *savepointTx) last(name string) int {
	for i := len(s.names) - 1; i >= 0; i-- {
		if s.names[i] == name {
			return i
		}
	}
	return -1
}

// release releases a savepoint, or one that does not exist, which must fail.
func (s *savepointTx) release() (ok bool) {
	name := []string{"a", "b", "c"}[s.IntN(3)]
	if s.last(name) < 0 && s.chance(0.8) {
		return true
	}
	_, _, err, liteErr := s.both("RELEASE "+name, "RELEASE "+name)
	at := s.last(name)
	if (err == nil) != (at >= 0) || (liteErr == nil) != (at >= 0) {
		s.Errorf("RELEASE %s: %v, SQLite: %v, savepoints %q", name, err, liteErr, s.names)
	}
	if at >= 0 {
		s.names = s.names[:at]
	}
	return at >= 0
}

// recover rolls back to a savepoint after a failure, or ends the transaction.
func (s *savepointTx) recover() (goesOn bool) {
	s.n.Failed++
	if s.chance(0.3) {
		if _, err := s.ours.Exec("UPDATE k SET v = 0"); !errors.Is(err, immudb.ErrTxAborted) {
			s.Errorf("a statement after a failure: %v, want ErrTxAborted", err)
		}
	}
	if len(s.names) == 0 {
		s.end((*sql.Tx).Rollback)
		return false
	}
	s.n.AfterFailure++
	s.back()
	return !s.Failed()
}

func (s *savepointTx) write() (ok bool) {
	table := []string{"k", "k", "w", "g"}[s.IntN(4)]
	id, v := fmt.Sprint(s.IntN(16)), fmt.Sprint(s.IntN(5))
	ours := ""
	lite := ""
	switch n := s.IntN(6); {
	case table == "g" && n < 3:
		ours = "INSERT INTO g (v) VALUES (" + v + ")"
		if n == 0 {
			ours += ", (7)"
		}
	case n < 2 && !s.deleted[table+id]:
		ours = fmt.Sprintf("INSERT INTO %s (id, v) VALUES (%s, %s)", table, id, v)
		if table == "g" {
			ours = "UPDATE g SET v = v + 1"
		}
	case n == 2:
		ours = fmt.Sprintf("UPSERT INTO %s (id, v) VALUES (%s, %s)", table, id, v)
		lite = strings.Replace(ours, "UPSERT", "REPLACE", 1)
	case n == 3 && table != "g":
		ours = fmt.Sprintf("DELETE FROM %s WHERE id = %s", table, id)
		s.deleted[table+id] = true
	default:
		ours = fmt.Sprintf("UPDATE %s SET v = v + 1 WHERE %s", table, []string{"id = " + id, "v = " + v, "id > " + id}[s.IntN(3)])
	}
	if lite == "" {
		lite = ours
	}
	res, liteRes, err, liteErr := s.both(ours, lite)
	switch {
	case err == nil && liteErr == nil:
	case err != nil && liteErr != nil, errors.Is(err, immudb.ErrUnsupported):
		return false
	default:
		s.Errorf("%s: %v, SQLite: %v", ours, err, liteErr)
		return false
	}
	got, _ := res.RowsAffected()
	want, _ := liteRes.RowsAffected()
	if got != want {
		s.Errorf("%s: %d rows, want %d", ours, got, want)
	}
	if table == "g" && strings.HasPrefix(ours, "INSERT") {
		got, err := res.LastInsertId()
		want, _ := liteRes.LastInsertId()
		if got != want || err != nil {
			s.Errorf("%s: key %d, %v, want %d", ours, got, err, want)
		}
	}
	return true
}

func (s *savepointTx) compare(ours, lite querier, query string) {
	s.texts = append(s.texts, query)
	s.n.Compared++
	got, err := pairs(ours, query)
	want, liteErr := pairs(lite, query)
	if err != nil || liteErr != nil || !slices.Equal(got, want) {
		s.Errorf("%s: %v %v, want %v %v", query, got, err, want, liteErr)
	}
}

// pairs returns the rows of a query of two columns.
func pairs(q querier, query string) (list []string, err error) {
	rows, err := q.Query(query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id, v sql.NullInt64
		if err := rows.Scan(&id, &v); err != nil {
			return nil, err
		}
		list = append(list, fmt.Sprint(id.Int64, ":", v))
	}
	return list, rows.Err()
}
