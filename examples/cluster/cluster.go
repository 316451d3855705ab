package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/immudb-go/immudb/immudbtest"
)

// cluster is what an operator has: the servers, and a way to ask each of them.
type cluster struct {
	servers []*immudbtest.Server
}

func (c *cluster) startPrimary(ctx context.Context, schema string) error {
	srv, err := immudbtest.New()
	if err != nil {
		return err
	}
	c.servers = append(c.servers, srv)
	db, err := sql.Open("immudb", srv.DSN())
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.ExecContext(ctx, schema)
	return err
}

func (c *cluster) startReplicas(n int) error {
	for range n {
		srv, err := immudbtest.New(immudbtest.WithReplicaOf(c.servers[0].DSN()))
		if err != nil {
			return err
		}
		c.servers = append(c.servers, srv)
	}
	return nil
}

func (c *cluster) close() error {
	var errs []error
	for _, srv := range c.servers {
		errs = append(errs, srv.Close())
	}
	return errors.Join(errs...)
}

// name is the name that the output gives the server with an address.
func (c *cluster) name(addr string) string {
	for i, srv := range c.servers {
		if srv.Addr() == addr {
			return fmt.Sprintf("db%d", i+1)
		}
	}
	return addr
}

// count asks one server for its number of orders.
func (c *cluster) count(ctx context.Context, i int) (n int, err error) {
	db, err := sql.Open("immudb", c.servers[i].DSN()+"&target_session_attrs=any")
	if err != nil {
		return 0, err
	}
	defer db.Close()
	err = db.QueryRowContext(ctx, "SELECT COUNT(*) FROM orders").Scan(&n)
	return n, err
}

// awaitReplicas waits until every server has n orders: an operator promotes only a replica that has everything.
func (c *cluster) awaitReplicas(ctx context.Context, n int) error {
	return await(ctx, "the replicas have all orders", func() error {
		for i := range c.servers {
			if got, err := c.count(ctx, i); err != nil || got != n {
				return fmt.Errorf("db%d has %d orders of %d: %w", i+1, got, n, err)
			}
		}
		return nil
	})
}

// await repeats try until it succeeds, for half a minute.
func await(ctx context.Context, what string, try func() error) error {
	deadline := time.Now().Add(30 * time.Second)
	for {
		err := try()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return fmt.Errorf("waiting until %s: %w", what, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
