package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/wire"
)

// The floor is the cost of a call with grpc-go alone: the request is encoded already, the answer is received and dropped.

// undecoded counts the answer's bytes.
type undecoded struct{ bytes int }

// floorCodec passes requests on unchanged and does not decode answers.
type floorCodec struct{}

func (floorCodec) Name() string { return "proto" }

func (floorCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}

func (floorCodec) Unmarshal(data mem.BufferSlice, v any) error {
	v.(*undecoded).bytes += data.Len()
	return nil
}

// floorConn is a channel with one session. Calls may overlap.
type floorConn struct {
	*env
	cc  *grpc.ClientConn
	md  metadata.MD
	ctx context.Context // names the session
}

func (e *env) openFloor(ctx context.Context) (*floorConn, error) {
	options := append(e.dialOptions(),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(
			grpc.ForceCodecV2(floorCodec{}),
			grpc.MaxCallRecvMsgSize(math.MaxInt32),
			grpc.MaxCallSendMsgSize(math.MaxInt32),
		))
	cc, err := grpc.NewClient("passthrough:///"+e.Server.Addr, options...)
	if err != nil {
		return nil, err
	}
	var s wire.Session
	s0 := &e.Server
	open := wire.OpenSessionRequest(s0.User, s0.Password, s0.Database)
	if f := wire.NewChannel(cc).Call(ctx, wire.MethodOpenSession, open, &s, wire.CallOptions()...); f != nil {
		return nil, errors.Join(errors.New(f.Message), cc.Close())
	}
	md := metadata.Pairs("sessionid", s.ID, "immudb-uuid", s.ServerUUID)
	return &floorConn{env: e, cc: cc, md: md, ctx: metadata.NewOutgoingContext(ctx, md)}, nil
}

// close ends the session and the channel. The session may have expired while other contenders had their turns.
func (f *floorConn) close() error {
	_ = f.call(f.ctx, wire.MethodCloseSession, nil)
	return f.cc.Close()
}

// call makes a unary call.
func (f *floorConn) call(ctx context.Context, method string, req []byte) error {
	var ans undecoded
	return f.cc.Invoke(ctx, method, req, &ans)
}

// point makes a query whose answer is one message by a unary call, which is cheaper than a stream.
func (f *floorConn) point(req []byte) error {
	var ans undecoded
	err := f.cc.Invoke(f.ctx, wire.MethodSQLQuery, req, &ans)
	if err == nil && ans.bytes == 0 {
		err = errors.New("the query was answered with nothing")
	}
	return err
}

var serverStream = &grpc.StreamDesc{ServerStreams: true}

// query receives all messages of a query's answer.
func (f *floorConn) query(req []byte) (ans undecoded, err error) {
	s, err := f.cc.NewStream(f.ctx, serverStream, wire.MethodSQLQuery)
	if err != nil {
		return ans, err
	}
	if err := s.SendMsg(req); err != nil {
		return ans, err
	}
	if err := s.CloseSend(); err != nil {
		return ans, err
	}
	for {
		switch err := s.RecvMsg(&ans); err {
		case nil:
		case io.EOF:
			return ans, nil
		default:
			return ans, err
		}
	}
}

// request encodes a statement with its arguments.
func request(text string, args ...any) []byte {
	b := wire.AppendSQL(nil, text)
	for i, v := range args {
		var err error
		if b, err = wire.AppendNumberedParam(b, i+1, v); err != nil {
			panic(err) // the arguments are always valid
		}
	}
	return b
}

func queryRequest(text string, args ...any) []byte {
	return wire.AppendAcceptStream(request(text, args...))
}

// pointRequests are requests for keys from the whole table.
func (f *floorConn) pointRequests() [][]byte {
	reqs := make([][]byte, 1000)
	for i := range reqs {
		reqs[i] = queryRequest(pointQuery, f.Scale.pointID(i))
	}
	return reqs
}

func floorPoint(parallel int) func(context.Context, *floorConn) (*task, error) {
	return func(_ context.Context, f *floorConn) (*task, error) {
		reqs := f.pointRequests()
		do := func(i int) error { return f.point(reqs[i%len(reqs)]) }
		return &task{run: func(_ context.Context, n int) (int, error) {
			if parallel > 1 {
				return n, inParallel(n, do)
			}
			for i := range n {
				if err := do(i); err != nil {
					return i, err
				}
			}
			return n, nil
		}}, nil
	}
}

