package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/immudb-go/immudb"
)

// reload has the replicas among the hosts of the URL read their catalogs again.
func (c *command) reload(ctx context.Context, args []string) error {
	flags := newFlagSet()
	primaries := flags.Bool("primary", false, "")
	if err := parse(flags, args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return usageError(fmt.Sprintf("reload: unexpected argument %q", flags.Arg(0)))
	}
	if !strings.HasPrefix(c.database, "immudb://") {
		return usageError("which database? give -database or " + databaseVariable + ", beginning with immudb://")
	}
	cfg, err := immudb.ParseDSN(withoutOptions(c.database))
	if err != nil {
		return err
	}
	reloaded := 0
	var failed []error
	for _, host := range cfg.Hosts {
		one := cfg.Clone()
		one.Hosts, one.ReadRouting, one.LoadBalanceHosts = []string{host}, "", ""
		one.TargetSessionAttrs = "prefer-standby" // any role, which is asked for
		done, err := c.reloadOn(ctx, one, *primaries)
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", host, err))
		}
		if done {
			reloaded++
		}
	}
	if len(failed) == 0 && reloaded == 0 {
		return errors.New("no host is a replica, nothing was done; -primary reloads a primary too")
	}
	return errors.Join(failed...)
}

// reloadOn is reload on the only host of cfg.
func (c *command) reloadOn(ctx context.Context, cfg *immudb.Config, primaries bool) (done bool, err error) {
	connector, err := immudb.NewConnector(cfg)
	if err != nil {
		return false, err
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	if err := db.PingContext(ctx); err != nil {
		return false, err
	}
	host := connector.Stats().Hosts[0]
	if host.Role != "replica" && !primaries {
		fmt.Fprintf(c.stderr, "%s is a %s, it is left as it is\n", host.Addr, host.Role)
		return false, nil
	}
	began := time.Now()
	if err := immudb.ReloadDatabase(ctx, db); err != nil {
		return false, err
	}
	fmt.Fprintf(c.stderr, "%s, a %s, has unloaded and loaded %s in %v\n", host.Addr, host.Role, cfg.Database, time.Since(began).Round(time.Millisecond))
	return true, nil
}

// withoutOptions is the URL without the options of migrations, which no DSN has.
func withoutOptions(url string) string {
	base, query, _ := strings.Cut(url, "?")
	var rest []string
	for pair := range strings.SplitSeq(query, "&") {
		if pair != "" && !strings.HasPrefix(pair, "x-") {
			rest = append(rest, pair)
		}
	}
	if len(rest) == 0 {
		return base
	}
	return base + "?" + strings.Join(rest, "&")
}
