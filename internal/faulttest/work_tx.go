package faulttest

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"

	"github.com/immudb-go/immudb"
)

// bank moves money between accounts, and records each move in the same transaction.
type bank struct {
	table string
	ids   ids
	moves *ledger
	seen  seen
	undo  bool // each move also records one that it undoes by ROLLBACK TO
	runTx bool // RunTx runs the transactions again
	exposure
}

const accounts, deposit = 16, 1000

func newBank(table string, _ int) work { return &bank{table: table, moves: newLedger()} }

func newSavepoints(table string, _ int) work {
	return &bank{table: table, moves: newLedger(), undo: true}
}

func (b *bank) prepare(ctx context.Context, db *sql.DB) error {
	if err := createTable(ctx, db, b.table, "id INTEGER, balance INTEGER, PRIMARY KEY id"); err != nil {
		return err
	}
	for id := range accounts {
		if _, err := db.ExecContext(ctx, "INSERT INTO "+b.table+" (id, balance) VALUES (?, ?)", id, deposit); err != nil {
			return err
		}
	}
	return createTable(ctx, db, b.table+"_moves", "id INTEGER, giver INTEGER, taker INTEGER, amount INTEGER, PRIMARY KEY id")
}

func (b *bank) do(ctx context.Context, db *sql.DB, worker int) error {
	b.hold(ctx)
	if rand.IntN(4) == 0 {
		return b.sum(ctx, db)
	}
	id, epoch := b.ids.take(worker, 1), b.epoch()
	err := b.move(ctx, db, id)
	b.moves.note(id, b.fate(err, epoch))
	return err
}

// in runs f in a transaction.
func (b *bank) in(ctx context.Context, db *sql.DB, o *sql.TxOptions, f func(tx *sql.Tx) error) error {
	if b.runTx {
		return immudb.RunTx(ctx, db, o, f)
	}
	tx, err := db.BeginTx(ctx, o)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // does nothing after Commit
	if err := f(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// sum adds the balances up in a read-only transaction.
func (b *bank) sum(ctx context.Context, db *sql.DB) error {
	return b.in(ctx, db, &sql.TxOptions{ReadOnly: true}, func(tx *sql.Tx) error {
		balances, err := b.balances(ctx, tx)
		if err != nil {
			return err
		}
		if s := total(balances); len(balances) != accounts || s != accounts*deposit {
			b.seen.addf("bank sum", "%d accounts hold %d, not %d and %d", len(balances), s, accounts, accounts*deposit)
		}
		return nil
	})
}

func (b *bank) balances(ctx context.Context, db querier) (map[int64]int64, error) {
	balances := map[int64]int64{}
	var id, balance int64
	err := each(ctx, db, func() { balances[id] = balance }, "SELECT id, balance FROM "+b.table, &id, &balance)
	return balances, err
}

func total(balances map[int64]int64) (sum int64) {
	for _, balance := range balances {
		sum += balance
	}
	return sum
}

func (b *bank) move(ctx context.Context, db *sql.DB, id int64) error {
	giver := rand.IntN(accounts)
	taker := (giver + 1 + rand.IntN(accounts-1)) % accounts
	amount := 1 + rand.IntN(20)
	return b.in(ctx, db, nil, func(tx *sql.Tx) error {
		return b.transfer(ctx, tx, id, giver, taker, amount)
	})
}

func (b *bank) transfer(ctx context.Context, tx *sql.Tx, id int64, giver, taker, amount int) error {
	for _, change := range []struct{ account, amount int }{{giver, -amount}, {taker, amount}} {
		var balance int64
		row := tx.QueryRowContext(ctx, "SELECT balance FROM "+b.table+" WHERE id = ?", change.account)
		if err := row.Scan(&balance); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "UPDATE "+b.table+" SET balance = ? WHERE id = ?", balance+int64(change.amount), change.account)
		if err != nil {
			return err
		}
	}
	record := "INSERT INTO " + b.table + "_moves (id, giver, taker, amount) VALUES (?, ?, ?, ?)"
	if b.undo {
		if err := undone(ctx, tx, record, id, giver, taker, amount+1); err != nil {
			return err
		}
	}
	_, err := tx.ExecContext(ctx, record, id, giver, taker, amount)
	return err
}

// undone runs a statement and returns to the savepoint before it.
func undone(ctx context.Context, tx *sql.Tx, query string, args ...any) error {
	if _, err := tx.ExecContext(ctx, "SAVEPOINT start"); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, query, args...); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, "ROLLBACK TO start")
	return err
}