func floorScanAccounts(_ context.Context, f *floorConn) (*task, error) {
	return f.scanTask(scanQuery, f.Scale.Accounts), nil
}

func floorScanUnion(_ context.Context, f *floorConn) (*task, error) {
	return f.scanTask(f.Scale.unionQuery(), f.Scale.Accounts*f.Scale.Unions), nil
}

func floorScanDocuments(_ context.Context, f *floorConn) (*task, error) {
	return f.scanTask(documentQuery, f.Scale.Documents), nil
}

// scanTask receives the answer to a query that is known to have so many rows.
func (f *floorConn) scanTask(query string, rows int) *task {
	req := queryRequest(query)
	return &task{run: func(_ context.Context, n int) (int, error) {
		for i := range n {
			ans, err := f.query(req)
			if err == nil && ans.bytes < rows {
				err = fmt.Errorf("%d rows in %d bytes", rows, ans.bytes)
			}
			if err != nil {
				return i * rows, err
			}
		}
		return n * rows, nil
	}}
}

// floorBurst makes the queries of a burst on one session of a new channel, which is the least possible work.
func floorBurst(_ context.Context, f *floorConn) (*task, error) {
	reqs := f.pointRequests()
	return &task{run: func(ctx context.Context, n int) (int, error) {
		for i := range n {
			fresh, err := f.openFloor(ctx)
			if err != nil {
				return i, err
			}
			err = inParallel(goroutines*burstQueries, func(i int) error { return fresh.point(reqs[i]) })
			if err = errors.Join(err, fresh.close()); err != nil {
				return i, err
			}
		}
		return n, nil
	}, note: func() string { return "all on one session" }}, nil
}

func floorFirstQuery(_ context.Context, f *floorConn) (*task, error) {
	reqs := f.pointRequests()
	return &task{run: func(ctx context.Context, n int) (int, error) {
		for i := range n {
			fresh, err := f.openFloor(ctx)
			if err != nil {
				return i, err
			}
			err = fresh.point(reqs[i%len(reqs)])
			if err = errors.Join(err, fresh.close()); err != nil {
				return i, err
			}
		}
		return n, nil
	}}, nil
}

func floorInsert(_ context.Context, f *floorConn) (*task, error) {
	reqs := make([][]byte, 1000)
	for i := range reqs {
		reqs[i] = request(insertQuery, insertArgs(i)...)
	}
	return &task{run: func(_ context.Context, n int) (int, error) {
		for i := range n {
			if err := f.call(f.ctx, wire.MethodSQLExec, reqs[i%len(reqs)]); err != nil {
				return i, err
			}
		}
		return n, nil
	}}, nil
}

func floorTxInserts(_ context.Context, f *floorConn) (*task, error) {
	begin := wire.NewTxRequest{Mode: wire.ReadWrite}.Append(nil)
	req := request(insertQuery, insertArgs(0)...)
	return &task{run: func(ctx context.Context, n int) (int, error) {
		for i := range n {
			if err := f.transaction(ctx, begin, req); err != nil {
				return i, err
			}
		}
		return n, nil
	}, note: func() string { return "no statement told its result" }}, nil
}

// transaction runs a request as often as a transaction of the workload does.
func (f *floorConn) transaction(ctx context.Context, begin, req []byte) error {
	return f.transact(ctx, begin, func(ctx context.Context) error {
		for range txRows {
			if err := f.call(ctx, wire.MethodTxSQLExec, req); err != nil {
				return err
			}
		}
		return nil
	})
}

func floorTxOfThree(_ context.Context, f *floorConn) (*task, error) {
	begin := wire.NewTxRequest{Mode: wire.ReadWrite}.Append(nil)
	read, write := queryRequest(smallQuery, int64(1)), request(insertQuery, insertArgs(0)...)
	return &task{run: func(ctx context.Context, n int) (int, error) {
		for i := range n {
			err := f.transact(ctx, begin, func(ctx context.Context) error {
				return errors.Join(f.call(ctx, wire.MethodTxSQLQuery, read), f.call(ctx, wire.MethodTxSQLExec, write), f.call(ctx, wire.MethodTxSQLExec, write))
			})
			if err != nil {
				return i, err
			}
		}
		return n, nil
	}}, nil
}

