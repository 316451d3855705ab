package immudb_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
)

func TestDriverIsRegisteredUnderBothNames(t *testing.T) {
	for _, name := range []string{"immudb", immudb.DriverName} {
		if !slices.Contains(sql.Drivers(), name) {
			t.Errorf("sql.Drivers() lacks %q", name)
		}
	}
}

func TestOpenReportsABadDSNAtOnce(t *testing.T) {
	_, err := sql.Open("immudb", "immudb://user:secret@localhost/db?nosuch=1")
	if err == nil || !strings.Contains(err.Error(), "nosuch") {
		t.Errorf("err = %v, want one that names the key nosuch", err)
	}
	if err != nil && strings.Contains(err.Error(), "secret") {
		t.Errorf("error holds the password: %v", err)
	}
}

// Packages that wrap drivers call sql.Open with an empty name to get the Driver.
func TestTheEmptyDSNOpensAndDoesNotConnect(t *testing.T) {
	db, err := sql.Open("immudb", "")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, ok := db.Driver().(*immudb.Driver); !ok {
		t.Errorf("the driver is %T", db.Driver())
	}
	_, want := immudb.ParseDSN("")
	if err := db.PingContext(t.Context()); err == nil || err.Error() != want.Error() {
		t.Errorf("Ping: %v, want %v", err, want)
	}
}

