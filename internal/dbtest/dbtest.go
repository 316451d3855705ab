// Package dbtest has helpers for tests of the driver with a real server: a separate database for each test, statements and
// queries in one line, and the check that no session and no goroutine is left.
//
// A package that uses it has
//
//	func TestMain(m *testing.M) { os.Exit(dbtest.Main(m)) }
//
// Faults that a real server does not produce on demand are scripted with internal/scripttest.
package dbtest

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/testserver"
)

// Main runs the tests of a package, which share one real server in a child process. When they have passed, no session
// may be open on it and no goroutine of the driver's may run.
func Main(m *testing.M) int {
	return testserver.Main(m, testserver.NoSessions, NoGoroutines)
}

// patience is how long to wait on a busy machine for something that ends by itself.
const patience = 30 * time.Second

// NoGoroutines fails if a goroutine of the driver, or of its gRPC channels, is still running. It waits for goroutines that
// are ending.
func NoGoroutines() error {
	var left []string
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		left = left[:0]
		buf := make([]byte, 1<<20)
		for stack := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
			if strings.Contains(stack, "NoGoroutines") || !strings.Contains(stack, "grpc") && !strings.Contains(stack, "immudb.") {
				continue
			}
			left = append(left, stack)
		}
		if len(left) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the tests left %d goroutines:\n%s", len(left), strings.Join(left, "\n\n"))
		}
	}
}

// WithOptions adds options such as "max_retries=0" to a DSN in URL form.
func WithOptions(dsn string, options ...string) string {
	u, err := url.Parse(dsn)
	if err != nil {
		panic("a DSN of the test server is not a URL")
	}
	q := u.Query()
	for _, o := range options {
		key, value, _ := strings.Cut(o, "=")
		q.Set(key, value)
	}
	u.RawQuery = q.Encode()
	return u.String()
}

// FreshDSN makes a database on the shared server and returns its DSN.
func FreshDSN(t testing.TB, options ...string) string {
	t.Helper()
	return WithOptions(testserver.Shared(t).NewDatabase(t), options...)
}

// Open opens a fresh database for the test and closes it with the test.
func Open(t testing.TB, options ...string) *sql.DB {
	t.Helper()
	return OpenDSN(t, FreshDSN(t, options...))
}

// OpenDSN opens a database and closes it with the test.
func OpenDSN(t testing.TB, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open("immudb", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// Execer is a *sql.DB, a *sql.Conn or a *sql.Tx.
type Execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Exec runs a statement, which must succeed.
func Exec(t testing.TB, db Execer, query string, args ...any) sql.Result {
	t.Helper()
	res, err := db.ExecContext(context.Background(), query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return res
}

// Get scans the only row of a query into one value.
func Get[T any](t testing.TB, db Execer, query string, args ...any) T {
	t.Helper()
	var v T
	if err := db.QueryRowContext(context.Background(), query, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}

// List scans the first column of all rows.
func List[T any](t testing.TB, db Execer, query string, args ...any) []T {
	t.Helper()
	rows, err := db.QueryContext(context.Background(), query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	values, err := Drain[T](rows)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return values
}

// Drain scans the first column of rows to their end and closes them. With an error it returns the values before it.
func Drain[T any](rows *sql.Rows) ([]T, error) {
	defer rows.Close()
	values := []T{}
	for rows.Next() {
		var v T
		if err := rows.Scan(&v); err != nil {
			return values, err
		}
		values = append(values, v)
	}
	return values, rows.Err()
}

// Raw runs f on the driver's connection.
func Raw(t testing.TB, conn *sql.Conn, f func(c *immudb.Conn)) {
	t.Helper()
	err := immudb.Raw(context.Background(), conn, func(c *immudb.Conn) error {
		f(c)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Begin begins a transaction, which ends with the test at the latest.
func Begin(t testing.TB, db *sql.DB, opts *sql.TxOptions) *sql.Tx {
	t.Helper()
	tx, err := db.BeginTx(context.Background(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tx.Rollback() })
	return tx
}

// Fill creates table t (id INTEGER, x BLOB) and inserts n rows (i, blob) with i from 1, in transactions within the server's
// limits.
func Fill(t testing.TB, db *sql.DB, n int, blob []byte) {
	t.Helper()
	Exec(t, db, "CREATE TABLE t (id INTEGER, x BLOB, PRIMARY KEY id)")
	const perTx = 500
	for from := 1; from <= n; from += perTx {
		to := min(from+perTx-1, n)
		args := []any{}
		for i := from; i <= to; i++ {
			args = append(args, i, blob)
		}
		Exec(t, db, "UPSERT INTO t (id, x) VALUES "+strings.TrimSuffix(strings.Repeat("(?,?),", to-from+1), ","), args...)
	}
}
