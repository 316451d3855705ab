package immudb_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"path"
	"sync"
	"testing"

	"google.golang.org/grpc"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
)

// wrapping is a connector that wraps the conns of another.
type wrapping struct {
	driver.Connector
	wrap func(c *immudb.Conn) driver.Conn
}

func (w wrapping) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := w.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return w.wrap(c.(*immudb.Conn)), nil
}

type (
	embeds       struct{ *immudb.Conn }
	embedsTwice  struct{ embeds }
	bare         struct{ driver.Conn } // shows nothing: only Prepare leads on
	unwraps      struct{ bare }
	raws         struct{ bare }
	wrapped      struct{ bare }
	rawConns     struct{ bare }
	endless      struct{ bare }
	empty        struct{ bare }
	pings        struct{ bare }
	pingsTwice   struct{ bare }
	pingsInVain  struct{ bare }
	hidesBadConn struct{ bare }
)

var errWrapper = errors.New("changed by the wrapper")

func (c unwraps) Unwrap() driver.Conn               { return c.Conn }
func (c raws) Raw() any                             { return unwraps(c) }
func (c wrapped) WrappedConn() (driver.Conn, error) { return c.Conn, nil }
func (c rawConns) RawConn() (*immudb.Conn, bool)    { return c.Conn.(*immudb.Conn), true }
func (c endless) Unwrap() driver.Conn               { return c }
func (c empty) Unwrap() driver.Conn                 { return nil }
func (c pings) Ping(ctx context.Context) error      { return c.Conn.(driver.Pinger).Ping(ctx) }
func (c pingsInVain) Ping(context.Context) error    { return nil }
func (c hidesBadConn) Ping(ctx context.Context) error {
	if err := c.Conn.(driver.Pinger).Ping(ctx); err != nil {
		return errWrapper
	}
	return nil
}
func (c pingsTwice) Ping(ctx context.Context) error {
	_ = c.Conn.(driver.Pinger).Ping(ctx)
	return c.Conn.(driver.Pinger).Ping(ctx)
}

func TestRawFindsTheConnBehindEveryKindOfWrapper(t *testing.T) {
	errOwn := errors.New("of f")
	for name, wrap := range map[string]func(c *immudb.Conn) driver.Conn{
		"none":                 func(c *immudb.Conn) driver.Conn { return c },
		"embeds":               func(c *immudb.Conn) driver.Conn { return embeds{c} },
		"embeds twice":         func(c *immudb.Conn) driver.Conn { return &embedsTwice{embeds{c}} },
		"bare":                 func(c *immudb.Conn) driver.Conn { return bare{c} },
		"bare in bare":         func(c *immudb.Conn) driver.Conn { return bare{bare{c}} },
		"Unwrap":               func(c *immudb.Conn) driver.Conn { return unwraps{bare{c}} },
		"Raw":                  func(c *immudb.Conn) driver.Conn { return raws{bare{c}} },
		"WrappedConn":          func(c *immudb.Conn) driver.Conn { return wrapped{bare{c}} },
		"RawConn":              func(c *immudb.Conn) driver.Conn { return rawConns{bare{c}} },
		"Unwrap to itself":     func(c *immudb.Conn) driver.Conn { return endless{bare{c}} },
		"Unwrap to nothing":    func(c *immudb.Conn) driver.Conn { return empty{bare{c}} },
		"Ping":                 func(c *immudb.Conn) driver.Conn { return pings{bare{c}} },
		"Ping twice":           func(c *immudb.Conn) driver.Conn { return pingsTwice{bare{c}} },
		"Ping that goes lost":  func(c *immudb.Conn) driver.Conn { return pingsInVain{bare{c}} },
		"Ping, changed errors": func(c *immudb.Conn) driver.Conn { return hidesBadConn{bare{c}} },
	} {
		t.Run(name, func(t *testing.T) {
			c, err := (&immudb.Driver{}).OpenConnector(dbtest.FreshDSN(t))
			if err != nil {
				t.Fatal(err)
			}
			defer c.(*immudb.Connector).Close()
			var own *immudb.Conn
			db := sql.OpenDB(wrapping{c, func(c *immudb.Conn) driver.Conn { own = c; return wrap(c) }})
			defer db.Close()
			conn, err := db.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()

			runs := 0
			err = immudb.Raw(t.Context(), conn, func(c *immudb.Conn) error {
				runs++
				if c != own {
					t.Errorf("conn %p, want %p", c, own)
				}
				return errOwn
			})
			if runs != 1 || !errors.Is(err, errOwn) {
				t.Errorf("f ran %d times, Raw returned %v; want once and the error of f", runs, err)
			}
			if err := conn.PingContext(t.Context()); err != nil {
				t.Errorf("the conn after an error of f: %v", err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := immudb.Raw(ctx, conn, func(*immudb.Conn) error { t.Error("f ran"); return nil }); !errors.Is(err, context.Canceled) {
				t.Errorf("Raw with an ended context: %v", err)
			}
			err = immudb.Raw(t.Context(), conn, func(*immudb.Conn) error { return driver.ErrBadConn })
			if !errors.Is(err, driver.ErrBadConn) {
				t.Errorf("Raw returned %v, want ErrBadConn of f", err)
			}
			if err := conn.PingContext(t.Context()); !errors.Is(err, sql.ErrConnDone) {
				t.Errorf("the conn after ErrBadConn: %v, want ErrConnDone", err)
			}
		})
	}
}

// foreign is a driver without a conn of ours.
type foreign struct{}

func (foreign) Connect(context.Context) (driver.Conn, error) { return foreign{}, nil }
func (foreign) Driver() driver.Driver                        { return nil }
func (foreign) Prepare(string) (driver.Stmt, error)          { return nil, errWrapper }
func (foreign) Close() error                                 { return nil }
func (foreign) Begin() (driver.Tx, error)                    { return nil, errWrapper }

func TestRawRefusesAnotherDriver(t *testing.T) {
	db := sql.OpenDB(foreign{})
	defer db.Close()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	err = immudb.Raw(t.Context(), conn, func(*immudb.Conn) error { t.Error("f ran"); return nil })
	if !errors.Is(err, immudb.ErrUnsupported) {
		t.Errorf("err = %v, want ErrUnsupported", err)
	}
}

// valueOf is a context key, and its value comes with the calls of a transaction.
type valueOf struct{}

func TestCommitAndRollbackHaveTheValuesOfBeginTx(t *testing.T) {
	cfg, err := immudb.ParseDSN(dbtest.FreshDSN(t))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]any{}
	cfg.DialOptions = append(cfg.DialOptions, recordValue(seen))
	connector, err := immudb.NewConnector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	for _, end := range []func(*sql.Tx) error{(*sql.Tx).Commit, (*sql.Tx).Rollback} {
		tx, err := db.BeginTx(context.WithValue(t.Context(), valueOf{}, "parent"), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := end(tx); err != nil {
			t.Fatal(err)
		}
	}
	for _, method := range []string{"NewTx", "Commit", "Rollback"} {
		if seen[method] != "parent" {
			t.Errorf("%s had the value %v, want the one of BeginTx", method, seen[method])
		}
	}
}

// recordValue records the value with which each method is called.
func recordValue(seen map[string]any) grpc.DialOption {
	var mu sync.Mutex
	return grpc.WithChainUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		mu.Lock()
		seen[path.Base(method)] = ctx.Value(valueOf{})
		mu.Unlock()
		return invoke(ctx, method, req, reply, cc, opts...)
	})
}
