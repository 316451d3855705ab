package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/immudbtest"
)

// shop is the service. It knows the cluster only by its DSN.
type shop struct {
	db        *sql.DB
	connector *immudb.Connector
	reports   *sql.DB
	log       *watch
	stored    int // orders that the service was told are stored; the next order has this number
}

// openShop names all servers in one DSN: immudb://user:password@db1,db2,db3/shop?read_routing=replica. Reports have a sql.DB of
// their own, which needs no primary.
func openShop(servers []*immudbtest.Server) (*shop, error) {
	u, err := url.Parse(servers[0].DSN())
	if err != nil {
		return nil, err
	}
	var hosts []string
	for _, srv := range servers {
		hosts = append(hosts, srv.Addr())
	}
	u.Host = strings.Join(hosts, ",")
	with := func(option, value string) string {
		v := *u
		q := v.Query()
		q.Set(option, value)
		v.RawQuery = q.Encode()
		return v.String()
	}
	reports, err := sql.Open("immudb", with("target_session_attrs", "prefer-standby"))
	if err != nil {
		return nil, err
	}
	cfg, err := immudb.ParseDSN(with("read_routing", "replica"))
	if err != nil {
		return nil, err
	}
	log := &watch{}
	cfg.Logger = slog.New(log)
	connector, err := immudb.NewConnector(cfg)
	if err != nil {
		return nil, err
	}
	return &shop{db: sql.OpenDB(connector), connector: connector, reports: reports, log: log}, nil
}

func (s *shop) close() error { return errors.Join(s.db.Close(), s.reports.Close()) }

// take stores n orders, each within half a minute.
func (s *shop) take(ctx context.Context, n int) error {
	for range n {
		if err := await(ctx, fmt.Sprintf("order %d is stored", s.stored), func() error { return s.order(ctx) }); err != nil {
			return err
		}
		s.stored++
	}
	return nil
}

// tryOnce returns why the next order cannot be stored now.
func (s *shop) tryOnce(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return s.order(ctx)
}

// order stores the next order. An INSERT whose answer was lost may have been done; the key tells: the second one is refused
// as a duplicate.
func (s *shop) order(ctx context.Context) error {
	_, err := s.db.ExecContext(ctx, "INSERT INTO orders (id, item) VALUES (?, ?)", s.stored, "tea")
	if errors.Is(err, immudb.ErrDuplicateKey) {
		return nil
	}
	return err
}

// browse reads orders n times, and returns how often a replica and how often the primary has answered.
func (s *shop) browse(ctx context.Context, n int) (routed, fellBack uint64, err error) {
	before := s.connector.Stats().Replicas
	for i := range n {
		var item string
		if err := s.db.QueryRowContext(ctx, "SELECT item FROM orders WHERE id = ?", i%s.stored).Scan(&item); err != nil {
			return 0, 0, err
		}
	}
	after := s.connector.Stats().Replicas
	return after.Routed - before.Routed, after.FellBack - before.FellBack, nil
}

// awaitReplica waits until a replica has all orders and answers reads.
func (s *shop) awaitReplica(ctx context.Context) error {
	return await(ctx, "a replica answers", func() error {
		routed, _, err := s.browse(ctx, 1)
		if err == nil && routed == 0 {
			err = errors.New("the primary has answered")
		}
		return err
	})
}

// report counts the orders on a replica.
func (s *shop) report(ctx context.Context) (n int, err error) {
	err = s.reports.QueryRowContext(ctx, "SELECT COUNT(*) FROM orders").Scan(&n)
	return n, err
}

// writesTo is the address of the server that the sessions are on.
func (s *shop) writesTo() string {
	conn, err := s.db.Conn(context.Background())
	if err != nil {
		return "no server: " + err.Error()
	}
	defer conn.Close()
	var addr string
	err = immudb.Raw(context.Background(), conn, func(c *immudb.Conn) error {
		addr = c.Host()
		return nil
	})
	if err != nil {
		return "no server: " + err.Error()
	}
	return addr
}
