package immudb_test

import (
	"context"
	"database/sql"
	"maps"
	"path"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/stats"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
)

// callCounter counts the calls of a channel by method.
type callCounter struct {
	mu     sync.Mutex
	counts map[string]int
}

func (c *callCounter) TagRPC(ctx context.Context, info *stats.RPCTagInfo) context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts[path.Base(info.FullMethodName)]++
	return ctx
}

func (c *callCounter) HandleRPC(context.Context, stats.RPCStats)                         {}
func (c *callCounter) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (c *callCounter) HandleConn(context.Context, stats.ConnStats)                       {}

// take returns the counts since the last take. Keep-alives and the like are no part of them.
func (c *callCounter) take() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	counts := maps.Clone(c.counts)
	clear(c.counts)
	delete(counts, "KeepAlive")
	return counts
}

// After the first use of a table a transaction of n statements takes n + 2 calls: one to begin, one for each statement, one
// to commit. Savepoints take none, and verify=writes takes one for what the commit wrote.
func TestTransactionOfNStatementsTakesNAndTwoCalls(t *testing.T) {
	const single, indexed = "counted", "counted_indexed"
	for _, row := range []struct {
		name       string
		options    []string
		opts       *sql.TxOptions
		statements []string
		exec       bool // by Exec instead of Query
		more       int  // calls beyond those of one for each text
	}{
		{name: "reads", opts: &sql.TxOptions{ReadOnly: true}, statements: []string{"SELECT n FROM counted WHERE id = 1", "SELECT COUNT(*) FROM counted"}, more: 1}, // CurrentState, beside NewTx
		{name: "INSERT with generated keys", statements: []string{"INSERT INTO counted (n) VALUES (1)", "INSERT INTO counted (n) VALUES (2), (3)"}},
		{name: "UPDATE and DELETE", statements: []string{"UPDATE counted SET n = n + 1 WHERE id = 1", "DELETE FROM counted WHERE id = 999"}},
		{name: "UPSERT", statements: []string{"UPSERT INTO counted (id, n) VALUES (1, 7)", "SELECT n FROM counted WHERE id = 1"}},
		{name: "RETURNING", statements: []string{"INSERT INTO counted (n) VALUES (4) RETURNING id", "UPDATE counted SET n = 5 WHERE id = 1 RETURNING n"}},
		{name: "RETURNING by Exec", exec: true, statements: []string{"INSERT INTO counted (n) VALUES (4) RETURNING id", "UPDATE counted SET n = 5 WHERE id = 1 RETURNING n"}},
		{name: "writes by Exec", exec: true, statements: []string{"INSERT INTO counted (n) VALUES (1), (2)", "UPSERT INTO counted (id, n) VALUES (1, 7)", "UPDATE counted SET n = 3 WHERE id = 1", "DELETE FROM counted WHERE id = 999"}},
		{name: "ON CONFLICT", exec: true, statements: []string{"INSERT INTO counted_indexed (id, n) VALUES (1, 1) ON CONFLICT DO NOTHING"}},
		{name: "several statements in one text", statements: []string{"INSERT INTO counted (n) VALUES (1); INSERT INTO counted (n) VALUES (2)"}, more: 1},
		{name: "own writes by primary key", statements: []string{"UPDATE counted_indexed SET n = 2 WHERE id = 1", "SELECT n FROM counted_indexed WHERE id = 1"}},
		{name: "own writes by an index", statements: []string{"UPDATE counted_indexed SET n = 2 WHERE id = 1", "SELECT id FROM counted_indexed WHERE n = 2"}},
		{name: "own writes in a join", exec: true, statements: []string{"UPDATE counted_indexed SET n = 2 WHERE id = 1", "UPDATE counted SET n = 2 WHERE id = 1", "SELECT a.n FROM counted a INNER JOIN counted_indexed b ON a.n = b.n"}},
		{name: "savepoints", statements: []string{"INSERT INTO counted (n) VALUES (1)", "SAVEPOINT a", "INSERT INTO counted (n) VALUES (2)", "RELEASE a"}, more: -2},
		{name: "verify=commits", options: []string{"verify=trust-first-use,commits"}, statements: []string{"INSERT INTO counted (n) VALUES (1)", "SELECT n FROM counted WHERE id = 1"}},
		{name: "verify=writes", options: []string{"verify=trust-first-use,writes"}, statements: []string{"INSERT INTO counted (n) VALUES (1)", "SELECT n FROM counted WHERE id = 1"}, more: 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			cfg, err := immudb.ParseDSN(dbtest.FreshDSN(t, row.options...))
			if err != nil {
				t.Fatal(err)
			}
			calls := &callCounter{counts: map[string]int{}}
			cfg.DialOptions = []grpc.DialOption{grpc.WithStatsHandler(calls)}
			connector, err := immudb.NewConnector(cfg)
			if err != nil {
				t.Fatal(err)
			}
			db := sql.OpenDB(connector)
			defer db.Close()
			dbtest.Exec(t, db, "CREATE TABLE "+single+" (id INTEGER AUTO_INCREMENT, n INTEGER, PRIMARY KEY id)")
			dbtest.Exec(t, db, "CREATE TABLE "+indexed+" (id INTEGER, n INTEGER, PRIMARY KEY id)")
			dbtest.Exec(t, db, "CREATE INDEX ON "+indexed+" (n)")
			dbtest.Exec(t, db, "INSERT INTO "+indexed+" (id, n) VALUES (1, 1)")
			transact := func() {
				tx, err := db.BeginTx(t.Context(), row.opts)
				if err != nil {
					t.Fatal(err)
				}
				for _, text := range row.statements {
					if row.exec {
						dbtest.Exec(t, tx, text)
						continue
					}
					rows, err := tx.Query(text)
					if err != nil {
						t.Fatalf("%s: %v", text, err)
					}
					for rows.Next() {
					}
					if err := rows.Close(); err != nil {
						t.Fatal(err)
					}
				}
				if err := tx.Commit(); err != nil {
					t.Fatal(err)
				}
			}
			var got map[string]int
			for fresh := false; !fresh; { // what is known of a table is looked up again after 5 s, beside the transaction
				first := time.Now()
				transact()
				calls.take()
				transact()
				got = calls.take()
				fresh = time.Since(first) < 4*time.Second
			}
			total := 0
			for _, n := range got {
				total += n
			}
			if want := len(row.statements) + 2 + row.more; total != want {
				t.Errorf("%d calls, want %d: %v", total, want, got)
			}
		})
	}
}
