// Package trial finds out whether the server would run a statement. The catalog does not list
// CHECK constraints, for example, but a statement that drops one fails if there is none.
package trial

import (
	"context"
	"database/sql"
	"errors"

	"github.com/immudb-go/immudb"
)

var errUndone = errors.New("nothing is to be kept")

// Run runs a statement in a transaction that it rolls back, and returns the statement's error.
// An error that another try may not have, such as a conflict, is not the statement's: Run then
// tries again, as [immudb.RunTx] does.
func Run(ctx context.Context, db *sql.DB, query string) error {
	err := immudb.RunTx(ctx, db, nil, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, query); err != nil {
			return err
		}
		return errUndone
	})
	if errors.Is(err, errUndone) {
		return nil
	}
	return err
}
