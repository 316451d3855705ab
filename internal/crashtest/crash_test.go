// Package crashtest tests the driver with statements that crash a real server or destroy
// its databases: each fault is shown without the driver, on a separate server, and must
// not happen with the driver.
package crashtest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/testserver"
)

func TestMain(m *testing.M) { os.Exit(testserver.Main(m, dbtest.NoGoroutines)) }

var schema = []string{
	"CREATE TABLE t (id INTEGER AUTO_INCREMENT, n INTEGER, s VARCHAR[20], b BOOLEAN, ts TIMESTAMP, x BLOB[64], u UUID, j JSON, PRIMARY KEY id)",
	"CREATE TABLE p (id INTEGER, t_id INTEGER, u UUID, PRIMARY KEY id)",
	"INSERT INTO t (n, s, b, ts, x) VALUES (1, 'a', TRUE, NOW(), x'00'), (2, 'b', FALSE, NOW(), x'01')",
	"INSERT INTO p (id, t_id) VALUES (1, 1), (2, 2)",
	"CREATE SEQUENCE sq",
	"CREATE VIEW v AS SELECT id FROM t",
}

// crash is a statement that crashes the server.
type crash struct {
	query string
	args  []any
}

// crashes has a statement for each way in which v1.11.1 crashes.
var crashes = []crash{
	{query: "SELECT * FROM t WHERE ts IN (NOW())"},
	{query: "SELECT * FROM t WHERE n IN ((SELECT 1 FROM p))"},
	{query: "SELECT * FROM p LEFT JOIN t ON t.ts IN (NOW())"},
	{query: "SELECT * FROM t JOIN p ON p.id IN (NEXTVAL('sq'))"},
	{query: "SELECT * FROM t WHERE n IN (COUNT(*) OVER ())"},
	{query: "UPDATE t SET n = 1 WHERE n = 1 OR ts IN (NOW())"},
	{query: "INSERT INTO p (id) VALUES (COUNT(*) OVER ())"},
	{query: "SELECT * FROM p LIMIT ROW_NUMBER() OVER ()"},
	{query: "SELECT * FROM (VALUES (ROW_NUMBER() OVER ()))"},
	{query: "SELECT * FROM COLUMNS(ROW_NUMBER() OVER ())"},
	{query: "SELECT * FROM t SINCE TX ROW_NUMBER() OVER ()"},
	{query: "SELECT * FROM t BEFORE NULL"},
	{query: "SELECT * FROM t UNTIL ?", args: []any{nil}},
	{query: "SELECT * FROM t SINCE CASE WHEN 1 = 2 THEN NOW() END"},
	{query: "SELECT STRING_AGG(n, ',') FROM t"},
	{query: "SELECT CAST(x AS UUID) FROM t"},
	{query: "SELECT CAST(? AS UUID) FROM t", args: []any{[]byte{1}}},
	{query: "INSERT INTO t (u) VALUES (x'00')"},
	{query: "UPSERT INTO t (id, u) VALUES (1, ?)", args: []any{[]byte("00000000-0000-0000-0000-000000000001")}},
	{query: "INSERT INTO p (id, u) VALUES (1, NULL) ON CONFLICT DO UPDATE SET u = x'00'"},
	{query: "INSERT INTO t (u) SELECT x FROM t"},
	{query: "SELECT RPAD(s, 3 - LENGTH('abcdef'), 'x') FROM t"},
	{query: "SELECT LPAD(s, ?) FROM t", args: []any{-1}},
	{query: "SELECT REPEAT('ab', 9223372036854775807) FROM t"},
	{query: "SELECT SUBSTRING('hello', 3, 9223372036854775806) FROM t"},
	{query: "SELECT s LIKE NULL FROM t"},
	{query: "UPDATE t SET n = 1 WHERE s LIKE CAST(NULL AS VARCHAR)"},
	{query: "SELECT * FROM (VALUES (1, 2), (3))"},
	{query: "SELECT * FROM t UNTIL COALESCE()"},
	{query: "DELETE FROM pg_class"},
	{query: "UPDATE information_schema_tables SET table_name = 'x'"},
	{query: "DELETE FROM v"},
	{query: "INSERT INTO p (id) VALUES (50); INSERT INTO p (id, t_id) SELECT id + 1000, t_id FROM p"},
}

// died reports whether a call ended because the server did.
func died(err error) bool {
	return err != nil && (strings.Contains(err.Error(), "Unavailable") || strings.Contains(err.Error(), "error reading from server"))
}

