// Altertable changes the type of a column, which immudb's ALTER TABLE cannot do. It creates a
// new table, copies the rows while the old table stays in use, and switches the names in one
// transaction. The old table stays, with the history of every row.
//
//	altertable -dsn immudb://user:password@localhost:3322/app
//
// The tables are payments, whose amount is text and becomes a whole number, and
// payments_v1, the old one:
//
//	SELECT _rev, id, amount FROM (HISTORY OF payments_v1) WHERE id = 7
//
// The same steps work for a new NOT NULL column, another primary key, a unique index on a
// table with rows, or a shorter VARCHAR.
//
// Other programs may write meanwhile. But if they read, each change of the schema can make a
// server of v1.11.1 lose a table, unless migrateimmudb or gooseimmudb make the change, because
// they protect against that: run this while no program reads.
package main

import (
	"context"
	"database/sql"
	"flag"
	"fmt"
	"log"
	"math"
	"os"
	"os/signal"

	"github.com/immudb-go/immudb"
)

func main() {
	dsn := flag.String("dsn", "", "the database")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	db, err := sql.Open("immudb", *dsn)
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	if err := alter(ctx, db); err != nil {
		log.Fatal(err)
	}
}

func alter(ctx context.Context, db *sql.DB) error {
	began, err := create(ctx, db)
	if err != nil {
		return fmt.Errorf("new table: %w", err)
	}
	if err := copyRows(ctx, db); err != nil {
		return fmt.Errorf("copy: %w", err)
	}
	if err := switchTables(ctx, db, began); err != nil {
		return fmt.Errorf("switch: %w", err)
	}
	return nil
}

// create creates the new table and returns the number of its transaction: later changes of
// the old table have higher numbers. It drops the table of a failed attempt first.
func create(ctx context.Context, db *sql.DB) (began uint64, err error) {
	if _, err := db.ExecContext(ctx, "DROP TABLE IF EXISTS payments_v2"); err != nil {
		return 0, err
	}
	var commit immudb.CommitInfo
	_, err = db.ExecContext(immudb.WithCommitInfo(ctx, &commit), `CREATE TABLE payments_v2 (
		id INTEGER AUTO_INCREMENT, payer VARCHAR[64] NOT NULL, amount INTEGER NOT NULL,
		PRIMARY KEY id)`)
	return commit.TxID, err
}

// batch is how many keys are copied at once: a transaction holds 1,024 entries,
// one for a row and one for each of its indexes.
const batch = 500

// copyRows copies the existing rows in batches, so that no transaction is too large or blocks
// the writers for long.
func copyRows(ctx context.Context, db *sql.DB) error {
	var last int64
	if err := db.QueryRowContext(ctx, "SELECT MAX(id) FROM payments").Scan(&last); err != nil {
		return err
	}
	for from := int64(0); from < last; from += batch {
		// An UPSERT may be run again after a lost answer.
		_, err := db.ExecContext(ctx, `UPSERT INTO payments_v2 (id, payer, amount)
			SELECT id, payer, CAST(amount AS INTEGER) FROM payments WHERE id > ? AND id <= ?`, from, from+batch)
		if err != nil {
			return err
		}
	}
	return nil
}

// switchTables copies the changes since the copy began and switches the names, in one
// transaction: other programs see the old table or the new one.
//
// It reads every key of the old table, so that a write to that table before the commit is a
// conflict, and RunTx runs it again. The server allows 100,000 rows to be read in a
// transaction; for a larger table stop the writers and leave out the first statement.
func switchTables(ctx context.Context, db *sql.DB, began uint64) error {
	return immudb.RunTx(ctx, db, nil, func(tx *sql.Tx) error {
		var rows int
		if err := tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM payments").Scan(&rows); err != nil {
			return err
		}
		deleted, err := deletedSince(ctx, tx, began)
		if err != nil {
			return err
		}
		for _, id := range deleted {
			if _, err := tx.ExecContext(ctx, "DELETE FROM payments_v2 WHERE id = ?", id); err != nil {
				return err
			}
		}
		for _, query := range []string{
			fmt.Sprintf(`UPSERT INTO payments_v2 (id, payer, amount)
				SELECT id, payer, CAST(amount AS INTEGER) FROM payments SINCE TX %d`, began),
			`ALTER TABLE payments RENAME TO payments_v1`,
			`ALTER TABLE payments_v2 RENAME TO payments`,
		} {
			if _, err := tx.ExecContext(ctx, query); err != nil {
				return err
			}
		}
		return nil
	})
}

// deletedSince returns the keys of the rows that were deleted since the given
// transaction.
func deletedSince(ctx context.Context, tx *sql.Tx, began uint64) ([]int64, error) {
	rows, err := tx.QueryContext(ctx, fmt.Sprintf(`SELECT _diff_action, id FROM (DIFF OF payments) SINCE TX %d UNTIL TX %d`,
		began, int64(math.MaxInt64)))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var ids []int64
	for rows.Next() {
		var action string
		var id int64
		if err := rows.Scan(&action, &id); err != nil {
			return nil, err
		}
		if action == "DELETE" { // the server cannot filter by it
			ids = append(ids, id)
		}
	}
	return ids, rows.Err()
}
