package dblock

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/immudb-go/immudb"
)

// The server (v1.11.1) keeps the catalog of tables in a cache. A SELECT outside a
// transaction that finds it empty fills it with the catalog that it has begun
// with; a commit that changes the catalog empties it. So a SELECT that began
// before such a commit and ends after it leaves the old catalog there, for
// everybody and for good: new tables and columns do not exist, and the next CREATE
// TABLE takes the place of the newest table, rows and all. It takes two such
// commits one after the other while somebody reads, which is what the migration of
// a live database is. (Measured: of 400 tables made beside 12 readers, 65 were
// lost.)
//
// A stamp shows whether a catalog is old. It is a number kept twice, in the
// owner's row and in the name of a column of the lock's table, and every
// transaction that changes the catalog changes both. Rows are never old, so the
// catalog is if the two differ. To rename the column in an old catalog does no
// harm, and makes the server forget it.

// ErrStale: the transaction was begun with an old catalog and must not be
// committed.
var ErrStale = errors.New("the server has an outdated catalog, which was mended; nothing was committed, try again")

const stampPrefix = "stamp_"

// stampColumn returns the name of the column that has the stamp, as the catalog
// of q has it.
func (l *Lock) stampColumn(ctx context.Context, q Tx) (string, error) {
	rows, err := q.QueryContext(ctx, "SELECT name FROM COLUMNS(?)", l.cfg.Table)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	column := ""
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return "", err
		}
		if strings.HasPrefix(name, stampPrefix) {
			column = name
		}
	}
	if err := rows.Err(); err != nil {
		return "", err
	}
	if column == "" {
		return "", fmt.Errorf("table %s lacks a column stamp_…: drop it while nobody needs it", l.cfg.Table)
	}
	return column, nil
}

// checkStamp fails with ErrStale if the catalog of q is not the one of the stamp.
func (l *Lock) checkStamp(ctx context.Context, q Tx, stamp int) error {
	column, err := l.stampColumn(ctx, q)
	if err == nil && column != stampPrefix+strconv.Itoa(stamp) {
		return ErrStale
	}
	return err
}

// Stamp must be called in every transaction that changes the catalog, after
// Fence. Settle must follow its commit.
func (l *Lock) Stamp(ctx context.Context, tx Tx) error {
	stamp, err := l.checkOwner(ctx, tx)
	if err != nil {
		return l.noteLoss(err)
	}
	column, err := l.stampColumn(ctx, tx)
	if err != nil {
		return err
	}
	if err := l.rename(ctx, tx, column, stamp+1); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, fmt.Sprintf(`UPDATE "%s" SET "stamp" = ? WHERE "id" = %d`, l.cfg.Table, ownerRow), stamp+1); err != nil {
		return err
	}
	// With a catalog in the cache, no SELECT that begins from here on can leave
	// one there.
	return l.warm(ctx)
}

func (l *Lock) rename(ctx context.Context, q Tx, column string, stamp int) error {
	_, err := q.ExecContext(ctx, fmt.Sprintf(`ALTER TABLE "%s" RENAME COLUMN "%s" TO "%s%d"`, l.cfg.Table, column, stampPrefix, stamp))
	return err
}

// warm makes the server fill its cache.
func (l *Lock) warm(ctx context.Context) error {
	var stamp int
	return l.db.QueryRowContext(ctx, fmt.Sprintf(`SELECT "stamp" FROM "%s" WHERE "id" = %d`, l.cfg.Table, ownerRow)).Scan(&stamp)
}

// maxMends is how often an old catalog is mended in a row. Under constant reading
// about one commit in seven leaves one.
const maxMends = 20

// Settle returns when the server has the current catalog in its cache, from where
// nothing but the next change of the catalog can drive it.
func (l *Lock) Settle(ctx context.Context) error {
	for range maxMends {
		// What fills the cache reads its own catalog, so it cannot tell what the
		// cache holds then.
		if err := l.warm(ctx); err != nil {
			return err
		}
		var stamp int
		if err := l.db.QueryRowContext(ctx, fmt.Sprintf(`SELECT "stamp" FROM "%s" WHERE "id" = %d`, l.cfg.Table, ownerRow)).Scan(&stamp); err != nil {
			return err
		}
		err := l.checkStamp(ctx, l.db, stamp)
		if !errors.Is(err, ErrStale) {
			return err
		}
		column, err := l.stampColumn(ctx, l.db)
		if err != nil {
			return err
		}
		// The name that an old catalog shows may be another one by now.
		if err := l.rename(ctx, l.db, column, stamp); err != nil && !errors.Is(err, immudb.ErrNoSuchColumn) && !errors.Is(err, immudb.ErrExists) {
			return err
		}
	}
	return errors.New("the server has an outdated catalog that cannot be mended: restart the server before the schema is changed again")
}
