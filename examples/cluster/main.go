// Command cluster runs an immudb primary with two replicas, and a small service that takes orders on them. Then it takes the
// primary away, makes a replica the new one, and brings the old one back. The service is never restarted, and no order is
// lost or stored twice.
//
//	go run ./examples/cluster
//
// The three servers run in this process, and their data is removed when the program ends.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

// orders is how many orders the service takes between two events.
const orders = 100

func run(ctx context.Context, out io.Writer) (err error) {
	say := func(format string, args ...any) { fmt.Fprintf(out, format+"\n", args...) }
	c := &cluster{}
	defer func() { err = errors.Join(err, c.close()) }()
	// The table is made before the replicas start: a replica of immudb does not see later changes of the schema.
	if err := c.startPrimary(ctx, "CREATE TABLE orders (id INTEGER, item VARCHAR[64], PRIMARY KEY id)"); err != nil {
		return err
	}
	if err := c.startReplicas(2); err != nil {
		return err
	}
	say("Three servers: db1 is the primary, db2 and db3 follow it.")

	shop, err := openShop(c.servers)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, shop.close()) }()
	step := func(number int, title string) { say("\n%d. %s\n", number, title) }

	step(1, "The service takes orders")
	if err := shop.take(ctx, orders); err != nil {
		return err
	}
	say("   %d orders are stored. Writes go to %s.", shop.stored, c.name(shop.writesTo()))
	if err := shop.awaitReplica(ctx); err != nil {
		return err
	}
	routed, fellBack, err := shop.browse(ctx, 20*orders)
	if err != nil {
		return err
	}
	say("   Of %d reads %d were answered by a replica and %d by the primary (read_routing=replica).", routed+fellBack, routed, fellBack)

	step(2, "The primary is gone")
	if err := c.awaitReplicas(ctx, shop.stored); err != nil {
		return err
	}
	if err := c.servers[0].Stop(); err != nil {
		return err
	}
	failed := shop.tryOnce(ctx)
	say("   db1 is stopped. An order fails now, and the service keeps it to try again:\n     %s", firstLine(failed))
	n, err := shop.report(ctx)
	if err != nil {
		return err
	}
	say("   Reports go on, from a replica (target_session_attrs=prefer-standby): %d orders.", n)

	step(3, "The operator promotes db2, and db3 follows it")
	if err := c.servers[1].Promote(); err != nil {
		return err
	}
	began := time.Now()
	if err := shop.take(ctx, 1); err != nil {
		return err
	}
	say("   The kept order is stored %v after db2 was there as a primary.", time.Since(began).Round(time.Millisecond))
	if err := c.servers[2].Follow(c.servers[1].DSN()); err != nil {
		return err
	}
	if err := shop.take(ctx, orders-1); err != nil {
		return err
	}
	say("   %d orders are stored. Writes go to %s.", shop.stored, c.name(shop.writesTo()))

	step(4, "db1 comes back, and says that it is a primary")
	if err := c.servers[0].Restart(); err != nil {
		return err
	}
	seen, err := shop.log.await(ctx, "second primary")
	if err != nil {
		return err
	}
	say("   The driver looks at it, and logs an error:\n     %s", seen)
	if err := shop.take(ctx, orders); err != nil {
		return err
	}
	say("   %d orders are stored. Writes still go to %s: the driver has seen there what db1 does not have, so it", shop.stored, c.name(shop.writesTo()))
	say("   writes nothing to db1 (ErrSplitBrain, if no other primary were left).")
	if err := c.servers[0].Follow(c.servers[1].DSN()); err != nil {
		return err
	}
	say("   The operator makes db1 a replica of db2.")
	if err := c.awaitReplicas(ctx, shop.stored); err != nil {
		return err
	}

	step(5, "The count")
	for i := range c.servers {
		n, err := c.count(ctx, i)
		if err != nil {
			return err
		}
		say("   db%d has %d orders.", i+1, n)
		if n != shop.stored {
			return fmt.Errorf("db%d has %d orders, and the service was told that %d are stored", i+1, n, shop.stored)
		}
	}
	say("\n   The service was told that %d orders are stored. None is missing, none is there twice.", shop.stored)
	return nil
}

// firstLine is the first of the lines of an error: the driver gives the reason of each host a line.
func firstLine(err error) string {
	line, _, _ := strings.Cut(fmt.Sprint(err), "\n")
	return line
}