// transact begins a transaction, calls work in it and commits it.
func (f *floorConn) transact(ctx context.Context, begin []byte, work func(ctx context.Context) error) error {
	var tx wire.NewTx // its id must be known
	if failure := wire.NewChannel(f.cc).Call(f.ctx, wire.MethodNewTx, begin, &tx, wire.CallOptions()...); failure != nil {
		return errors.New(failure.Message)
	}
	ctx = metadata.NewOutgoingContext(ctx, metadata.Join(f.md, metadata.Pairs("transactionid", tx.ID)))
	if err := work(ctx); err != nil {
		return err
	}
	return f.call(ctx, wire.MethodCommit, nil)
}

// floorGroupedInserts sends one request after the other with an insert for each of the writers in it.
func floorGroupedInserts(_ context.Context, f *floorConn) (*task, error) {
	var text string
	var args []any
	for i := range goroutines {
		text += "INSERT INTO ledger (account, amount, note) VALUES (?, ?, ?);"
		args = append(args, insertArgs(i)...)
	}
	req := request(text, args...)
	return &task{run: func(_ context.Context, n int) (done int, err error) {
		for deadline := time.Now().Add(time.Duration(n)); time.Now().Before(deadline); done += goroutines {
			if err := f.call(f.ctx, wire.MethodSQLExec, req); err != nil {
				return done, err
			}
		}
		return done, nil
	}, note: func() string { return fmt.Sprintf("%d inserts in each request", goroutines) }}, nil
}

// floorCopy sends the same requests as CopyFrom, in transactions committed in their order. Two run at once; CopyFrom has
// three, but without encoding between them a third makes nothing faster.
func floorCopy(ctx context.Context, f *floorConn) (*task, error) {
	reqs, err := recordCopy(ctx, f.env)
	if err != nil {
		return nil, err
	}
	return &task{run: func(ctx context.Context, n int) (int, error) {
		for i := range n {
			if err := f.inOrder(ctx, reqs); err != nil {
				return i * f.Scale.CopyRows, err
			}
		}
		return n * f.Scale.CopyRows, nil
	}, note: func() string { return fmt.Sprintf("the %d requests of CopyFrom, two at once", len(reqs)) }}, nil
}

// inOrder runs each request in a transaction, two at once, and commits them one after the other.
func (f *floorConn) inOrder(ctx context.Context, reqs [][]byte) error {
	begin := wire.NewTxRequest{Mode: wire.ReadWrite}.Append(nil)
	committed := make([]chan struct{}, len(reqs))
	errs := make([]error, len(reqs))
	var next atomic.Int64
	var wg sync.WaitGroup
	for i := range committed {
		committed[i] = make(chan struct{})
	}
	for range 2 {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(reqs); i = int(next.Add(1)) - 1 {
				errs[i] = f.transact(ctx, begin, func(ctx context.Context) error {
					if err := f.call(ctx, wire.MethodTxSQLExec, reqs[i]); err != nil || i == 0 {
						return err
					}
					<-committed[i-1]
					return errs[i-1]
				})
				close(committed[i])
			}
		})
	}
	wg.Wait()
	return errs[len(errs)-1]
}

// recordCopy runs the CopyFrom of the workload and returns its requests, made by one writer.
func recordCopy(ctx context.Context, e *env) ([][]byte, error) {
	cfg, err := immudb.ParseDSN(e.Server.dsn())
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	var reqs [][]byte
	cfg.DialOptions = append(cfg.DialOptions, grpc.WithUnaryInterceptor(
		func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			if b, ok := req.([]byte); ok && method == wire.MethodSQLExec {
				mu.Lock()
				reqs = append(reqs, slices.Clone(b))
				mu.Unlock()
			}
			return invoke(ctx, method, req, reply, cc, opts...)
		}))
	c, err := immudb.NewConnector(cfg)
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(c)
	_, err = immudb.CopyFrom(ctx, db, "copied", nil, accountRows(e.Scale.CopyRows), &immudb.CopyOptions{Upsert: true, Writers: 1})
	return reqs, errors.Join(err, db.Close())
}
