package immudb_test

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/testserver"
)

// The tests share one real server, in a child process, and take a database each.
func TestMain(m *testing.M) {
	os.Exit(testserver.Main(m, testserver.NoSessions, noGoroutines))
}

// noGoroutines fails if the driver, or gRPC on its behalf, left one behind.
func noGoroutines() error {
	var left []string
	for range 50 { // what has been told to end needs a moment to do so
		left = left[:0]
		buf := make([]byte, 1<<20)
		for stack := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
			if strings.Contains(stack, "noGoroutines") || !strings.Contains(stack, "grpc") && !strings.Contains(stack, "immudb.") {
				continue
			}
			left = append(left, stack)
		}
		if len(left) == 0 {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return fmt.Errorf("the tests left %d goroutines:\n%s", len(left), strings.Join(left, "\n\n"))
}

// dsnWith adds options such as "max_retries=0" to a DSN in URL form.
func dsnWith(dsn string, options ...string) string {
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

// freshDSN makes a database on the shared server.
func freshDSN(t testing.TB, options ...string) string {
	t.Helper()
	return dsnWith(testserver.Shared(t).NewDatabase(t), options...)
}

// openDB opens a fresh database for the test and closes it with the test.
func openDB(t testing.TB, options ...string) *sql.DB {
	t.Helper()
	return openDSN(t, freshDSN(t, options...))
}

func openDSN(t testing.TB, dsn string) *sql.DB {
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

// execer is what a *sql.DB, *sql.Conn and *sql.Tx have in common.
type execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func mustExec(t testing.TB, db execer, query string, args ...any) sql.Result {
	t.Helper()
	res, err := db.ExecContext(context.Background(), query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return res
}

// get scans the only row of a query into one value.
func get[T any](t testing.TB, db execer, query string, args ...any) T {
	t.Helper()
	var v T
	if err := db.QueryRowContext(context.Background(), query, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}

// list scans the first column of all rows.
func list[T any](t testing.TB, db execer, query string, args ...any) []T {
	t.Helper()
	rows, err := db.QueryContext(context.Background(), query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	values := []T{}
	for rows.Next() {
		var v T
		if err := rows.Scan(&v); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		values = append(values, v)
	}
	if err := rows.Err(); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return values
}

// raw runs f on the driver's connection.
func raw(t testing.TB, conn *sql.Conn, f func(c *immudb.Conn)) {
	t.Helper()
	err := conn.Raw(func(c any) error {
		f(c.(*immudb.Conn))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func itoa(n uint64) string { return strconv.FormatUint(n, 10) }
