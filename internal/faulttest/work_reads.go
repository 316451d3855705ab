package faulttest

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
)

// ownWrites writes a row and reads it back. Each worker has its own row, so it must read its last write, or a write of
// unknown outcome, which may take effect at any time.
type ownWrites struct {
	table string
	seen  seen
	mu    sync.Mutex
	rows  map[int]*ownRow
}

type ownRow struct {
	next, acked int64
	unknown     []int64
}

func newOwnWrites(table string, _ int) work {
	return &ownWrites{table: table, rows: map[int]*ownRow{}}
}

func (o *ownWrites) prepare(ctx context.Context, db *sql.DB) error {
	return createTable(ctx, db, o.table, "worker INTEGER, v INTEGER, PRIMARY KEY worker")
}

// row returns the worker's row, which no other worker uses.
func (o *ownWrites) row(worker int) *ownRow {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.rows[worker] == nil {
		o.rows[worker] = &ownRow{}
	}
	return o.rows[worker]
}

func (o *ownWrites) do(ctx context.Context, db *sql.DB, worker int) error {
	row := o.row(worker)
	row.next++
	_, err := db.ExecContext(ctx, "UPSERT INTO "+o.table+" (worker, v) VALUES (?, ?)", worker, row.next)
	switch fateOf(err) {
	case acked:
		row.acked = row.next
	case unknown:
		row.unknown = append(row.unknown, row.next)
	}
	if err != nil {
		return err
	}
	return o.look(ctx, db, worker, row)
}

// look reads a worker's row and compares it with the worker's writes.
func (o *ownWrites) look(ctx context.Context, db *sql.DB, worker int, row *ownRow) error {
	var v int64
	err := db.QueryRowContext(ctx, "SELECT v FROM "+o.table+" WHERE worker = ?", worker).Scan(&v)
	if err == sql.ErrNoRows {
		v, err = 0, nil
	}
	if err == nil && v != row.acked && !slices.Contains(row.unknown, v) {
		o.seen.addf("own write not read", "worker %d wrote %d and reads %d", worker, row.acked, v)
	}
	return err
}

func (o *ownWrites) judge(ctx context.Context, db *sql.DB) ([]string, error) {
	for worker, row := range o.rows {
		if err := o.look(ctx, db, worker, row); err != nil {
			return nil, err
		}
	}
	return o.seen.violations(), nil
}

// registers are rows that all workers read and write. porcupine searches an order of all calls, each at a moment between
// its beginning and its end, that explains every value read.
type registers struct {
	table   string
	began   time.Time
	mu      sync.Mutex
	next    int64
	history []porcupine.Operation
}

const registerRows = 16

// access is one call: a write of a value that no other call writes, or a read.
type access struct {
	register int
	write    bool
	value    int64
}

// registerModel is one register, of which there are many in a history: they are checked one by one.
var registerModel = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		parts := make([][]porcupine.Operation, registerRows)
		for _, op := range history {
			r := op.Input.(access).register
			parts[r] = append(parts[r], op)
		}
		return parts
	},
	Init: func() any { return int64(0) },
	Step: func(state, input, output any) (bool, any) {
		a := input.(access)
		if a.write {
			return true, a.value
		}
		return output == state, state
	},
}

func newRegisters(table string, _ int) work { return &registers{table: table, began: time.Now()} }

func (r *registers) prepare(ctx context.Context, db *sql.DB) error {
	if err := createTable(ctx, db, r.table, "id INTEGER, v INTEGER, PRIMARY KEY id"); err != nil {
		return err
	}
	for id := range registerRows {
		if _, err := db.ExecContext(ctx, "INSERT INTO "+r.table+" (id, v) VALUES (?, 0)", id); err != nil {
			return err
		}
	}
	return nil
}

func (r *registers) do(ctx context.Context, db *sql.DB, worker int) error {
	register := rand.IntN(registerRows)
	if rand.IntN(2) == 0 {
		return r.read(ctx, db, worker, register)
	}
	a := access{register: register, write: true, value: r.value()}
	call := r.now()
	_, err := db.ExecContext(ctx, "UPSERT INTO "+r.table+" (id, v) VALUES (?, ?)", register, a.value)
	switch fateOf(err) {
	case acked:
		r.add(worker, a, call, r.now())
	case unknown: // it takes effect at any time from its beginning on, or after all others
		r.add(worker, a, call, math.MaxInt64)
	}
	return err
}

func (r *registers) read(ctx context.Context, db *sql.DB, worker, register int) error {
	call := r.now()
	var v int64
	err := db.QueryRowContext(ctx, "SELECT v FROM "+r.table+" WHERE id = ?", register).Scan(&v)
	if err == nil {
		r.add(worker, access{register: register, value: v}, call, r.now())
	}
	return err
}

func (r *registers) now() int64 { return int64(time.Since(r.began)) }

func (r *registers) value() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.next++
	return r.next
}

func (r *registers) add(worker int, a access, call, end int64) {
	op := porcupine.Operation{ClientId: worker, Input: a, Output: a.value, Call: call, Return: end}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.history = append(r.history, op)
}

// orderPatience bounds the search for an order. A history whose search takes longer is a failure.
const orderPatience = time.Minute

func (r *registers) judge(ctx context.Context, db *sql.DB) ([]string, error) {
	for register := range registerRows {
		if err := r.read(ctx, db, -1, register); err != nil {
			return nil, err
		}
	}
	switch result := porcupine.CheckOperationsTimeout(registerModel, r.history, orderPatience); result {
	case porcupine.Ok:
		return nil, nil
	case porcupine.Illegal:
		return []string{fmt.Sprintf("the history of %d calls is not linearizable", len(r.history))}, nil
	default:
		return []string{fmt.Sprintf("no order of %d calls was found within %v", len(r.history), orderPatience)}, nil
	}
}
