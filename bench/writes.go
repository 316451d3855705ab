package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// insertQuery writes a row whose key the server generates.
const insertQuery = "INSERT INTO ledger (account, amount, note) VALUES ($1, $2, $3)"

func insertArgs(i int) []any { return []any{int64(i % 1000), float64(i) / 4, "transfer"} }

func insert(_ context.Context, e *env) (*task, error) {
	db, err := e.open()
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	return &task{close: db.Close, run: func(ctx context.Context, n int) (int, error) {
		for i := range n {
			if _, err := db.ExecContext(ctx, insertQuery, insertArgs(i)...); err != nil {
				return i, err
			}
		}
		return n, nil
	}}, nil
}

// txRows is how many rows each transaction writes.
const txRows = 10

// txInserts writes transactions and asks each statement how many rows it wrote and which key was generated.
func txInserts(_ context.Context, e *env) (*task, error) {
	db, err := e.open()
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	var rows, keys, want int64
	t := &task{close: db.Close}
	t.run = func(ctx context.Context, n int) (int, error) {
		for i := range n {
			tx, err := db.BeginTx(ctx, nil)
			if err != nil {
				return i, err
			}
			for range txRows {
				res, err := tx.ExecContext(ctx, insertQuery, insertArgs(i)...)
				if err != nil {
					_ = tx.Rollback() // the error to tell is the other
					return i, err
				}
				want++
				if n, err := res.RowsAffected(); err == nil {
					rows += n
				}
				if _, err := res.LastInsertId(); err == nil {
					keys++
				}
			}
			if err := tx.Commit(); err != nil {
				return i, err
			}
		}
		return n, nil
	}
	t.note = func() string {
		if rows == want && keys == want {
			return "RowsAffected and LastInsertId of every statement"
		}
		return fmt.Sprintf("RowsAffected told %d of %d rows, LastInsertId %d of their keys", rows, want, keys)
	}
	return t, nil
}

// txOfThree runs transactions as a service does: it reads a row and writes two.
func txOfThree(_ context.Context, e *env) (*task, error) {
	db, err := e.open()
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	one := func(ctx context.Context, i int) error {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer tx.Rollback() // after a Commit it does nothing
		var id int64
		if err := tx.QueryRowContext(ctx, smallQuery, int64(1)).Scan(&id); err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		for range 2 {
			if _, err := tx.ExecContext(ctx, insertQuery, insertArgs(i)...); err != nil {
				return err
			}
		}
		return tx.Commit()
	}
	return &task{close: db.Close, run: func(ctx context.Context, n int) (int, error) {
		for i := range n {
			if err := one(ctx, i); err != nil {
				return i, err
			}
		}
		return n, nil
	}}, nil
}

// smallQuery reads a column that pgx can decode.
const smallQuery = "SELECT id FROM ledger WHERE id = $1"

// retriedInserts makes 32 writers insert into one table during the window. Each writer retries an insert that the server
// refused. An operation is an insert that succeeded.
func retriedInserts(_ context.Context, e *env) (*task, error) {
	db, err := e.open()
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(goroutines)
	db.SetMaxIdleConns(goroutines)
	var tries, done atomic.Int64
	t := &task{close: db.Close}
	t.run = writersForWindow(func(ctx context.Context, i int) error {
		for wait := time.Millisecond; ; wait = min(2*wait, 64*time.Millisecond) {
			tries.Add(1)
			_, err := db.ExecContext(ctx, insertQuery, insertArgs(i)...)
			if err == nil {
				done.Add(1)
				return nil
			}
			if !refused(err) {
				return err
			}
			select {
			case <-time.After(rand.N(wait)):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	})
	t.note = func() string {
		return fmt.Sprintf("a retry loop: %.1f tries for each insert", float64(tries.Load())/float64(max(done.Load(), 1)))
	}
	return t, nil
}

// refused reports whether the server refused a write that may succeed in a retry.
func refused(err error) bool {
	return strings.Contains(err.Error(), "conflict") || strings.Contains(err.Error(), "max concurrency limit exceeded")
}

// groupedInserts is the same without the loop: the driver groups the inserts and does the retries.
func groupedInserts(_ context.Context, e *env) (*task, error) {
	db, err := e.open("group_commit=512")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(goroutines)
	db.SetMaxIdleConns(goroutines)
	t := &task{close: db.Close, note: func() string { return "group_commit=512" }}
	t.run = writersForWindow(func(ctx context.Context, i int) error {
		_, err := db.ExecContext(ctx, insertQuery, insertArgs(i)...)
		return err
	})
	return t, nil
}

// writersForWindow runs 32 writers for n nanoseconds. Inserts that are running at the end are waited for and count, with
// their time.
func writersForWindow(write func(ctx context.Context, i int) error) func(context.Context, int) (int, error) {
	return func(ctx context.Context, n int) (int, error) {
		deadline := time.Now().Add(time.Duration(n))
		var done atomic.Int64
		errs := make(chan error, goroutines)
		var wg sync.WaitGroup
		for g := range goroutines {
			wg.Go(func() {
				for i := g; time.Now().Before(deadline); i += goroutines {
					if err := write(ctx, i); err != nil {
						errs <- err
						return
					}
					done.Add(1)
				}
			})
		}
		wg.Wait()
		close(errs)
		return int(done.Load()), <-errs
	}
}
