package gormimmudb

import (
	"database/sql"

	"gorm.io/gorm"
)

var (
	_ gorm.ConnPool       = (*pool)(nil)
	_ gorm.TxBeginner     = (*pool)(nil)
	_ gorm.GetDBConnector = (*pool)(nil)
)

// pool is a *sql.DB that knows the name of its database.
type pool struct {
	*sql.DB
	database string // "" when the *sql.DB was handed over
}

// GetDBConn is what gorm's DB method asks.
func (p *pool) GetDBConn() (*sql.DB, error) { return p.DB, nil }

// SavePoint makes a savepoint in the transaction.
func (d *Dialector) SavePoint(tx *gorm.DB, name string) error {
	return control(tx, "SAVEPOINT "+name)
}

// RollbackTo returns to a savepoint, also after a statement that failed. If it fails,
// the transaction cannot be committed: what should have been undone never is. An error
// that matches [immudb.ErrConflict] says that another client has changed what the
// transaction read; then the whole of it can be run again.
func (d *Dialector) RollbackTo(tx *gorm.DB, name string) error {
	return control(tx, "ROLLBACK TO SAVEPOINT "+name)
}

// control runs a statement that has no part in gorm's own errors: a transaction with an
// error returns to a savepoint just because of it.
func control(tx *gorm.DB, statement string) error {
	if tx.DryRun {
		return nil
	}
	_, err := tx.Statement.ConnPool.ExecContext(tx.Statement.Context, statement)
	return err
}
