package immudb_test

import (
	"errors"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/testserver"
)

func TestServerErrorsMatchTheirSentinel(t *testing.T) {
	db := dbtest.Open(t)
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, n INTEGER NOT NULL, s VARCHAR[4], j JSON, PRIMARY KEY id)")
	dbtest.Exec(t, db, "INSERT INTO t (id, n, j) VALUES (1, 1, '[]')")
	dbtest.Exec(t, db, "CREATE DATABASE IF NOT EXISTS twice")
	for _, row := range []struct {
		query    string
		kind     error
		sqlState string
	}{
		{"INSERT INTO t (id, n) VALUES (1, 1)", immudb.ErrDuplicateKey, "23505"},
		{"INSERT INTO t (id) VALUES (2)", immudb.ErrNotNull, "23502"},
		{"INSERT INTO t (n) VALUES (2)", immudb.ErrNotNull, "23502"},
		{"INSERT INTO t (id, n, s) VALUES (2, 2, 'too long')", immudb.ErrTooLong, "22001"},
		{"INSERT INTO t (id, n) VALUES (2, 'x')", immudb.ErrInvalidValue, "22P02"},
		{"INSERT INTO nosuch (id) VALUES (1)", immudb.ErrNoSuchTable, "42P01"},
		{"SELECT NOSUCH(1) FROM t", immudb.ErrSyntax, "42883"},
		{"INSERT INTO t (n, n) VALUES (1, 2)", immudb.ErrSyntax, "42701"},
		{"INSERT INTO t (id, n) VALUES (1)", immudb.ErrSyntax, "42601"},
		{"SELECT n, COUNT(*) FROM t GROUP BY s", immudb.ErrSyntax, "42803"},
		{"DROP INDEX ON t (s)", immudb.ErrSyntax, "42704"},
		{"SELECT MAX(n), s FROM t", immudb.ErrSyntax, "42803"},
		{"SELECT n FROM t GROUP BY s", immudb.ErrSyntax, "42803"},
		{"SELECT j->'a', COUNT(*) FROM t GROUP BY n", immudb.ErrSyntax, "42803"},
		{"SELECT j->'a'->'b', COUNT(*) FROM t GROUP BY n", immudb.ErrSyntax, "42803"},
		{"SELECT t.id FROM t JOIN t ON t.n = 1", immudb.ErrSyntax, "42702"},
		{"SELECT NEXTVAL('nosuch') FROM t", immudb.ErrNoSuchTable, "42P01"},
		{"DROP VIEW nosuch", immudb.ErrNoSuchTable, "42P01"},
		{"SELECT CAST('{' AS JSON) FROM t", immudb.ErrInvalidValue, "22P02"},
		{"SELECT CAST('x' AS JSON) FROM t", immudb.ErrInvalidValue, "22P02"},
		{"SELECT s->'a' FROM t", immudb.ErrInvalidValue, "42804"},
		{"SELECT EXTRACT(YEAR FROM n) FROM t", immudb.ErrInvalidValue, "42804"},
		{"UPDATE t SET id = 5 WHERE id = 1", immudb.ErrUnsupported, "0A000"},
		{"CREATE TABLE nokey (id INTEGER)", immudb.ErrSyntax, "42P16"},
		{"ALTER TABLE t ADD COLUMN m INTEGER NOT NULL", immudb.ErrNotNull, "23502"},
		{"DROP TABLE nosuch", immudb.ErrNoSuchTable, "42P01"},
		{"INSERT INTO t (nosuch) VALUES (1)", immudb.ErrNoSuchColumn, "42703"},
		{"SELECT nosuch FROM t", immudb.ErrNoSuchColumn, "42703"},
		{"USE nosuchdb", immudb.ErrNoSuchDatabase, "3D000"},
		{"CREATE TABLE t (id INTEGER, PRIMARY KEY id)", immudb.ErrExists, "42P07"},
		{"ALTER TABLE t ADD COLUMN n INTEGER", immudb.ErrExists, "42701"},
		{"CREATE DATABASE twice", immudb.ErrExists, "42P04"},
		{"SELEC 1", immudb.ErrSyntax, "42601"},
		{"SELECT 'open", immudb.ErrSyntax, "42601"},
	} {
		t.Run(row.query, func(t *testing.T) {
			_, err := db.Exec(row.query)
			var e *immudb.Error
			if !errors.As(err, &e) || !errors.Is(err, row.kind) {
				t.Fatalf("err = %v, want %v", err, row.kind)
			}
			if e.SQLState != row.sqlState {
				t.Errorf("SQLSTATE %q, want %q", e.SQLState, row.sqlState)
			}
			if e.Retryable() {
				t.Error("is called retryable")
			}
			if strings.Count(err.Error(), "immudb: ") != 1 {
				t.Errorf("%q does not name the driver once", err)
			}
		})
	}
}

func TestErrorsTellTheirGRPCCode(t *testing.T) {
	_, err := dbtest.Open(t).Exec("USE nosuchdb")
	var e *immudb.Error
	if !errors.As(err, &e) || e.GRPC != codes.NotFound {
		t.Errorf("err = %v, want one with code NotFound", err)
	}
}

func TestPermissionIsTold(t *testing.T) {
	s := testserver.Start(t)
	dsn := s.NewDatabase(t)
	admin := dbtest.OpenDSN(t, dsn)
	dbtest.Exec(t, admin, "CREATE TABLE t (id INTEGER, PRIMARY KEY id)")
	dbtest.Exec(t, admin, "CREATE USER reader WITH PASSWORD 'Reader123!' READ")
	cfg, err := immudb.ParseDSN(dsn)
	if err != nil {
		t.Fatal(err)
	}
	cfg.User, cfg.Password = "reader", "Reader123!"
	db := dbtest.OpenDSN(t, cfg.FormatDSN())
	if got := dbtest.Get[int](t, db, "SELECT COUNT(*) FROM t"); got != 0 {
		t.Errorf("%d rows", got)
	}
	if _, err := db.Exec("INSERT INTO t (id) VALUES (1)"); !errors.Is(err, immudb.ErrPermission) {
		t.Errorf("err = %v, want ErrPermission", err)
	}
}
