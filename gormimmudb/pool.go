package gormimmudb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"gorm.io/gorm"

	"github.com/immudb-go/immudb"
)

var (
	_ gorm.ConnPool         = (*pool)(nil)
	_ gorm.ConnPoolBeginner = (*pool)(nil)
	_ gorm.GetDBConnector   = (*pool)(nil)
	_ gorm.Tx               = (*transaction)(nil)
	_ gorm.GetDBConnector   = (*transaction)(nil)
)

// pool is a *sql.DB whose transactions keep account of their savepoints.
type pool struct {
	*sql.DB
	database string // its name, or "" when the *sql.DB was handed over
}

// BeginTx begins a transaction.
func (p *pool) BeginTx(ctx context.Context, opts *sql.TxOptions) (gorm.ConnPool, error) {
	tx, err := p.DB.BeginTx(ctx, opts)
	if err != nil {
		return nil, err
	}
	return &transaction{Tx: tx, pool: p}, nil
}

// GetDBConn is what gorm's DB method asks.
func (p *pool) GetDBConn() (*sql.DB, error) { return p.DB, nil }

// transaction is a *sql.Tx that knows whether anything was written since a
// savepoint.
type transaction struct {
	*sql.Tx
	pool *pool

	written    int            // counts what may have written
	savepoints map[string]int // written at the time of each
	undone     error          // why the transaction was rolled back before its end, or nil
}

func (t *transaction) GetDBConn() (*sql.DB, error) { return t.pool.DB, nil }

func (t *transaction) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if t.undone != nil {
		return nil, t.undone
	}
	t.written++
	return t.Tx.ExecContext(ctx, query, args...)
}

func (t *transaction) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if t.undone != nil {
		return nil, t.undone
	}
	if !reads(query) {
		t.written++
	}
	return t.Tx.QueryContext(ctx, query, args...)
}

func (t *transaction) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	if !reads(query) {
		t.written++
	}
	return t.Tx.QueryRowContext(ctx, query, args...)
}

// StmtContext returns the statement for use in the transaction. What it does is
// not known here, so that it counts as a write.
func (t *transaction) StmtContext(ctx context.Context, stmt *sql.Stmt) *sql.Stmt {
	t.written++
	return t.Tx.StmtContext(ctx, stmt)
}

func (t *transaction) Commit() error {
	if t.undone != nil {
		return t.undone
	}
	return t.Tx.Commit()
}

func (t *transaction) Rollback() error {
	if t.undone != nil {
		return nil
	}
	return t.Tx.Rollback()
}

// reads reports whether a text is a single query.
func reads(query string) bool {
	word, _, _ := strings.Cut(strings.TrimSpace(query), " ")
	return strings.EqualFold(word, "SELECT") && !strings.Contains(query, ";")
}

// SavePoint marks a place in the transaction. The server has no savepoints (it
// accepts the statement and undoes nothing), so nothing is sent.
func (d *Dialector) SavePoint(tx *gorm.DB, name string) error {
	t, ok := tx.Statement.ConnPool.(*transaction)
	if !ok {
		return noSavepoints("the transaction was not begun by gormimmudb")
	}
	if t.undone != nil {
		return t.undone
	}
	if t.savepoints == nil {
		t.savepoints = make(map[string]int)
	}
	t.savepoints[name] = t.written
	return nil
}

// RollbackTo goes back to a savepoint. If nothing was written since, there is
// nothing to do. Otherwise the whole transaction is rolled back, because the
// server cannot undo a part of it: every later statement in it, and its Commit,
// fail with an error that wraps gorm.ErrUnsupportedDriver and says so. What should
// have been undone is never committed.
func (d *Dialector) RollbackTo(tx *gorm.DB, name string) error {
	t, ok := tx.Statement.ConnPool.(*transaction)
	if !ok {
		return noSavepoints("the transaction was not begun by gormimmudb")
	}
	if t.undone != nil {
		return t.undone
	}
	at, ok := t.savepoints[name]
	if !ok {
		return fmt.Errorf("gormimmudb: there is no savepoint %s in this transaction", name)
	}
	if at == t.written {
		return nil
	}
	t.undone = noSavepoints("a nested transaction failed after it had written, and the whole transaction was rolled back with it; " +
		"run what may have to be undone in a transaction of its own")
	if err := t.Tx.Rollback(); err != nil && !errors.Is(err, sql.ErrTxDone) {
		return errors.Join(t.undone, err)
	}
	return t.undone
}

func noSavepoints(why string) error {
	return fmt.Errorf("gormimmudb: %w, %w: the server cannot undo a part of a transaction: %s",
		gorm.ErrUnsupportedDriver, immudb.ErrUnsupported, why)
}