func (b *bank) judge(ctx context.Context, db *sql.DB) ([]string, error) {
	want := map[int64]int64{}
	for id := range int64(accounts) {
		want[id] = deposit
	}
	moves := map[int64]int{}
	var id, giver, taker, amount int64
	err := each(ctx, db, func() {
		moves[id]++
		want[giver] -= amount
		want[taker] += amount
	}, "SELECT id, giver, taker, amount FROM "+b.table+"_moves", &id, &giver, &taker, &amount)
	if err != nil {
		return nil, err
	}
	got, err := b.balances(ctx, db)
	if err != nil {
		return nil, err
	}
	v := append(b.seen.violations(), b.moves.judge(moves)...)
	if s := total(got); s != accounts*deposit {
		v.addf("the accounts hold %d at the end, not %d", s, accounts*deposit)
	}
	for id, balance := range want {
		if got[id] != balance {
			v.addf("account %d holds %d, and its moves come to %d", id, got[id], balance)
		}
	}
	return v, nil
}

// counters are incremented by RunTx, which logs each step in the same transaction.
type counters struct {
	table string
	ids   ids
	steps *ledger
}

const counterRows = 8

func newCounters(table string, _ int) work { return &counters{table: table, steps: newLedger()} }

func (c *counters) prepare(ctx context.Context, db *sql.DB) error {
	if err := createTable(ctx, db, c.table, "id INTEGER, n INTEGER, PRIMARY KEY id"); err != nil {
		return err
	}
	for id := range counterRows {
		if _, err := db.ExecContext(ctx, "INSERT INTO "+c.table+" (id, n) VALUES (?, 0)", id); err != nil {
			return err
		}
	}
	return createTable(ctx, db, c.table+"_steps", "id INTEGER, counter INTEGER, n INTEGER, PRIMARY KEY id")
}

func (c *counters) do(ctx context.Context, db *sql.DB, worker int) error {
	id, counter := c.ids.take(worker, 1), rand.IntN(counterRows)
	err := immudb.RunTx(ctx, db, nil, func(tx *sql.Tx) error {
		var n int64
		if err := tx.QueryRowContext(ctx, "SELECT n FROM "+c.table+" WHERE id = ?", counter).Scan(&n); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "UPDATE "+c.table+" SET n = ? WHERE id = ?", n+1, counter); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "INSERT INTO "+c.table+"_steps (id, counter, n) VALUES (?, ?, ?)", id, counter, n+1)
		return err
	})
	c.steps.note(id, fateOf(err))
	return err
}

func (c *counters) judge(ctx context.Context, db *sql.DB) ([]string, error) {
	steps, reached := map[int64]int{}, map[int64]map[int64]int{}
	var id, counter, n int64
	err := each(ctx, db, func() {
		steps[id]++
		if reached[counter] == nil {
			reached[counter] = map[int64]int{}
		}
		reached[counter][n]++
	}, "SELECT id, counter, n FROM "+c.table+"_steps", &id, &counter, &n)
	if err != nil {
		return nil, err
	}
	v := violations(c.steps.judge(steps))
	err = each(ctx, db, func() {
		for step := range n {
			if times := reached[id][step+1]; times != 1 {
				v.addf("counter %d was counted to %d by %d transactions", id, step+1, times)
				return
			}
		}
		if more := int64(len(reached[id])) - n; more != 0 {
			v.addf("counter %d is %d, with %d steps more", id, n, more)
		}
	}, "SELECT id, n FROM "+c.table, &id, &n)
	return v, err
}

