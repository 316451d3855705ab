package dblock

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/immudb-go/immudb"
)

// The rows of the table. Both name the owner; an empty name means that the lock
// is free.
const (
	ownerRow = 1 // holder, taken, turn, stamp: changes with the owner or with the catalog only; fences read it
	leaseRow = 2 // renewed, lease: changes with each renewal
)

// createTable creates the table, if it does not exist, with its two rows and the
// lock free. Several processes may do so at once. On a replica it fails even if the
// table exists, so that no process waits there for a lock that it cannot take.
func (l *Lock) createTable(ctx context.Context) error {
	_, err := l.db.ExecContext(ctx, fmt.Sprintf(`
		CREATE TABLE IF NOT EXISTS "%[1]s" (
			"id" INTEGER, "owner" VARCHAR[64] NOT NULL,
			"holder" VARCHAR[256], "taken" TIMESTAMP, "turn" INTEGER,
			"renewed" TIMESTAMP, "lease" INTEGER,
			"stamp" INTEGER, "stamp_0" BOOLEAN,
			PRIMARY KEY "id");
		INSERT INTO "%[1]s" ("id", "owner", "turn", "stamp") VALUES (%[2]d, '', 0, 0), (%[3]d, '', NULL, NULL) ON CONFLICT DO NOTHING`,
		l.cfg.Table, ownerRow, leaseRow))
	if errors.Is(err, immudb.ErrReplica) {
		return fmt.Errorf("a replica cannot be locked or changed, connect to the primary: %w", err)
	}
	return err
}

// tenancy is the state of the lock: its owner and the owner's lease.
type tenancy struct {
	owner   string
	holder  string
	taken   time.Time
	renewed time.Time
	lease   time.Duration
	now     time.Time // when this was read, by the server's clock
}

func (l *Lock) read(ctx context.Context, q Tx) (t tenancy, err error) {
	rows, err := q.QueryContext(immudb.WithPrimary(ctx), `SELECT "id", "owner", "holder", "taken", "renewed", "lease", NOW() FROM "`+l.cfg.Table+`"`)
	if err != nil {
		return t, err
	}
	defer rows.Close()
	n := 0
	for ; rows.Next(); n++ {
		var id int
		var owner string
		var holder sql.NullString
		var taken, renewed sql.NullTime
		var lease sql.NullInt64
		if err := rows.Scan(&id, &owner, &holder, &taken, &renewed, &lease, &t.now); err != nil {
			return t, err
		}
		switch id {
		case ownerRow:
			t.owner, t.holder, t.taken = owner, holder.String, taken.Time
		case leaseRow:
			t.renewed, t.lease = renewed.Time, time.Duration(lease.Int64)*time.Millisecond
		}
	}
	if err := rows.Err(); err != nil {
		return t, err
	}
	if n != 2 {
		return t, fmt.Errorf("table %s has %d rows, but a lock has 2: drop the table while no process uses the lock", l.cfg.Table, n)
	}
	return t, nil
}

// write makes the lock ours.
func (l *Lock) write(ctx context.Context, tx *sql.Tx) error {
	_, err := tx.ExecContext(ctx, fmt.Sprintf(`UPDATE "%s" SET "owner" = ?, "holder" = ?, "taken" = NOW(), "turn" = "turn" + 1 WHERE "id" = %d`,
		l.cfg.Table, ownerRow), l.owner, l.holder)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, fmt.Sprintf(`UPDATE "%s" SET "owner" = ?, "renewed" = NOW(), "lease" = ? WHERE "id" = %d`,
		l.cfg.Table, leaseRow), l.owner, l.cfg.Lease.Milliseconds())
	return err
}

func (l *Lock) renew(ctx context.Context) error {
	res, err := l.db.ExecContext(ctx, fmt.Sprintf(`UPDATE "%s" SET "renewed" = NOW() WHERE "id" = %d AND "owner" = ?`,
		l.cfg.Table, leaseRow), l.owner)
	return l.mustHold(res, err)
}

// clear makes the lock free if it is ours.
func (l *Lock) clear(ctx context.Context) error {
	res, err := l.db.ExecContext(ctx, fmt.Sprintf(`UPDATE "%[1]s" SET "owner" = '' WHERE "id" = %[2]d AND "owner" = $1;
		UPDATE "%[1]s" SET "owner" = '' WHERE "id" = %[3]d AND "owner" = $1`, l.cfg.Table, ownerRow, leaseRow), l.owner)
	return l.mustHold(res, err)
}

// mustHold returns ErrLost if an update of our own rows found none.
func (l *Lock) mustHold(res sql.Result, err error) error {
	if errors.Is(err, immudb.ErrNoSuchTable) {
		return ErrLost
	}
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	if err == nil && n == 0 {
		return ErrLost
	}
	return err
}

// checkOwner fails with ErrLost unless the lock is ours, and returns its stamp.
func (l *Lock) checkOwner(ctx context.Context, tx Tx) (stamp int, err error) {
	var owner string
	err = tx.QueryRowContext(ctx, fmt.Sprintf(`SELECT "owner", "stamp" FROM "%s" WHERE "id" = %d`, l.cfg.Table, ownerRow)).Scan(&owner, &stamp)
	if errors.Is(err, sql.ErrNoRows) || errors.Is(err, immudb.ErrNoSuchTable) || err == nil && owner != l.owner {
		return 0, ErrLost
	}
	return stamp, err
}

// watch is what a waiting process has seen of the lock.
type watch struct {
	owner   string
	renewed time.Time
	since   time.Time // when it was first seen like this, by our own clock
}

// over reports whether the tenancy has ended: the lock was released, or its lease
// ran out by the server's clock. Because that clock may have been set back, a lease
// has also run out if we saw no renewal for the whole lease by our own clock. If
// over is wrong, the owner's work fails, but the database stays correct.
func (w *watch) over(t tenancy) bool {
	if t.owner != w.owner || t.renewed != w.renewed {
		*w = watch{t.owner, t.renewed, time.Now()}
	}
	return t.owner == "" || t.now.Sub(t.renewed) > t.lease || time.Since(w.since) > t.lease
}
