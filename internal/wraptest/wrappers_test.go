package wraptest

import (
	"context"
	"database/sql"
	"fmt"
	"sync/atomic"

	"contrib.go.opencensus.io/integrations/ocsql"
	"github.com/DATA-DOG/go-txdb"
	xotelsql "github.com/XSAM/otelsql"
	"github.com/luna-duclos/instrumentedsql"
	"github.com/ngrok/sqlmw"
	"github.com/qustavo/sqlhooks/v2"
	sqldblogger "github.com/simukti/sqldb-logger"
	uotelsql "github.com/uptrace/opentelemetry-go-extra/otelsql"
	notelsql "go.nhat.io/otelsql"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/bunimmudb"
)

// wrapper is a way to open a database through a package that wraps drivers.
type wrapper struct {
	pkg, call string
	open      func(dsn string) (*sql.DB, error)
	oneTx     bool // it runs everything in one transaction, so each check needs a sql.DB of its own
}

var wrappers = []wrapper{
	{pkg: "none", call: "sql.Open", open: func(dsn string) (*sql.DB, error) { return sql.Open("immudb", dsn) }},
	{pkg: "github.com/XSAM/otelsql", call: "Open", open: func(dsn string) (*sql.DB, error) { return xotelsql.Open("immudb", dsn) }},
	{pkg: "github.com/XSAM/otelsql", call: "OpenDB", open: func(dsn string) (*sql.DB, error) {
		c, err := connector(dsn)
		if err != nil {
			return nil, err
		}
		return xotelsql.OpenDB(c), nil
	}},
	{pkg: "github.com/XSAM/otelsql", call: "Register", open: func(dsn string) (*sql.DB, error) {
		name, err := xotelsql.Register("immudb")
		return openAs(name, err, dsn)
	}},
	{pkg: "github.com/uptrace/opentelemetry-go-extra/otelsql", call: "Open", open: func(dsn string) (*sql.DB, error) { return uotelsql.Open("immudb", dsn) }},
	{pkg: "github.com/uptrace/opentelemetry-go-extra/otelsql", call: "OpenDB", open: func(dsn string) (*sql.DB, error) {
		c, err := connector(dsn)
		if err != nil {
			return nil, err
		}
		return uotelsql.OpenDB(c), nil
	}},
	{pkg: "go.nhat.io/otelsql", call: "Register", open: func(dsn string) (*sql.DB, error) {
		name, err := notelsql.Register("immudb")
		return openAs(name, err, dsn)
	}},
	{pkg: "github.com/ngrok/sqlmw", call: "Driver", open: func(dsn string) (*sql.DB, error) {
		name := newName()
		sql.Register(name, sqlmw.Driver(&immudb.Driver{}, new(sqlmw.NullInterceptor)))
		return sql.Open(name, dsn)
	}},
	{pkg: "github.com/qustavo/sqlhooks/v2", call: "Wrap", open: func(dsn string) (*sql.DB, error) {
		name := newName()
		sql.Register(name, sqlhooks.Wrap(&immudb.Driver{}, noHooks{}))
		return sql.Open(name, dsn)
	}},
	{pkg: "github.com/simukti/sqldb-logger", call: "OpenDriver", open: func(dsn string) (*sql.DB, error) {
		return sqldblogger.OpenDriver(dsn, &immudb.Driver{}, noLogger{}), nil
	}},
	{pkg: "github.com/luna-duclos/instrumentedsql", call: "WrapDriver", open: func(dsn string) (*sql.DB, error) {
		name := newName()
		sql.Register(name, instrumentedsql.WrapDriver(&immudb.Driver{}))
		return sql.Open(name, dsn)
	}},
	{pkg: "contrib.go.opencensus.io/integrations/ocsql", call: "Register", open: func(dsn string) (*sql.DB, error) {
		name, err := ocsql.Register("immudb", ocsql.WithAllTraceOptions())
		return openAs(name, err, dsn)
	}},
	{pkg: "contrib.go.opencensus.io/integrations/ocsql", call: "WrapConnector", open: func(dsn string) (*sql.DB, error) {
		c, err := connector(dsn)
		if err != nil {
			return nil, err
		}
		return sql.OpenDB(ocsql.WrapConnector(c, ocsql.WithAllTraceOptions())), nil
	}},
	{pkg: "github.com/DATA-DOG/go-txdb", call: "Register", open: func(dsn string) (*sql.DB, error) {
		name := newName()
		txdb.Register(name, "immudb", dsn)
		return sql.Open(name, "test")
	}, oneTx: true},
	{pkg: "github.com/immudb-go/immudb/bunimmudb", call: "Open", open: func(dsn string) (*sql.DB, error) {
		db, err := bunimmudb.Open(dsn)
		if err != nil {
			return nil, err
		}
		return db.DB, nil
	}},
}

func connector(dsn string) (*immudb.Connector, error) {
	cfg, err := immudb.ParseDSN(dsn)
	if err != nil {
		return nil, err
	}
	return immudb.NewConnector(cfg)
}

func openAs(name string, err error, dsn string) (*sql.DB, error) {
	if err != nil {
		return nil, err
	}
	return sql.Open(name, dsn)
}

var names atomic.Int64

// newName returns a name under which no driver is registered.
func newName() string { return fmt.Sprintf("immudb-wrapped-%d", names.Add(1)) }

type noHooks struct{}

func (noHooks) Before(ctx context.Context, _ string, _ ...any) (context.Context, error) {
	return ctx, nil
}
func (noHooks) After(ctx context.Context, _ string, _ ...any) (context.Context, error) {
	return ctx, nil
}

type noLogger struct{}

func (noLogger) Log(context.Context, sqldblogger.Level, string, map[string]any) {}
