package crashtest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/sqlgen"
	"github.com/immudb-go/immudb/internal/testserver"
)

// patience is the time after which a statement counts as hanging. The tables have only a
// few rows.
const patience = 20 * time.Second

// ways are the ways to send a statement to the server.
var ways = []struct {
	name string
	run  func(ctx context.Context, db *sql.DB, query string, args []any) error
}{
	{"Query", func(ctx context.Context, db *sql.DB, query string, args []any) error {
		return drain(db.QueryContext(ctx, query, args...))
	}},
	{"Exec", func(ctx context.Context, db *sql.DB, query string, args []any) error {
		_, err := db.ExecContext(ctx, query, args...)
		return err
	}},
	{"prepared", func(ctx context.Context, db *sql.DB, query string, args []any) error {
		st, err := db.PrepareContext(ctx, query)
		if err != nil {
			return err
		}
		defer st.Close()
		err = drain(st.QueryContext(ctx, args...))
		_, again := st.ExecContext(ctx, args...)
		return errors.Join(err, again)
	}},
	{"in a transaction", func(ctx context.Context, db *sql.DB, query string, args []any) error {
		return endedBy(ctx, db, query, args, (*sql.Tx).Rollback)
	}},
	{"committed", func(ctx context.Context, db *sql.DB, query string, args []any) error {
		return endedBy(ctx, db, query, args, (*sql.Tx).Commit)
	}},
}

func endedBy(ctx context.Context, db *sql.DB, query string, args []any, end func(*sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, query, args...)
	return errors.Join(err, drain(tx.QueryContext(ctx, "SELECT id FROM t WHERE id = 1")), end(tx))
}

// The test sends generated statements with hostile arguments through the driver, in each
// way, with and without group commit. The server must not crash, must answer each
// statement in time, and must still work afterwards.
func TestGeneratedStatementsDoNotCrashTheServer(t *testing.T) {
	server := testserver.Start(t, "-synced=false")
	kinds := make(map[string]int)
	n := testserver.Rounds(t, 500, 3000)
	const perDatabase = 1000 // damage by a statement is found by later ones, and writes make queries slow
	var dbs []*sql.DB
	for i := range n {
		if i%perDatabase == 0 {
			dsn := server.NewDatabase(t)
			plain := dbtest.OpenDSN(t, dsn)
			for _, query := range sqlgen.Schema {
				dbtest.Exec(t, plain, query)
			}
			worksStill(t, dbs)
			for _, db := range dbs {
				_ = db.Close() // the server allows 100 sessions
			}
			dbs = []*sql.DB{plain, dbtest.OpenDSN(t, dbtest.WithOptions(dsn, "group_commit=8"))}
		}
		g := sqlgen.New(uint64(i))
		query := g.Statement()
		args := g.Arguments(query)
		db, way := dbs[i%len(dbs)], ways[g.IntN(len(ways))]
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		err := way.run(ctx, db, query, args)
		cancel()
		what := fmt.Sprintf("%s (seed %d, %s) %v", query, i, way.name, args)
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			t.Fatalf("hangs: %s", what)
		case died(err) || err != nil && strings.Contains(err.Error(), "connection refused"):
			t.Fatalf("ends the server: %s: %v", what, err)
		case errors.Is(err, immudb.ErrUnsupported):
			kinds["refused"]++
		case errors.Is(err, immudb.ErrSyntax):
			kinds["syntax"]++
		case err != nil:
			kinds["error"]++
		default:
			kinds["answered"]++
		}
	}
	worksStill(t, dbs)
	t.Log(kinds)
	if kinds["answered"] == 0 || kinds["error"] == 0 || kinds["refused"] == 0 {
		t.Errorf("the statements are of one kind only: %v", kinds)
	}
}

// worksStill fails if a database hangs or is destroyed: the schema can be changed, and all
// rows can be read and written.
func worksStill(t *testing.T, dbs []*sql.DB) {
	t.Helper()
	for _, db := range dbs {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		for _, query := range []string{
			"UPDATE t SET n = 2, s = 'r' WHERE id = 1", "UPDATE t SET n = NULL, s = NULL WHERE id = 1",
			"UPSERT INTO p (id, t_id, n) VALUES (1000000, 1, 1000000)", "DELETE FROM p WHERE id = 1000000 AND t_id = 1",
			"CREATE TABLE last_one (id INTEGER, PRIMARY KEY id)", "DROP TABLE last_one",
		} {
			if _, err := db.ExecContext(ctx, query); err != nil {
				t.Fatalf("%s: the database does not work any more: %v", query, err)
			}
		}
		// Each row can be read, and written again.
		if err := drain(db.QueryContext(ctx, "SELECT * FROM t")); err != nil {
			t.Fatalf("the rows cannot be read: %v", err)
		}
		if _, err := db.ExecContext(ctx, "UPDATE t SET b = FALSE"); err != nil && !errors.Is(err, immudb.ErrTooManyEntries) {
			t.Fatalf("the rows cannot be written: %v", err)
		}
	}
}
