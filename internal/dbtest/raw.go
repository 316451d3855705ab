package dbtest

import (
	"context"
	"database/sql/driver"
	"fmt"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"github.com/immudb-go/immudb/internal/wire"
)

// Wire is a session of a server without the driver: the server gets exactly the requests of
// the test.
type Wire struct {
	ch *wire.Channel
	md metadata.MD
}

// OpenWire opens a session. The caller closes it; the server may be dead by then.
func OpenWire(ctx context.Context, addr, user, password, database string) (*Wire, error) {
	cc, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(wire.CallOptions()...))
	if err != nil {
		return nil, err
	}
	w := &Wire{ch: wire.NewChannel(cc)}
	var s wire.Session
	if err := w.call(ctx, wire.MethodOpenSession, wire.OpenSessionRequest(user, password, database), &s); err != nil {
		return nil, fmt.Errorf("session: %w", err)
	}
	w.md = metadata.Pairs("immudb-uuid", s.ServerUUID, "sessionid", s.ID)
	return w, nil
}

// wireTimeout is how long a statement may take before it counts as hanging.
const wireTimeout = 10 * time.Second

func (w *Wire) call(ctx context.Context, method string, req []byte, ans wire.Answer) error {
	ctx, cancel := context.WithTimeout(ctx, wireTimeout)
	defer cancel()
	if f := w.ch.Call(metadata.NewOutgoingContext(ctx, w.md), method, req, ans); f != nil {
		return fmt.Errorf("%v: %s", f.Code, f.Message)
	}
	return nil
}

func request(query string, args []any) ([]byte, error) {
	req := wire.AppendSQL(nil, query)
	for i, arg := range args {
		var err error
		if req, err = wire.AppendNumberedParam(req, i+1, arg); err != nil {
			return nil, err
		}
	}
	return req, nil
}

// Exec runs statements in one transaction.
func (w *Wire) Exec(ctx context.Context, query string, args ...any) error {
	_, err := w.Write(ctx, query, args...)
	return err
}

// Write is Exec that returns how many rows were written.
func (w *Wire) Write(ctx context.Context, query string, args ...any) (rows int64, err error) {
	req, err := request(query, args)
	if err != nil {
		return 0, err
	}
	var result wire.ExecResult
	err = w.call(ctx, wire.MethodSQLExec, req, &result)
	for _, tx := range result.Txs {
		rows += tx.UpdatedRows
	}
	return rows, err
}

// Query returns the rows of a query.
func (w *Wire) Query(ctx context.Context, query string, args ...any) ([][]driver.Value, error) {
	_, rows, err := w.Answer(ctx, query, args...)
	return rows, err
}

// Answer returns the columns and the rows of a query.
func (w *Wire) Answer(ctx context.Context, query string, args ...any) (list []wire.Column, rows [][]driver.Value, err error) {
	req, err := request(query, args)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, wireTimeout)
	defer cancel()
	var s wire.Stream
	r := &wire.Request{Bytes: wire.AppendAcceptStream(req)}
	if f := s.Open(metadata.NewOutgoingContext(ctx, w.md), w.ch, wire.MethodSQLQuery, r, nil); f != nil {
		return nil, nil, fmt.Errorf("%v: %s", f.Code, f.Message)
	}
	var b wire.Batch
	defer b.Release()
	for {
		ok, f := s.Recv(&b)
		if f != nil {
			return nil, nil, fmt.Errorf("%v: %s", f.Code, f.Message)
		}
		if !ok {
			return list, rows, nil
		}
		if len(b.Columns) > 0 {
			list = slices.Clone(b.Columns)
		}
		for {
			row := make([]driver.Value, len(list))
			ok, err := b.Next(row)
			if err != nil {
				return nil, nil, err
			}
			if !ok {
				break
			}
			for i := range row {
				if v, isBytes := row[i].([]byte); isBytes {
					row[i] = string(v)
				}
			}
			rows = append(rows, row)
		}
	}
}

// Close closes the connection. The session expires later.
func (w *Wire) Close(t testing.TB) {
	if err := w.ch.Close(); err != nil {
		t.Error(err)
	}
}

// Call makes another call in the session, and drops its answer.
func (w *Wire) Call(ctx context.Context, method string, req []byte) error {
	return w.call(ctx, method, req, wire.Empty)
}
