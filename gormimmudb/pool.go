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
	database string // "" if the caller passed the *sql.DB
}

// GetDBConn returns the *sql.DB; gorm's DB method calls it.
func (p *pool) GetDBConn() (*sql.DB, error) { return p.DB, nil }

// SavePoint makes a savepoint in the transaction.
func (d *Dialector) SavePoint(tx *gorm.DB, name string) error {
	return control(tx, "SAVEPOINT "+name)
}

// RollbackTo rolls back to a savepoint, also after a failed statement. If it fails, the
// transaction cannot be committed, so that no statement that should be undone is
// committed. An error that matches [immudb.ErrConflict] means that another client has
// changed rows that the transaction read; then run the whole transaction again.
func (d *Dialector) RollbackTo(tx *gorm.DB, name string) error {
	return control(tx, "ROLLBACK TO SAVEPOINT "+name)
}

// control runs a statement although gorm's transaction has an error: that error is the
// reason to roll back to a savepoint.
func control(tx *gorm.DB, statement string) error {
	if tx.DryRun {
		return nil
	}
	_, err := tx.Statement.ConnPool.ExecContext(tx.Statement.Context, statement)
	return err
}
