package faulttest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"

	"github.com/immudb-go/immudb"
)

// writes are statements outside transactions. Rows with unique keys show writes that were lost or that contradict their
// results; counters show writes that ran twice.
type writes struct {
	table  string
	ids    ids
	rows   *ledger
	counts counts
	seen   seen
	mu     sync.Mutex
	turn   map[int]int
	exposure
}

func newWrites(table string, workers int) work {
	return &writes{table: table, rows: newLedger(), counts: newCounts(workers), turn: map[int]int{}}
}

func (w *writes) prepare(ctx context.Context, db *sql.DB) error {
	if err := createTable(ctx, db, w.table, "id INTEGER, worker INTEGER, PRIMARY KEY id"); err != nil {
		return err
	}
	return w.counts.prepare(ctx, db, w.table+"_n")
}

// odd is true for every other operation of a worker.
func (w *writes) odd(worker int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.turn[worker]++
	return w.turn[worker]%2 == 1
}

func (w *writes) do(ctx context.Context, db *sql.DB, worker int) error {
	w.hold(ctx)
	if w.odd(worker) {
		return w.counts.up(ctx, db, w.table+"_n", worker, &w.seen, &w.exposure)
	}
	return w.insert(ctx, db, worker)
}

func (w *writes) insert(ctx context.Context, db *sql.DB, worker int) error {
	id, epoch := w.ids.take(worker, 1), w.epoch()
	res, err := db.ExecContext(ctx, "INSERT INTO "+w.table+" (id, worker) VALUES (?, ?)", id, worker)
	w.rows.note(id, w.fate(err, epoch))
	if err == nil {
		if n, err := res.RowsAffected(); n != 1 || err != nil {
			w.seen.addf("rows affected", "an INSERT of one row says %d, %v", n, err)
		}
	}
	return err
}

func (w *writes) judge(ctx context.Context, db *sql.DB) ([]string, error) {
	rows, err := countRows(ctx, db, "SELECT id FROM "+w.table)
	if err != nil {
		return nil, err
	}
	v := append(w.seen.violations(), w.rows.judge(rows)...)
	counted, err := w.counts.judge(ctx, db, w.table+"_n")
	return append(v, counted...), err
}

// countRows returns how often each id is in the only column of a query's result.
func countRows(ctx context.Context, db *sql.DB, query string) (map[int64]int, error) {
	rows := map[int64]int{}
	var id int64
	err := each(ctx, db, func() { rows[id]++ }, query, &id)
	return rows, err
}

// counts are counters; each worker increments its own.
type counts struct {
	mu             sync.Mutex
	acked, unknown []int64 // by worker
}

func newCounts(workers int) counts {
	return counts{acked: make([]int64, workers), unknown: make([]int64, workers)}
}

func (c *counts) prepare(ctx context.Context, db *sql.DB, table string) error {
	if err := createTable(ctx, db, table, "worker INTEGER, n INTEGER, PRIMARY KEY worker"); err != nil {
		return err
	}
	for worker := range c.acked {
		if _, err := db.ExecContext(ctx, "INSERT INTO "+table+" (worker, n) VALUES (?, 0)", worker); err != nil {
			return err
		}
	}
	return nil
}

func (c *counts) up(ctx context.Context, db *sql.DB, table string, worker int, s *seen, e *exposure) error {
	epoch := e.epoch()
	res, err := db.ExecContext(ctx, "UPDATE "+table+" SET n = n + 1 WHERE worker = ?", worker)
	c.mu.Lock()
	switch e.fate(err, epoch) {
	case acked:
		c.acked[worker]++
	case unknown:
		c.unknown[worker]++
	}
	c.mu.Unlock()
	if err == nil {
		if n, err := res.RowsAffected(); n != 1 || err != nil {
			s.addf("rows affected", "an UPDATE of one row says %d, %v", n, err)
		}
	}
	return err
}

func (c *counts) judge(ctx context.Context, db *sql.DB, table string) ([]string, error) {
	var v violations
	var worker, n int64
	rows := 0
	err := each(ctx, db, func() {
		rows++
		if worker < 0 || worker >= int64(len(c.acked)) {
			v.addf("a counter of a worker %d, which does not exist", worker)
			return
		}
		if low, high := c.acked[worker], c.acked[worker]+c.unknown[worker]; n < low || n > high {
			v.addf("counter %d is %d, and %d to %d updates were made", worker, n, low, high)
		}
	}, "SELECT worker, n FROM "+table, &worker, &n)
	if err == nil && rows != len(c.acked) {
		v.addf("%d counters, not %d", rows, len(c.acked))
	}
	return v, err
}

// returning inserts rows with RETURNING of their keys. With generated the server generates the keys, so that a row that is
// written twice exists twice.
type returning struct {
	table     string
	generated bool
	ids       ids
	rows      *ledger
	mu        sync.Mutex
	keys      map[int64]int64 // the returned keys, by row
}

func newReturning(table string, _ int) work {
	return &returning{table: table, rows: newLedger(), keys: map[int64]int64{}}
}

func newGenerated(table string, _ int) work {
	return &returning{table: table, generated: true, rows: newLedger(), keys: map[int64]int64{}}
}

func (r *returning) prepare(ctx context.Context, db *sql.DB) error {
	if r.generated {
		return createTable(ctx, db, r.table, "id INTEGER AUTO_INCREMENT, row INTEGER, PRIMARY KEY id")
	}
	return createTable(ctx, db, r.table, "id INTEGER, row INTEGER, PRIMARY KEY id")
}

func (r *returning) do(ctx context.Context, db *sql.DB, worker int) error {
	row := r.ids.take(worker, 1)
	query, args := "INSERT INTO "+r.table+" (row, id) VALUES (?, ?) RETURNING id", []any{row, row}
	if r.generated {
		query, args = "INSERT INTO "+r.table+" (row) VALUES (?) RETURNING id", args[:1]
	}
	var key int64
	err := db.QueryRowContext(ctx, query, args...).Scan(&key)
	if isContext(err) && fateOf(err) == failed {
		// database/sql returns this error also if the context ends between the driver's answer and Scan.
		err = fmt.Errorf("%w: %w", immudb.ErrOutcomeUnknown, err)
	}
	r.rows.note(row, fateOf(err))
	if err == nil {
		r.mu.Lock()
		r.keys[row] = key
		r.mu.Unlock()
	}
	return err
}

// isContext reports whether an error is only the end of a context.
func isContext(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

func (r *returning) judge(ctx context.Context, db *sql.DB) ([]string, error) {
	rows := map[int64]int{}
	var wrong []int64
	var id, row int64
	err := each(ctx, db, func() {
		rows[row]++
		if told, ok := r.keys[row]; ok && told != id {
			wrong = append(wrong, row)
		}
	}, "SELECT id, row FROM "+r.table, &id, &row)
	v := violations(r.rows.judge(rows))
	v.ids(wrong, "rows have another key than RETURNING said")
	return v, err
}
