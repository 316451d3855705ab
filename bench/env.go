package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"

	"github.com/codenotary/immudb/pkg/client"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/stats"

	"github.com/immudb-go/immudb"
)

// The contenders, in the order in which they are shown.
const (
	ours       = "immudb-go"
	vendors    = "official"
	postgresql = "pgx"
	floor      = "floor"
)

var contenders = []string{ours, vendors, postgresql, floor}

// env holds the assignment of a contender's process, and its access to the server.
type env struct {
	assignment
	counted bool // gRPC calls are counted; other workloads run without the counter
	calls   callCounter
}

// prepare makes the task of this contender for the workload.
func (e *env) prepare(ctx context.Context, w *workload) (*task, error) {
	if e.Contender == floor {
		f, err := e.openFloor(ctx)
		if err != nil {
			return nil, err
		}
		t, err := w.floor(ctx, f)
		if err != nil {
			return nil, errors.Join(err, f.close())
		}
		return t.andClose(f.close), nil
	}
	open := w.database
	if e.Contender == ours && w.ours != nil {
		open = w.ours
	}
	return open(ctx, e)
}

// open returns the contender's sql.DB. options are "name=value" for a DSN of this driver.
func (e *env) open(options ...string) (*sql.DB, error) {
	s := &e.Server
	switch e.Contender {
	case ours:
		cfg, err := immudb.ParseDSN(s.dsn(options...))
		if err != nil {
			return nil, err
		}
		cfg.DialOptions = e.dialOptions()
		c, err := immudb.NewConnector(cfg)
		if err != nil {
			return nil, err
		}
		return sql.OpenDB(c), nil
	case vendors:
		return openVendor(s.Addr, func(o *client.Options) {
			o.WithUsername(s.User).WithPassword(s.Password).WithDatabase(s.Database).
				WithDialOptions(append(e.dialOptions(), grpc.WithTransportCredentials(insecure.NewCredentials())))
		})
	case postgresql:
		u := url.URL{
			Scheme:   "postgres",
			User:     url.UserPassword(s.User, s.Password),
			Host:     s.PostgreSQLAddr,
			Path:     s.Database,
			RawQuery: "sslmode=disable&default_query_exec_mode=exec",
		}
		cfg, err := pgx.ParseConfig(u.String())
		if err != nil {
			return nil, err
		}
		if dial := cfg.DialFunc; e.counted {
			cfg.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
				c, err := dial(ctx, network, addr)
				if err != nil {
					return nil, err
				}
				return &turnCounter{Conn: c, add: func() { e.calls.add("/round trip") }}, nil
			}
		}
		return stdlib.OpenDB(*cfg), nil
	}
	return nil, fmt.Errorf("%s has no sql.DB", e.Contender)
}

// dsn is the server's, for this driver.
func (s *server) dsn(options ...string) string {
	q := url.Values{"sslmode": {"disable"}}
	for _, o := range options {
		name, value, _ := strings.Cut(o, "=")
		q.Set(name, value)
	}
	u := url.URL{Scheme: "immudb", User: url.UserPassword(s.User, s.Password), Host: s.Addr, Path: s.Database, RawQuery: q.Encode()}
	return u.String()
}

func (e *env) dialOptions() []grpc.DialOption {
	if !e.counted {
		return nil
	}
	return []grpc.DialOption{grpc.WithStatsHandler(&e.calls)}
}

// callCounter counts gRPC calls by method.
type callCounter struct {
	mu sync.Mutex
	n  map[string]int
}

var _ stats.Handler = (*callCounter)(nil)

// reset returns the counts and sets them to zero.
func (c *callCounter) reset() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.n
	c.n = map[string]int{}
	return n
}

func (c *callCounter) TagRPC(ctx context.Context, info *stats.RPCTagInfo) context.Context {
	c.add(info.FullMethodName)
	return ctx
}

func (c *callCounter) add(method string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n != nil {
		c.n[method]++
	}
}

func (c *callCounter) HandleRPC(context.Context, stats.RPCStats)                         {}
func (c *callCounter) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (c *callCounter) HandleConn(context.Context, stats.ConnStats)                       {}

// andClose makes the task call close after its own close function.
func (t *task) andClose(close func() error) *task {
	own := t.close
	t.close = func() error {
		if own == nil {
			return close()
		}
		return errors.Join(own(), close())
	}
	return t
}
