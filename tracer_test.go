package immudb_test

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
)

// recorder is a Tracer that records each operation with those that it is within.
type recorder struct {
	mu   sync.Mutex
	open int
	ops  []string // such as "exec/retry", in the order of their ends
	errs map[string]error
	seen []*immudb.TraceOp
}

type withinKey struct{}

func (r *recorder) TraceStart(ctx context.Context, op *immudb.TraceOp) context.Context {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open++
	path := op.Kind.String()
	if outer, ok := ctx.Value(withinKey{}).(string); ok {
		path = outer + "/" + path
	}
	return context.WithValue(ctx, withinKey{}, path)
}

func (r *recorder) TraceEnd(ctx context.Context, op *immudb.TraceOp) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open--
	path := ctx.Value(withinKey{}).(string)
	r.ops = append(r.ops, path)
	r.errs[path] = op.Err
	r.seen = append(r.seen, op)
}

// take returns the operations since the last take.
func (r *recorder) take(t *testing.T) []string {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.open != 0 {
		t.Errorf("%d operations have not ended", r.open)
	}
	ops := r.ops
	r.ops = nil
	return ops
}

func traced(t *testing.T, options ...string) (*sql.DB, *recorder) {
	t.Helper()
	dsn := dbtest.FreshDSN(t, options...)
	dbtest.Exec(t, dbtest.OpenDSN(t, dsn), "CREATE TABLE t (id INTEGER, n INTEGER, PRIMARY KEY id)")
	cfg, err := immudb.ParseDSN(dsn)
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{errs: map[string]error{}}
	cfg.Tracer = r
	connector, err := immudb.NewConnector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	t.Cleanup(func() { db.Close() })
	return db, r
}

func TestTracerIsToldOfEachOperationWithinItsCaller(t *testing.T) {
	db, r := traced(t, "max_sessions=1")
	ctx := context.WithValue(t.Context(), withinKey{}, "caller")
	want := func(what string, err error, ops ...string) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if got := r.take(t); !slices.Equal(got, ops) {
			t.Errorf("%s was traced as %q, want %q", what, got, ops)
		}
	}
	_, err := db.ExecContext(ctx, "UPSERT INTO t (id, n) VALUES (1, 1)")
	want("the first exec", err, "caller/connect/session", "caller/connect", "caller/exec")

	var n int
	want("a query", db.QueryRowContext(ctx, "SELECT n FROM t WHERE id = 1").Scan(&n), "caller/query")

	st, err := db.PrepareContext(ctx, "SELECT n FROM t WHERE id = ?")
	if err != nil {
		t.Fatal(err)
	}
	want("a prepared query", st.QueryRowContext(ctx, 1).Scan(&n), "caller/query")
	st.Close()

	for _, end := range []string{"commit", "rollback"} {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.ExecContext(ctx, "UPSERT INTO t (id, n) VALUES (2, 2)"); err != nil {
			t.Fatal(err)
		}
		if end == "commit" {
			err = tx.Commit()
		} else {
			err = tx.Rollback()
		}
		want("a transaction", err, "caller/begin", "caller/exec", "caller/"+end)
	}

	for _, writers := range []int{1, 4} {
		n, err := immudb.CopyFrom(ctx, db, "t", []string{"id", "n"}, dbtest.NumberedRows(100*writers, 40), &immudb.CopyOptions{Writers: writers, BatchRows: 10})
		if err != nil || n != 40 {
			t.Errorf("CopyFrom: %d rows, %v", n, err)
		}
		batches := 0
		for _, op := range r.take(t) {
			if op == "caller/batch" {
				batches++
			}
		}
		if batches < 4 { // one that was prepared in vain is sent again
			t.Errorf("%d of 4 batches of %d writers were traced", batches, writers)
		}
	}

	_, err = db.ExecContext(ctx, "INSERT INTO t (id, n) VALUES (1, 1)")
	if got := r.errs["caller/exec"]; !errors.Is(got, immudb.ErrDuplicateKey) || !errors.Is(err, immudb.ErrDuplicateKey) {
		t.Errorf("the error traced is %v, the caller's %v; want ErrDuplicateKey", got, err)
	}
	last := r.seen[len(r.seen)-1]
	if last.Query != "INSERT INTO t (id, n) VALUES (1, 1)" || last.Host == "" || last.Database == "" {
		t.Errorf("the operation is %+v", last)
	}
}

func TestTracerIsToldOfGroups(t *testing.T) {
	db, r := traced(t, "group_commit=8")
	if err := db.PingContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.take(t)
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			if _, err := db.ExecContext(t.Context(), "UPSERT INTO t (id, n) VALUES (?, ?)", i, i); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	db.Close() // the logins in the background end
	statements := 0
	for _, op := range r.seen {
		if op.Kind == immudb.TraceGroup {
			statements += op.Count
		}
	}
	if statements != 16 {
		t.Errorf("the groups had %d statements, want 16", statements)
	}
	r.take(t)
}
