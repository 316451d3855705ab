package main

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/immudb-go/immudb"
)

// book is a ledger kept in the database.
type book struct {
	db     *sql.DB
	ledger *ledger

	opened immudb.CommitInfo // the transaction that wrote the opening balances

	mu      sync.Mutex
	booked  []booking // in the order of their commits once transferAll has returned
	refused []transfer
	reruns  int // transfers that were run again after a conflict
}

// booking is a committed transfer with its transaction.
type booking struct {
	transfer
	commit immudb.CommitInfo
}

// create makes both tables or none: the statements of one Exec are one
// transaction.
func (b *book) create(ctx context.Context) error {
	_, err := b.db.ExecContext(ctx, `
		CREATE TABLE quickstart_accounts (
			id INTEGER, owner VARCHAR[64] NOT NULL, balance INTEGER NOT NULL,
			PRIMARY KEY id
		);
		CREATE TABLE quickstart_transfers (
			id INTEGER, booked_at TIMESTAMP NOT NULL, debit INTEGER NOT NULL, credit INTEGER NOT NULL,
			amount INTEGER NOT NULL, memo VARCHAR,
			PRIMARY KEY id
		)`)
	if errors.Is(err, immudb.ErrExists) {
		return fmt.Errorf("%w; another quickstart may be running on this database: "+
			"drop quickstart_accounts and quickstart_transfers if not", err)
	}
	return err
}

func (b *book) drop(ctx context.Context) error {
	_, err := b.db.ExecContext(ctx, "DROP TABLE IF EXISTS quickstart_accounts; DROP TABLE IF EXISTS quickstart_transfers")
	return err
}

// load writes all accounts in one transaction.
func (b *book) load(ctx context.Context) error {
	rows := func(yield func([]any, error) bool) {
		for _, a := range b.ledger.accounts {
			if !yield([]any{a.id, a.owner, a.opening}, nil) {
				return
			}
		}
	}
	_, err := immudb.CopyFrom(immudb.WithCommitInfo(ctx, &b.opened), b.db, "quickstart_accounts",
		[]string{"id", "owner", "balance"}, rows, &immudb.CopyOptions{AllOrNothing: true})
	return err
}

// workers is how many transfers are made at once.
const workers = 4

// transferAll makes all transfers of the ledger.
func (b *book) transferAll(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	work := make(chan transfer)
	for range workers {
		wg.Go(func() {
			for t := range work {
				if err := b.transfer(ctx, t); err != nil {
					cancel(err) // no further transfer begins
				}
			}
		})
	}
	for _, t := range b.ledger.transfers {
		if ctx.Err() != nil {
			break
		}
		work <- t
	}
	close(work)
	wg.Wait()
	slices.SortFunc(b.booked, func(x, y booking) int { return cmp.Compare(x.commit.TxID, y.commit.TxID) })
	return context.Cause(ctx)
}

var errNotCovered = errors.New("the account does not hold that much")

// transfer moves the money in one transaction, or refuses to.
func (b *book) transfer(ctx context.Context, t transfer) error {
	var commit immudb.CommitInfo
	runs := 0
	err := immudb.RunTx(immudb.WithCommitInfo(ctx, &commit), b.db, nil, func(tx *sql.Tx) error {
		runs++
		res, err := tx.ExecContext(ctx,
			"UPDATE quickstart_accounts SET balance = balance - @amount WHERE id = @debit AND balance >= @amount",
			sql.Named("amount", t.amount), sql.Named("debit", t.debit))
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil {
			return err
		} else if n == 0 {
			return errNotCovered // this rolls the transaction back
		}
		if _, err := tx.ExecContext(ctx,
			"UPDATE quickstart_accounts SET balance = balance + ? WHERE id = ?", t.amount, t.credit); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx,
			"INSERT INTO quickstart_transfers (id, booked_at, debit, credit, amount, memo) VALUES (?, ?, ?, ?, ?, ?)",
			t.id, t.at, t.debit, t.credit, t.amount, t.memo)
		return err
	})
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reruns += max(runs-1, 0)
	switch {
	case errors.Is(err, errNotCovered):
		b.refused = append(b.refused, t)
		return nil
	case err != nil:
		return fmt.Errorf("transfer %d: %w", t.id, err)
	}
	b.booked = append(b.booked, booking{t, commit})
	return nil
}