func TestDriverOpenSharesSessionsAndClosesThemWithTheLastConn(t *testing.T) {
	d, dsn := &immudb.Driver{}, dbtest.FreshDSN(t, "max_sessions=1")
	var conns []driver.Conn
	ids := map[string]bool{}
	for range 5 {
		conn, err := d.Open(dsn)
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.(driver.Pinger).Ping(t.Context()); err != nil {
			t.Error(err)
		}
		ids[conn.(*immudb.Conn).SessionTokens().SessionID] = true
		conns = append(conns, conn)
	}
	if len(ids) != 1 {
		t.Errorf("%d sessions, want one that all conns share", len(ids))
	}
	if s := fmt.Sprintf("%v %+v %#v", d, d, d); strings.Contains(s, dsn) {
		t.Errorf("the driver prints its DSN: %s", s)
	}
	for i, conn := range conns {
		if err := conn.(driver.Pinger).Ping(t.Context()); err != nil {
			t.Errorf("after %d conns were closed: %v", i, err)
		}
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
	conn, err := d.Open(dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if id := conn.(*immudb.Conn).SessionTokens().SessionID; ids[id] {
		t.Errorf("session %s is still used after all conns were closed", id)
	}
}

func TestPingProvesTheServerThere(t *testing.T) {
	if err := dbtest.Open(t).PingContext(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestPingFailsWhereNobodyListens(t *testing.T) {
	db := dbtest.OpenDSN(t, "immudb://u:p@127.0.0.1:1/db?connect_timeout=2")
	err := db.PingContext(t.Context())
	if err == nil || !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Errorf("err = %v, want one that names the host", err)
	}
}

func TestWrongPasswordIsAnAuthenticationErrorWithoutThePassword(t *testing.T) {
	dsn := dbtest.FreshDSN(t)
	cfg, err := immudb.ParseDSN(dsn)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Password = "n0t-the-one"
	connector, err := immudb.NewConnector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	err = db.PingContext(t.Context())
	if !errors.Is(err, immudb.ErrAuthentication) {
		t.Errorf("err = %v, want ErrAuthentication", err)
	}
	if strings.Contains(err.Error(), cfg.Password) {
		t.Errorf("error holds the password: %v", err)
	}
}

func TestMissingDatabaseIsNamed(t *testing.T) {
	cfg, err := immudb.ParseDSN(dbtest.FreshDSN(t))
	if err != nil {
		t.Fatal(err)
	}
	cfg.Database = "nosuchdb"
	db := dbtest.OpenDSN(t, cfg.FormatDSN())
	err = db.PingContext(t.Context())
	if !errors.Is(err, immudb.ErrNoSuchDatabase) || !strings.Contains(err.Error(), "nosuchdb") {
		t.Errorf("err = %v, want ErrNoSuchDatabase naming nosuchdb", err)
	}
}

func TestRawConnShowsSessionAndTransaction(t *testing.T) {
	db := dbtest.Open(t)
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	dbtest.Raw(t, conn, func(c *immudb.Conn) {
		if tokens := c.SessionTokens(); tokens.SessionID == "" || tokens.ServerUUID == "" {
			t.Error("a connection has empty session tokens")
		}
		if c.TransactionTokens().TransactionID != "" {
			t.Error("there is a transaction before BeginTx")
		}
		if c.Host() == "" {
			t.Error("Host is empty")
		}
		if _, err := c.ServerVersion(t.Context()); err != nil {
			t.Error(err)
		}
	})
	tx, err := conn.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	dbtest.Raw(t, conn, func(c *immudb.Conn) {
		if c.TransactionTokens().TransactionID == "" {
			t.Error("a transaction has empty tokens")
		}
	})
	if err := tx.Rollback(); err != nil {
		t.Error(err)
	}
}

func TestPrepareTakesTheExactNumberOfArguments(t *testing.T) {
	db := dbtest.Open(t)
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, v VARCHAR, PRIMARY KEY id)")
	stmt, err := db.PrepareContext(t.Context(), "INSERT INTO t (id, v) VALUES (?, ?)")
	if err != nil {
		t.Fatal(err)
	}
	defer stmt.Close()
	for i := range 3 {
		if _, err := stmt.ExecContext(t.Context(), i, "v"); err != nil {
			t.Error(err)
		}
	}
	if _, err := stmt.ExecContext(t.Context(), 4); err == nil {
		t.Error("one argument for two placeholders was accepted")
	}
	if got := dbtest.Get[int](t, db, "SELECT COUNT(*) FROM t"); got != 3 {
		t.Errorf("%d rows, want 3", got)
	}
}

func TestPreparedStatementServesATransaction(t *testing.T) {
	db := dbtest.Open(t)
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, PRIMARY KEY id)")
	stmt, err := db.Prepare("SELECT COUNT(*) FROM t WHERE id = $1")
	if err != nil {
		t.Fatal(err)
	}
	defer stmt.Close()
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	dbtest.Exec(t, tx, "INSERT INTO t (id) VALUES (7)")
	var n int
	if err := tx.Stmt(stmt).QueryRow(7).Scan(&n); err != nil || n != 1 {
		t.Errorf("the statement sees %d rows in the transaction (%v), want 1", n, err)
	}
}

func TestCanceledContextStaysAContextError(t *testing.T) {
	db := dbtest.Open(t)
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, PRIMARY KEY id)")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := db.ExecContext(ctx, "INSERT INTO t (id) VALUES (1)"); !errors.Is(err, context.Canceled) {
		t.Errorf("Exec: %v, want context.Canceled", err)
	}
	ctx, cancel = context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	if _, err := db.QueryContext(ctx, "SELECT id FROM t"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Query: %v, want context.DeadlineExceeded", err)
	}
	if got := dbtest.Get[int](t, db, "SELECT COUNT(*) FROM t"); got != 0 {
		t.Errorf("%d rows, want none", got)
	}
}

func TestClosedConnectorRefusesToConnect(t *testing.T) {
	cfg, err := immudb.ParseDSN(dbtest.FreshDSN(t))
	if err != nil {
		t.Fatal(err)
	}
	connector, err := immudb.NewConnector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	if err := db.Ping(); err != nil {
		t.Error(err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	if _, err := connector.Connect(t.Context()); err == nil {
		t.Error("a closed connector connects")
	}
	if err := connector.Close(); err != nil {
		t.Errorf("closing twice: %v", err)
	}
}

func TestConfigOfItsOwnNeedsAUser(t *testing.T) {
	if _, err := immudb.NewConnector(&immudb.Config{}); err == nil || !strings.Contains(err.Error(), "user") {
		t.Errorf("err = %v, want one that names the user", err)
	}
}