// The test shows that the rules are needed. If a new version of the server survives one of
// these statements, its rule can be removed.
func TestEachOfTheseCrashesTheServer(t *testing.T) {
	step := max(1, 8/testserver.Rounds(t, 1, 8))
	for i, c := range crashes {
		if i%step != 0 {
			continue // a new server for each takes a second
		}
		server, err := testserver.New("-synced=false")
		if err != nil {
			t.Fatal(err)
		}
		raw := open(t, server)
		for _, query := range schema {
			if err := raw.Exec(t.Context(), query); err != nil {
				t.Fatal(query, err)
			}
		}
		if err := send(t.Context(), raw, c); !died(err) {
			t.Errorf("%s: %v, want the end of the server", c.query, err)
		}
		raw.Close(t)
		_ = server.Close() // its error says that the server died
	}
}

func open(t *testing.T, server *testserver.Server) *dbtest.Wire {
	raw, err := dbtest.OpenWire(t.Context(), server.Addr(), "immudb", "immudb", "defaultdb")
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// openDatabase is open for another database.
func openDatabase(t *testing.T, server *testserver.Server, dsn string) *dbtest.Wire {
	cfg, err := immudb.ParseDSN(dsn)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := dbtest.OpenWire(t.Context(), server.Addr(), "immudb", "immudb", cfg.Database)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func send(ctx context.Context, raw *dbtest.Wire, c crash) error {
	args := make([]any, len(c.args))
	for i, arg := range c.args {
		args[i] = arg
		if n, ok := arg.(int); ok {
			args[i] = int64(n)
		}
	}
	if strings.HasPrefix(c.query, "SELECT") {
		_, err := raw.Query(ctx, c.query, args...)
		return err
	}
	return raw.Exec(ctx, c.query, args...)
}

func TestNoneOfTheseReachesTheServerThroughTheDriver(t *testing.T) {
	server := testserver.Start(t, "-synced=false")
	db := dbtest.OpenDSN(t, server.DSN())
	for _, query := range schema {
		dbtest.Exec(t, db, query)
	}
	grouped := dbtest.OpenDSN(t, dbtest.WithOptions(server.DSN(), "group_commit=16"))
	before := rows(t, db)
	for _, c := range crashes {
		ways := map[string]func() error{
			"Exec":        func() error { _, err := db.Exec(c.query, c.args...); return err },
			"Query":       func() error { return drain(db.Query(c.query, c.args...)) },
			"in a group":  func() error { _, err := grouped.Exec(c.query, c.args...); return err },
			"prepared":    func() error { return prepared(db, c) },
			"transaction": func() error { return inTx(t, db, c) },
		}
		for way, call := range ways {
			if err := call(); !errors.Is(err, immudb.ErrUnsupported) {
				t.Errorf("%s by %s: %v, want ErrUnsupported", c.query, way, err)
			}
		}
	}
	if after := rows(t, db); after != before {
		t.Errorf("the tables hold %s, before it was %s", after, before)
	}
}

func rows(t *testing.T, db *sql.DB) string {
	return fmt.Sprint(dbtest.List[int64](t, db, "SELECT n FROM t"), dbtest.List[int64](t, db, "SELECT t_id FROM p"))
}

func drain(rows *sql.Rows, err error) error {
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
	}
	return rows.Err()
}

func prepared(db *sql.DB, c crash) error {
	stmt, err := db.Prepare(c.query)
	if err != nil {
		return err
	}
	defer stmt.Close()
	_, err = stmt.Exec(c.args...)
	return err
}

// inTx runs the statement in a transaction, which must still work afterwards.
func inTx(t *testing.T, db *sql.DB, c crash) error {
	tx := dbtest.Begin(t, db, nil)
	defer tx.Rollback()
	dbtest.Exec(t, tx, "UPDATE t SET n = 100 WHERE id = 1")
	_, refused := tx.Exec(c.query, c.args...)
	if got := dbtest.Get[int](t, tx, "SELECT n FROM t WHERE id = 1"); got != 100 {
		t.Errorf("after %s the transaction reads %d, want 100", c.query, got)
	}
	return refused
}

func TestCopyFromRefusesBytesThatAreNoUUID(t *testing.T) {
	db := dbtest.Open(t)
	dbtest.Exec(t, db, "CREATE TABLE c (id INTEGER, u UUID, j JSON, PRIMARY KEY id)")
	n, err := immudb.CopyFrom(t.Context(), db, "c", []string{"id", "u"}, dbtest.Rows([]any{1, make([]byte, 16)}, []any{2, []byte("short")}), nil)
	if !errors.Is(err, immudb.ErrInvalidValue) {
		t.Errorf("%d rows, err = %v, want ErrInvalidValue", n, err)
	}
	if _, err := immudb.CopyFrom(t.Context(), db, "c", []string{"id", "j"}, dbtest.Rows([]any{3, "null"}, []any{4, []byte("null")}, []any{5, `{"a": 1}`}), nil); err != nil {
		t.Fatal(err)
	}
	if got := dbtest.Get[int](t, db, "SELECT COUNT(*) FROM c WHERE j IS NULL AND id > 2"); got != 2 {
		t.Errorf("%d rows without a value, want 2", got)
	}
	dbtest.Exec(t, db, "UPDATE c SET u = NULL WHERE id > 2") // fails if a JSON null was stored
}

// destroyed is a change of the schema after which no statement on any table works.
var destroyed = []string{
	"CREATE TABLE x (id INTEGER, s VARCHAR, CHECK s <> 'it''s', PRIMARY KEY id)",
	"CREATE TABLE x (id INTEGER, CHECK id IN (SELECT id FROM good), PRIMARY KEY id)",
	"CREATE TABLE x (id INTEGER, CHECK id > 1 AND EXISTS (SELECT 1 FROM good), PRIMARY KEY id)",
	`CREATE TABLE x (id INTEGER, "select" INTEGER, CHECK "select" > 1, PRIMARY KEY id)`,
	"CREATE TABLE x (id INTEGER, f FLOAT, CHECK f < 100000000000000000000000.0, PRIMARY KEY id)",
	"CREATE TABLE x (id INTEGER, s VARCHAR, CHECK s IN ('it''s', 'a'), PRIMARY KEY id)",
}

func TestChecksThatTheServerCannotReadBackDestroyADatabase(t *testing.T) {
	server := testserver.Start(t, "-synced=false")
	for i, query := range destroyed {
		dsn := server.NewDatabase(t)
		db := dbtest.OpenDSN(t, dsn)
		dbtest.Exec(t, db, "CREATE TABLE good (id INTEGER, PRIMARY KEY id)")
		if _, err := db.Exec(query); !errors.Is(err, immudb.ErrUnsupported) {
			t.Errorf("%s: %v, want ErrUnsupported", query, err)
		}
		dbtest.Exec(t, db, "INSERT INTO good (id) VALUES (1)")
		raw := openDatabase(t, server, dsn)
		if err := raw.Exec(t.Context(), query); err != nil {
			t.Errorf("%d: the server refuses it: %v", i, err)
		}
		if err := raw.Exec(t.Context(), "INSERT INTO good (id) VALUES (2)"); err == nil {
			t.Errorf("%s does no harm", query)
		}
		raw.Close(t)
	}
}

func TestRenameOfACheckedColumnIsRefused(t *testing.T) {
	db := dbtest.Open(t)
	dbtest.Exec(t, db, "CREATE TABLE c (id INTEGER, n INTEGER, m INTEGER, CHECK n > 1, PRIMARY KEY id)")
	if _, err := db.Exec("ALTER TABLE c RENAME COLUMN n TO z"); !errors.Is(err, immudb.ErrUnsupported) {
		t.Errorf("err = %v, want ErrUnsupported", err)
	}
	dbtest.Exec(t, db, "ALTER TABLE c RENAME COLUMN m TO z")
	dbtest.Exec(t, db, "INSERT INTO c (id, n, z) VALUES (1, 2, 3)")
	tx := dbtest.Begin(t, db, nil)
	defer tx.Rollback()
	if _, err := tx.Exec("ALTER TABLE c RENAME COLUMN n TO y"); !errors.Is(err, immudb.ErrUnsupported) {
		t.Errorf("in a transaction: err = %v, want ErrUnsupported", err)
	}
	dbtest.Exec(t, tx, "ALTER TABLE c RENAME COLUMN z TO y")
}

// After a key that is too long was written, every write to the database hangs.
func TestKeysThatAreTooLongStopEveryWrite(t *testing.T) {
	server := testserver.Start(t, "-synced=false")
	dsn := server.NewDatabase(t)
	db := dbtest.OpenDSN(t, dsn)
	dbtest.Exec(t, db, "CREATE TABLE k (id INTEGER, s VARCHAR[1100], PRIMARY KEY id)")
	if _, err := db.Exec("CREATE INDEX ON k (s)"); !errors.Is(err, immudb.ErrUnsupported) {
		t.Errorf("err = %v, want ErrUnsupported", err)
	}
	dbtest.Exec(t, db, "INSERT INTO k (id, s) VALUES (1, ?)", strings.Repeat("a", 1100))
	dbtest.Exec(t, db, "INSERT INTO k (id) VALUES (2)")

	raw := openDatabase(t, server, server.NewDatabase(t))
	defer raw.Close(t)
	for _, query := range []string{"CREATE TABLE k (id INTEGER, s VARCHAR[1005], PRIMARY KEY id)", "CREATE INDEX ON k (s)"} {
		if err := raw.Exec(t.Context(), query); err != nil {
			t.Fatal(err)
		}
	}
	_ = raw.Exec(t.Context(), "INSERT INTO k (id, s) VALUES (1, ?)", strings.Repeat("a", 1005))
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	if err := raw.Exec(ctx, "INSERT INTO k (id) VALUES (2)"); err == nil {
		t.Error("a write behind a key that is too long came to its end")
	}
	_ = server.Kill() // it would wait for the write
}
