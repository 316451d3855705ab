package main

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"sync"
	"time"
)

// pointQuery reads two columns of one row by its primary key.
const pointQuery = "SELECT name, balance FROM accounts WHERE id = $1"

// pointID is the key that the i-th query reads: all over the table, in no order.
func (s scale) pointID(i int) int64 { return int64(i*7919) % int64(s.Accounts) }

type pointRow struct {
	name    string
	balance float64
}

func pointAdhoc(_ context.Context, e *env) (*task, error) {
	db, err := e.open()
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	return &task{close: db.Close, run: func(ctx context.Context, n int) (int, error) {
		var r pointRow
		for i := range n {
			if err := db.QueryRowContext(ctx, pointQuery, e.Scale.pointID(i)).Scan(&r.name, &r.balance); err != nil {
				return i, err
			}
		}
		return n, nil
	}}, nil
}

func pointPrepared(ctx context.Context, e *env) (*task, error) {
	db, err := e.open()
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	t := &task{close: db.Close}
	st, err := db.PrepareContext(ctx, pointQuery)
	if err != nil {
		_ = db.Close() // the error to tell is the other
		return nil, fmt.Errorf("prepare: %w", err)
	}
	t.run = func(ctx context.Context, n int) (int, error) {
		var r pointRow
		for i := range n {
			if err := st.QueryRowContext(ctx, e.Scale.pointID(i)).Scan(&r.name, &r.balance); err != nil {
				return i, err
			}
		}
		return n, nil
	}
	return t, nil
}

func pointParallel(_ context.Context, e *env) (*task, error) {
	db, err := e.open()
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(goroutines)
	db.SetMaxIdleConns(goroutines)
	return &task{close: db.Close, run: func(ctx context.Context, n int) (int, error) {
		return n, inParallel(n, func(i int) error {
			var r pointRow
			return db.QueryRowContext(ctx, pointQuery, e.Scale.pointID(i)).Scan(&r.name, &r.balance)
		})
	}}, nil
}

// inParallel does n operations on 32 goroutines, each the same number, and returns the first error.
func inParallel(n int, do func(i int) error) error {
	errs := make([]error, goroutines)
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for i := g; i < n && errs[g] == nil; i += goroutines {
				errs[g] = do(i)
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

const scanQuery = "SELECT id, name, balance, active, created, token, ref FROM accounts"

// unionQuery yields the rows of accounts as often as s says, in one result.
func (s scale) unionQuery() string {
	return scanQuery + strings.Repeat(" UNION ALL "+scanQuery, s.Unions-1)
}

type account struct {
	id      int64
	name    string
	balance float64
	active  bool
	created time.Time
	token   []byte
	ref     string
}

func scanAccounts(_ context.Context, e *env) (*task, error) {
	return scanTask(e, scanQuery, e.Scale.Accounts, accountScanner())
}

func scanUnion(_ context.Context, e *env) (*task, error) {
	return scanTask(e, e.Scale.unionQuery(), e.Scale.Accounts*e.Scale.Unions, accountScanner())
}

func scanDocuments(_ context.Context, e *env) (*task, error) {
	var id int64
	var body string
	return scanTask(e, documentQuery, e.Scale.Documents, func(rows *sql.Rows) error {
		if err := rows.Scan(&id, &body); err != nil {
			return err
		}
		if len(body) != 3000 {
			return fmt.Errorf("document %d has %d bytes", id, len(body))
		}
		return nil
	})
}

const documentQuery = "SELECT id, body FROM documents"

func accountScanner() func(*sql.Rows) error {
	var a account
	return func(rows *sql.Rows) error {
		return rows.Scan(&a.id, &a.name, &a.balance, &a.active, &a.created, &a.token, &a.ref)
	}
}

// scanTask reads the rows of a query, of which there must be want. An operation is a row.
func scanTask(e *env, query string, want int, scan func(*sql.Rows) error) (*task, error) {
	db, err := e.open()
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	return &task{close: db.Close, run: func(ctx context.Context, n int) (total int, err error) {
		for range n {
			got, err := scanRows(ctx, db, query, scan)
			total += got
			if err == nil && got != want {
				err = fmt.Errorf("the query gave %d rows of %d", got, want)
			}
			if err != nil {
				return total, err
			}
		}
		return total, nil
	}}, nil
}

func scanRows(ctx context.Context, db *sql.DB, query string, scan func(*sql.Rows) error) (n int, err error) {
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return n, err
		}
		n++
	}
	return n, rows.Err()
}

// burstQueries is how many each goroutine of a burst makes.
const burstQueries = 20

// burst is a service after idle time: many goroutines use a sql.DB with default settings, which keeps two idle connections.
func burst(_ context.Context, e *env) (*task, error) {
	return &task{run: func(ctx context.Context, n int) (int, error) {
		for i := range n {
			db, err := e.open()
			if err != nil {
				return i, err
			}
			err = inParallel(goroutines*burstQueries, func(i int) error {
				var r pointRow
				return db.QueryRowContext(ctx, pointQuery, e.Scale.pointID(i)).Scan(&r.name, &r.balance)
			})
			if err := db.Close(); err != nil {
				return i, err
			}
			if err != nil {
				return i, err
			}
		}
		return n, nil
	}}, nil
}

// firstQuery is a program that makes one query and ends.
func firstQuery(_ context.Context, e *env) (*task, error) {
	return &task{run: func(ctx context.Context, n int) (int, error) {
		for i := range n {
			db, err := e.open()
			if err != nil {
				return i, err
			}
			var r pointRow
			err = db.QueryRowContext(ctx, pointQuery, e.Scale.pointID(i)).Scan(&r.name, &r.balance)
			if err := db.Close(); err != nil {
				return i, err
			}
			if err != nil {
				return i, err
			}
		}
		return n, nil
	}}, nil
}