// check returns the balances by account, and an error if money was made or
// lost: in an account, in total, or in total after any one of the transactions.
func (b *book) check(ctx context.Context) (map[int64]int64, error) {
	want := map[int64]int64{}
	for _, a := range b.ledger.accounts {
		want[a.id] = a.opening
	}
	transfers, err := b.db.QueryContext(ctx, "SELECT debit, credit, amount FROM quickstart_transfers")
	if err != nil {
		return nil, err
	}
	defer transfers.Close()
	for transfers.Next() {
		var debit, credit, amount int64
		if err := transfers.Scan(&debit, &credit, &amount); err != nil {
			return nil, err
		}
		want[debit] -= amount
		want[credit] += amount
	}
	if err := transfers.Err(); err != nil {
		return nil, err
	}

	balances := map[int64]int64{}
	rows, err := b.db.QueryContext(ctx, "SELECT id, balance FROM quickstart_accounts")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id, balance int64
		if err := rows.Scan(&id, &balance); err != nil {
			return nil, err
		}
		balances[id] = balance
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	for id, sum := range want {
		if balances[id] != sum {
			return nil, fmt.Errorf("account %d holds %s, but its transfers make it %s", id, money(balances[id]), money(sum))
		}
	}

	commits := []uint64{b.opened.TxID}
	for _, t := range b.booked {
		commits = append(commits, t.commit.TxID)
	}
	for _, txID := range commits {
		var sum int64
		err := b.db.QueryRowContext(ctx, "SELECT SUM(balance) FROM quickstart_accounts UNTIL TX ?", txID).Scan(&sum)
		if err != nil {
			return nil, err
		}
		if sum != b.ledger.total() {
			return nil, fmt.Errorf("after transaction %d the accounts hold %s together instead of %s",
				txID, money(sum), money(b.ledger.total()))
		}
	}
	return balances, nil
}

// watched is the account whose past is shown.
const watched = 3

// version is a row as it was from one transaction to the next.
type version struct {
	revision int64
	txID     uint64
	transfer *transfer // the transfer that made it; nil for the opening balance
	balance  int64
}

// history returns all versions of an account's row, oldest first, and an error
// if they are not those that the transfers must have made.
func (b *book) history(ctx context.Context, id int64) ([]version, error) {
	versions := []version{{txID: b.opened.TxID}}
	for i := range b.booked {
		if t := &b.booked[i]; t.debit == id || t.credit == id {
			versions = append(versions, version{txID: t.commit.TxID, transfer: &t.transfer})
		}
	}
	rows, err := b.db.QueryContext(ctx, "SELECT _rev, balance FROM (HISTORY OF quickstart_accounts) WHERE id = ?", id)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	n := 0
	for ; rows.Next(); n++ {
		if n == len(versions) {
			return nil, fmt.Errorf("account %d has more versions than transfers", id)
		}
		if err := rows.Scan(&versions[n].revision, &versions[n].balance); err != nil {
			return nil, err
		}
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	if n < len(versions) {
		return nil, fmt.Errorf("account %d has %d versions, but %d transactions changed it", id, n, len(versions))
	}
	// The row as of a transaction is the version that this transaction made.
	for _, v := range versions {
		var balance int64
		err := b.db.QueryRowContext(ctx, "SELECT balance FROM quickstart_accounts UNTIL TX ? WHERE id = ?", v.txID, id).Scan(&balance)
		if err != nil {
			return nil, err
		}
		if balance != v.balance {
			return nil, fmt.Errorf("account %d: revision %d holds %s, but as of transaction %d it is %s",
				id, v.revision, money(v.balance), v.txID, money(balance))
		}
	}
	return versions, nil
}
