package main

import (
	"context"
	"errors"
	"net"
	"os"
	"strconv"

	"github.com/codenotary/immudb/pkg/api/schema"
	"github.com/codenotary/immudb/pkg/client"

	"github.com/immudb-go/immudb"
)

// verifiedRow reads rows by primary key and proves them on the client. This driver returns
// the proven row; the official client proves a row that was read before, and that read is not
// timed.
func verifiedRow(ctx context.Context, e *env) (*task, error) {
	switch e.Contender {
	case ours:
		return verifiedByOurs(e)
	case vendors:
		return verifiedByOfficial(ctx, e)
	}
	return nil, errors.New("cannot verify on the client")
}

// noFloor is for workloads that consist of decoding.
func noFloor(context.Context, *floorConn) (*task, error) {
	return nil, errors.New("without decoding there is nothing to verify")
}

func verifiedByOurs(e *env) (*task, error) {
	db, err := e.open("verify=trust-first-use")
	if err != nil {
		return nil, err
	}
	v := immudb.NewVerifier(db)
	return &task{close: db.Close, run: func(ctx context.Context, n int) (int, error) {
		for i := range n {
			if _, err := v.Row(ctx, "accounts", e.Scale.pointID(i)); err != nil {
				return i, err
			}
		}
		return n, nil
	}}, nil
}

func verifiedByOfficial(ctx context.Context, e *env) (*task, error) {
	host, port, err := net.SplitHostPort(e.Server.Addr)
	if err != nil {
		return nil, err
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "immudb-bench") // where it keeps its state
	if err != nil {
		return nil, err
	}
	c := client.NewClient().WithOptions(client.DefaultOptions().WithAddress(host).WithPort(number).WithDir(dir))
	if err := c.OpenSession(ctx, []byte(e.Server.User), []byte(e.Server.Password), e.Server.Database); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	rows := map[int64]*schema.Row{}
	return &task{
		close: func() error { return errors.Join(c.CloseSession(context.Background()), os.RemoveAll(dir)) },
		run: func(ctx context.Context, n int) (int, error) {
			for i := range n {
				id := e.Scale.pointID(i)
				key := []*schema.SQLValue{{Value: &schema.SQLValue_N{N: id}}}
				if rows[id] == nil { // in the warm-up
					//lint:ignore SA1019 VerifyRow takes a row as only this method gives it
					res, err := c.SQLQuery(ctx, "SELECT * FROM accounts WHERE id = @id", map[string]any{"id": id}, true)
					if err != nil {
						return i, err
					}
					rows[id] = res.Rows[0]
				}
				if err := c.VerifyRow(ctx, rows[id], "accounts", key); err != nil {
					return i, err
				}
			}
			return n, nil
		},
	}, nil
}
