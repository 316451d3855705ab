package migrateimmudb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dblock"
)

// Drop drops every table of the database. The tables of the version and the lock are
// dropped last and together, which releases the lock. Views and sequences stay, because the
// server does not list them. The rows stay in the database's history.
func (d *Immudb) Drop() error {
	if err := d.drop(context.Background()); err != nil {
		return fmt.Errorf("migrateimmudb: dropping all tables: %w", err)
	}
	return nil
}

func (d *Immudb) drop(ctx context.Context) error {
	tables, err := d.names(ctx, "SELECT name FROM TABLES()")
	if err != nil {
		return err
	}
	own := []string{d.cfg.MigrationsTable, d.cfg.lockTable()}
	tables = slices.DeleteFunc(tables, func(name string) bool { return slices.Contains(own, name) })

	// Dropping a table adds an entry to the transaction for each column and index, so the
	// number of tables that fit must be found by trying.
	for n := len(tables); len(tables) > 0; {
		n = min(n, len(tables))
		err := d.dropTables(ctx, tables[:n])
		switch {
		case err == nil:
			tables = tables[n:]
		case n > 1 && (errors.Is(err, immudb.ErrTooManyEntries) || isCheckTrouble(err)):
			n = (n + 1) / 2
		case isCheckTrouble(err):
			if err := d.dropChecks(ctx, tables[0]); err != nil {
				return err
			}
			if err := d.dropTables(ctx, tables[:1]); err != nil {
				return err
			}
			tables = tables[1:]
		default:
			return err
		}
	}

	if lock := d.lock.Load(); lock != nil {
		if err := lock.Renew(ctx); err != nil {
			return err
		}
		lock.Forget()
	}
	if err := d.dropTables(ctx, own); err != nil {
		return err
	}
	d.lock.Store(nil)
	// The first query makes the server fill its cache, the second one returns the tables;
	// see package dblock.
	for range 2 {
		if tables, err = d.names(ctx, "SELECT name FROM TABLES()"); err != nil {
			return err
		}
	}
	if slices.ContainsFunc(tables, func(name string) bool { return slices.Contains(own, name) }) {
		return errors.New("the tables are dropped, but the server has an outdated catalog: restart it before you make new ones")
	}
	return nil
}

func (d *Immudb) names(ctx context.Context, query string, args ...any) ([]string, error) {
	rows, err := d.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, rows.Err()
}

func (d *Immudb) dropTables(ctx context.Context, tables []string) error {
	// The lock's table cannot be stamped and dropped in one transaction.
	stamped := !slices.Contains(tables, d.cfg.lockTable())
	return dblock.Work{DB: d.db, Lock: d.lock.Load(), ChangesCatalog: stamped}.Run(ctx, func(tx *sql.Tx) error {
		for _, name := range tables {
			if _, err := tx.ExecContext(ctx, "DROP TABLE IF EXISTS "+quoteName(name)); err != nil {
				return fmt.Errorf("table %s: %w", name, err)
			}
		}
		return nil
	})
}

// quoteName quotes a name from the server, unless it holds upper case. The server folds
// quoted names to lower case. A name with upper case is a keyword that was not quoted when
// the table was created; it works only without quotes.
func quoteName(name string) string {
	if strings.ToLower(name) != name {
		return name
	}
	return `"` + name + `"`
}