// snapshots reads a table as a whole, twice in each transaction, while one worker moves values between its rows.
type snapshots struct {
	table string
	seen  seen
}

// One message of the server holds 2,048 rows.
const snapshotRows, snapshotValue = 2300, 10

func newSnapshots(table string, _ int) work { return &snapshots{table: table} }

func (s *snapshots) prepare(ctx context.Context, db *sql.DB) error {
	if err := createTable(ctx, db, s.table, "id INTEGER, v INTEGER, PRIMARY KEY id"); err != nil {
		return err
	}
	_, err := immudb.CopyFrom(ctx, db, s.table, nil, numbered(0, snapshotRows, snapshotValue), nil)
	return err
}

func (s *snapshots) do(ctx context.Context, db *sql.DB, worker int) error {
	if worker == 0 {
		return s.change(ctx, db)
	}
	tx, err := db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // it has changed nothing
	first, err := s.read(ctx, tx)
	if err != nil {
		return err
	}
	second, err := s.read(ctx, tx)
	if err != nil {
		return err
	}
	if first != second {
		s.seen.addf("snapshot", "two reads of a transaction differ")
	}
	return tx.Commit()
}

// read returns a sum that depends on every row's value.
func (s *snapshots) read(ctx context.Context, db querier) (check int64, err error) {
	var id, v, rows, sum int64
	err = each(ctx, db, func() {
		rows++
		sum += v
		check += (id + 1) * v
	}, "SELECT id, v FROM "+s.table, &id, &v)
	if err == nil && (rows != snapshotRows || sum != snapshotRows*snapshotValue) {
		s.seen.addf("rows truncated or torn", "%d rows with the sum %d and no error, not %d and %d",
			rows, sum, snapshotRows, snapshotRows*snapshotValue)
	}
	return check, err
}

// change moves one from a row to another.
func (s *snapshots) change(ctx context.Context, db *sql.DB) error {
	from, to := rand.IntN(snapshotRows/2), snapshotRows/2+rand.IntN(snapshotRows/2)
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // does nothing after Commit
	for id, by := range map[int]int{from: -1, to: 1} {
		if _, err := tx.ExecContext(ctx, "UPDATE "+s.table+" SET v = v + ? WHERE id = ?", by, id); err != nil {
			return err
		}
	}
	return tx.Commit()
}

func (s *snapshots) judge(ctx context.Context, db *sql.DB) ([]string, error) {
	if _, err := s.read(ctx, db); err != nil {
		return nil, fmt.Errorf("reading %s: %w", s.table, err)
	}
	return s.seen.violations(), nil
}

// readers begin a read-only transaction, read one number and end it.
type readers struct {
	table string
	seen  seen
}

func newReaders(table string, _ int) work { return &readers{table: table} }

func (r *readers) prepare(ctx context.Context, db *sql.DB) error {
	if err := createTable(ctx, db, r.table, "id INTEGER, v INTEGER, PRIMARY KEY id"); err != nil {
		return err
	}
	_, err := db.ExecContext(ctx, "INSERT INTO "+r.table+" (id, v) VALUES (1, 7)")
	return err
}

func (r *readers) do(ctx context.Context, db *sql.DB, _ int) error {
	tx, err := db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // it has changed nothing
	var v int64
	if err := tx.QueryRowContext(ctx, "SELECT v FROM "+r.table+" WHERE id = 1").Scan(&v); err != nil {
		return err
	}
	if v != 7 {
		r.seen.addf("wrong value", "%d, not 7", v)
	}
	return tx.Commit()
}

func (r *readers) judge(context.Context, *sql.DB) ([]string, error) { return r.seen.violations(), nil }
