package faulttest

import (
	"context"
	"database/sql"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/immudb-go/immudb"
)

// HostsWorkloads are the workloads of the matrix of several hosts. Each has a sql.DB whose DSN names all hosts.
var HostsWorkloads = []*Workload{
	{Name: "inserts", Workers: 4, Retried: true, make: newWrites,
		About: "INSERT of keys that occur once and UPDATE … SET n = n + 1, outside transactions."},
	{Name: "proven", Workers: 2, Retried: true, make: newWrites, Options: []string{"verify=trust-first-use,commits"},
		About: "The same with verify=trust-first-use,commits."},
	{Name: "spread", Long: true, Workers: 2, Retried: true, make: newWrites, Options: []string{"target_session_attrs=read-write", "load_balance_hosts=random"},
		About: "The same as inserts with load_balance_hosts=random."},
	{Name: "reports", Workers: 2, Retried: true, make: newReports, Options: []string{"target_session_attrs=prefer-standby"},
		About: "Read-only transactions (RunTx) with target_session_attrs=prefer-standby, of rows that never change."},
	{Name: "standby", Long: true, Workers: 2, Retried: true, make: newReports, Options: []string{"target_session_attrs=standby"},
		About: "The same with target_session_attrs=standby; not where no replica is left."},
	{Name: "any", Long: true, Workers: 2, Retried: true, make: newWrites, Options: []string{"target_session_attrs=any"},
		About: "The same as inserts with target_session_attrs=any, which uses the first host that there is; not where an old primary comes back, which it would use."},
	{Name: "transfers", Workers: 4, Retried: true, make: newTransfers, Options: []string{"read_routing=replica"},
		About: "RunTx that transfers money between 16 accounts, and read-only transactions that check the total (read_routing=replica)."},
	{Name: "floors", Workers: 4, Programs: 2, Retried: true, make: newFloors, Options: []string{"read_routing=replica"},
		About: "Two programs with read_routing=replica: one writes increasing values and reads them, the other one only reads. " +
			"No read may be older than what its program has written or read before."},
}

func newTransfers(table string, _ int) work {
	return &bank{table: table, moves: newLedger(), runTx: true}
}

// floors are rows with increasing values. Worker w uses program w%2; those of program 0 write a row each.
type floors struct {
	table  string
	mu     sync.Mutex
	next   []int64 // by row: the highest value that was sent
	acked  []int64
	floors [2][]int64 // by program and row: the highest value written or read
	turn   []int
	seen   seen
	exposure
}

func newFloors(table string, workers int) work {
	rows := (workers + 1) / 2
	return &floors{table: table, next: make([]int64, rows), acked: make([]int64, rows),
		floors: [2][]int64{make([]int64, rows), make([]int64, rows)}, turn: make([]int, workers)}
}

func (f *floors) prepare(ctx context.Context, db *sql.DB) error {
	if err := createTable(ctx, db, f.table, "id INTEGER, v INTEGER, PRIMARY KEY id"); err != nil {
		return err
	}
	for id := range f.next {
		if _, err := db.ExecContext(ctx, "INSERT INTO "+f.table+" (id, v) VALUES (?, 0)", id); err != nil {
			return err
		}
	}
	return nil
}

func (f *floors) do(ctx context.Context, db *sql.DB, worker int) error {
	f.turn[worker]++ // a worker has one goroutine
	if worker%2 == 0 && f.turn[worker]%4 == 1 && !f.quiet.Load() {
		return f.write(ctx, db, worker/2)
	}
	return f.read(ctx, db, worker%2, rand.IntN(len(f.next)), f.turn[worker]%4 == 2)
}

func (f *floors) write(ctx context.Context, db *sql.DB, row int) error {
	epoch := f.epoch()
	f.mu.Lock()
	f.next[row]++
	v := f.next[row]
	f.mu.Unlock()
	_, err := db.ExecContext(ctx, "UPDATE "+f.table+" SET v = ? WHERE id = ?", v, row)
	if f.fate(err, epoch) == acked {
		f.mu.Lock()
		f.acked[row] = v
		f.floors[0][row] = max(f.floors[0][row], v)
		f.mu.Unlock()
	}
	return err
}

func (f *floors) read(ctx context.Context, db *sql.DB, program, row int, inTx bool) error {
	epoch := f.epoch()
	f.mu.Lock()
	floor := f.floors[program][row]
	f.mu.Unlock()
	v, err := f.value(ctx, db, row, inTx)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if v < floor {
		f.seen.addf("read older than the floor", "program %d reads %d in row %d, and had seen %d", program, v, row, floor)
	}
	if v > f.next[row] {
		f.seen.addf("read of a value that was not written", "%d in row %d, where %d is the last", v, row, f.next[row])
	}
	if f.safe(epoch) {
		f.floors[program][row] = max(f.floors[program][row], v)
	}
	return nil
}

func (f *floors) value(ctx context.Context, db *sql.DB, row int, inTx bool) (v int64, err error) {
	query := "SELECT v FROM " + f.table + " WHERE id = ?"
	if !inTx {
		err = db.QueryRowContext(ctx, query, row).Scan(&v)
		return v, err
	}
	err = immudb.RunTx(ctx, db, &sql.TxOptions{ReadOnly: true}, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, query, row).Scan(&v)
	})
	return v, err
}

func (f *floors) judge(ctx context.Context, db *sql.DB) ([]string, error) {
	v := f.seen.violations()
	found := make([]int64, len(f.next))
	var id, value int64
	err := each(ctx, db, func() { found[id] = value }, "SELECT id, v FROM "+f.table, &id, &value)
	for row, got := range found {
		if low, high := slices.Max([]int64{f.acked[row], f.floors[0][row], f.floors[1][row]}), f.next[row]; got < low || got > high {
			v.addf("row %d holds %d at the end, not %d to %d", row, got, low, high)
		}
	}
	return v, err
}
