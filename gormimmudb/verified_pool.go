package gormimmudb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"

	"gorm.io/gorm"
)

var (
	_ gorm.ConnPool         = provingPool{}
	_ gorm.ConnPoolBeginner = provingPool{}
	_ gorm.GetDBConnector   = provingPool{}
)

// provingPool stands for the connections of a statement that hands back only what is
// proven. Proofs ask for the *sql.DB behind it; the server's own rows, which have no
// proof, are refused, whatever asks for them.
type provingPool struct{ of gorm.ConnPool }

var errServersRows = unprovable("the server's own rows and writes; use Find")

// GetDBConn is what gorm's DB method asks.
func (p provingPool) GetDBConn() (*sql.DB, error) {
	switch of := p.of.(type) {
	case *sql.DB:
		return of, nil
	case gorm.GetDBConnector:
		return of.GetDBConn()
	}
	return nil, gorm.ErrInvalidDB
}

func (provingPool) BeginTx(context.Context, *sql.TxOptions) (gorm.ConnPool, error) {
	return nil, errProofInTx
}

func (provingPool) PrepareContext(context.Context, string) (*sql.Stmt, error) {
	return nil, errServersRows
}

func (provingPool) ExecContext(context.Context, string, ...any) (sql.Result, error) {
	return nil, errServersRows
}

func (provingPool) QueryContext(context.Context, string, ...any) (*sql.Rows, error) {
	return nil, errServersRows
}

func (provingPool) QueryRowContext(context.Context, string, ...any) *sql.Row {
	return rowOf(errServersRows)
}

// answerRow gives gorm's Row a row whose Scan returns the error of a statement that was
// refused: gorm itself answers nil, on which Scan panics.
func answerRow(db *gorm.DB) {
	if rows, _ := db.Get("rows"); rows == true || db.Error == nil {
		return
	}
	if row, ok := db.Statement.Dest.(*sql.Row); !ok || row == nil {
		db.Statement.Dest = rowOf(db.Error)
	}
}

// rowOf makes a row whose Scan returns an error.
func rowOf(err error) *sql.Row {
	db := sql.OpenDB(noRow{err})
	defer db.Close()
	return db.QueryRow("")
}

// noRow is a database that cannot be reached.
type noRow struct{ err error }

func (n noRow) Connect(context.Context) (driver.Conn, error) { return nil, n.err }
func (n noRow) Driver() driver.Driver                        { return n }
func (n noRow) Open(string) (driver.Conn, error) {
	return nil, fmt.Errorf("gormimmudb: no row: %w", n.err)
}
