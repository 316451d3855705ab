package main

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"os"
	"testing"
	"time"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/testserver"
)

func TestMain(m *testing.M) { os.Exit(testserver.Main(m, testserver.NoSessions)) }

// source is a database of another kind: every query answers n rows, then err.
type source struct {
	n   int
	err error
}

func (s source) Connect(context.Context) (driver.Conn, error) { return s, nil }
func (s source) Driver() driver.Driver                        { return nil }
func (s source) Prepare(string) (driver.Stmt, error)          { return nil, driver.ErrSkip }
func (s source) Begin() (driver.Tx, error)                    { return nil, driver.ErrSkip }
func (s source) Close() error                                 { return nil }

func (s source) QueryContext(context.Context, string, []driver.NamedValue) (driver.Rows, error) {
	return &answer{source: s}, nil
}

type answer struct {
	source
	at int
}

func (a *answer) Columns() []string { return []string{"id", "name", "at"} }

func (a *answer) Next(dest []driver.Value) error {
	if a.at == a.n {
		if a.err != nil {
			return a.err
		}
		return io.EOF
	}
	a.at++
	dest[0], dest[1], dest[2] = int64(a.at), []byte{byte(a.at)}, time.UnixMicro(int64(a.at))
	return nil
}

func openTable(t *testing.T) (*sql.DB, string) {
	t.Helper()
	dsn := testserver.Shared(t).NewDatabase(t)
	db, err := sql.Open("immudb", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	if _, err := db.Exec("CREATE TABLE t (id INTEGER, name BLOB, at TIMESTAMP, PRIMARY KEY id)"); err != nil {
		t.Fatal(err)
	}
	return db, dsn
}

func count(t *testing.T, db *sql.DB) (n int64) {
	t.Helper()
	if err := db.QueryRow("SELECT COUNT(*) FROM t").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestRowsOfAnyDriverAreCopied(t *testing.T) {
	to, _ := openTable(t)
	from := sql.OpenDB(source{n: 3000})
	defer from.Close()
	n, err := copyQuery(t.Context(), from, "SELECT", to, "t", nil)
	if err != nil || n != 3000 || count(t, to) != 3000 {
		t.Errorf("%d rows, %d there, err = %v", n, count(t, to), err)
	}
}

func TestRowsBeforeAFailureOfTheSourceAreThere(t *testing.T) {
	to, _ := openTable(t)
	errSource := errors.New("connection reset")
	from := sql.OpenDB(source{n: 1500, err: errSource})
	defer from.Close()
	n, err := copyQuery(t.Context(), from, "SELECT", to, "t", nil)
	var failed *immudb.CopyError
	if !errors.As(err, &failed) || !errors.Is(err, errSource) || n != 1500 || count(t, to) != 1500 {
		t.Errorf("%d rows, %d there, err = %v", n, count(t, to), err)
	}
}

func TestOneImmudbIsCopiedToAnother(t *testing.T) {
	first, firstDSN := openTable(t)
	second, secondDSN := openTable(t)
	from := sql.OpenDB(source{n: 2500})
	defer from.Close()
	if _, err := copyQuery(t.Context(), from, "SELECT", first, "t", nil); err != nil {
		t.Fatal(err)
	}
	n, err := run(t.Context(), "immudb", firstDSN, "SELECT id, name, at FROM t WHERE id > 100", secondDSN, "t", &immudb.CopyOptions{Writers: 2})
	if err != nil || n != 2400 || count(t, second) != 2400 {
		t.Errorf("%d rows, %d there, err = %v", n, count(t, second), err)
	}
}
