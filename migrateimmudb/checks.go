package migrateimmudb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dblock"
	"github.com/immudb-go/immudb/internal/trial"
)

// The server (v1.11.1) cannot drop a table that has CHECK constraints: it fails
// with "tbtree: key not found" until they have been dropped one by one. It has no list of
// them, but other errors hold their names.

// isCheckTrouble reports the error that dropping such a table ends with.
func isCheckTrouble(err error) bool {
	var e *immudb.Error
	return errors.As(err, &e) && strings.Contains(e.Message, "tbtree: key not found")
}

// unnamedChecks is how many constraints without a name are tried. The server names those of
// table t t_check1, t_check2, …
const unnamedChecks = 16

// dropChecks drops the CHECK constraints of a table: those without a name, and
// those on a column without an index, which the server names when it is asked to
// drop the column.
func (d *Immudb) dropChecks(ctx context.Context, table string) error {
	for i := range unnamedChecks {
		if _, err := d.dropCheck(ctx, table, fmt.Sprintf("%s_check%d", table, i+1)); err != nil {
			return err
		}
	}
	columns, err := d.names(ctx, `SELECT name FROM COLUMNS(?)`, table)
	if err != nil {
		return err
	}
	for _, column := range columns {
		for {
			name, err := d.checkOf(ctx, table, column)
			if err != nil {
				return err
			}
			if name == "" {
				break
			}
			if dropped, err := d.dropCheck(ctx, table, name); err != nil || !dropped {
				return errors.Join(err, fmt.Errorf("table %s: the CHECK constraint %s cannot be dropped", table, name))
			}
		}
	}
	return nil
}

// dropCheck drops a constraint, and reports whether there was one with that name.
func (d *Immudb) dropCheck(ctx context.Context, table, name string) (dropped bool, err error) {
	err = dblock.Work{DB: d.db, Lock: d.lock.Load(), ChangesCatalog: true}.Run(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, fmt.Sprintf("ALTER TABLE %s DROP CONSTRAINT %s", quoteName(table), quoteName(name)))
		return err
	})
	if err != nil && strings.Contains(err.Error(), "constraint not found") {
		return false, nil
	}
	return err == nil, err
}

// checkOf returns the name of a constraint that needs the column, or "". It tries
// to drop the column, in a transaction that is never committed.
func (d *Immudb) checkOf(ctx context.Context, table, column string) (name string, err error) {
	err = trial.Run(ctx, d.db, fmt.Sprintf("ALTER TABLE %s DROP COLUMN %s", quoteName(table), quoteName(column)))
	var e *immudb.Error
	if errors.As(err, &e) {
		// Other errors are for columns that cannot be dropped for another reason.
		_, rest, _ := strings.Cut(e.Message, " because ")
		if name, _, ok := strings.Cut(rest, " constraint requires it"); ok {
			return name, nil
		}
		return "", nil
	}
	return "", err
}
