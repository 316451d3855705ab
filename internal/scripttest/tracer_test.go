package scripttest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/fakeserver"
)

// retryTracer records the retries.
type retryTracer struct{ retries []string }

func (r *retryTracer) TraceStart(ctx context.Context, _ *immudb.TraceOp) context.Context { return ctx }

func (r *retryTracer) TraceEnd(_ context.Context, op *immudb.TraceOp) {
	if op.Kind == immudb.TraceRetry {
		r.retries = append(r.retries, fmt.Sprint(op.Count, errors.Is(op.Cause, immudb.ErrConflict), op.Err))
	}
}

func TestTracerIsToldOfRetries(t *testing.T) {
	tracer := &retryTracer{}
	conflict := fakeserver.Fault{Fail: &fakeserver.Failure{Message: "tx read conflict"}}
	script := fakeserver.Script{Rules: []fakeserver.Rule{{Method: "SQLExec", Nth: 1, Do: conflict}, {Method: "SQLExec", Nth: 2, Do: conflict}}}
	Faulty(t, script, func(t *testing.T, fake *fakeserver.Server, db *sql.DB) {
		if _, err := db.ExecContext(t.Context(), "UPSERT INTO t (id) VALUES (1)"); err != nil {
			t.Fatal(err)
		}
		if want := []string{"1 true <nil>", "2 true <nil>"}; !slices.Equal(tracer.retries, want) {
			t.Errorf("retries %q, want %q", tracer.retries, want)
		}
	}, func(cfg *immudb.Config) { cfg.Tracer = tracer })
}
