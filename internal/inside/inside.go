// Package inside gives the modules of this tree what they need of package immudb and it
// does not export. That package sets the variables when the program starts; nothing else does.
package inside

import (
	"context"
	"database/sql"
	"database/sql/driver"

	"github.com/immudb-go/immudb/internal/proof"
	"github.com/immudb-go/immudb/internal/trust"
)

var (
	// Prove calls f with the prover of a connection of db, once more if another host must be
	// asked. Its errors are those of package immudb.
	Prove func(ctx context.Context, db *sql.DB, f func(*trust.Prover) error) error
	// IsUnreachable reports whether an error of Prove may go away by itself.
	IsUnreachable func(error) bool
	// IsDenial reports whether an error of Prove says that the server has no such
	// transaction, or not all of it.
	IsDenial func(error) bool

	// Error turns an error of package trust into one of package immudb. Others stay as
	// they are.
	Error func(error) error
	// NewError returns an error that matches kind, a variable of package immudb.
	NewError func(kind error, sqlState, message string) error

	// Row returns a row as an *immudb.ProvenRow.
	Row func(*proof.Row) any
	// RowKey returns the folded name of a table, and the values of a primary key as package
	// proof takes them.
	RowKey func(table string, pk []any) (string, []any, error)
	// Args converts arguments as database/sql does. They must be those of the text, and are
	// in the order of their indexes in package tree.
	Args func(text string, args []any) ([]driver.Value, error)
)
