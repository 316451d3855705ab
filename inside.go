package immudb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"

	"github.com/immudb-go/immudb/internal/inside"
	"github.com/immudb-go/immudb/internal/proof"
	"github.com/immudb-go/immudb/internal/sqltext"
	"github.com/immudb-go/immudb/internal/trust"
)

// The modules of this tree that prove rows themselves, such as indeximmudb, use the
// connections of a sql.DB through package inside.
func init() {
	inside.Prove = func(ctx context.Context, db *sql.DB, f func(*trust.Prover) error) error {
		return onConn(ctx, db, func(c *Conn) error { return f(c.prover()) })
	}
	inside.IsUnreachable = isUnreachable
	inside.IsDenial = func(err error) bool { return errors.Is(err, errNoSuchTx) || errors.Is(err, errNoSuchKey) }
	inside.Error = fromTrust
	inside.NewError = func(kind error, sqlState, message string) error { return newError(kind, sqlState, message) }
	inside.Row = func(row *proof.Row) any { return newProvenRow(row) }
	inside.RowKey = rowKey
	inside.Args = argsOf
}

// argsOf returns the values of a text's placeholders in their order.
func argsOf(text string, args []any) ([]driver.Value, error) {
	q, err := sqltext.Parse(text)
	if err != nil {
		return nil, err
	}
	named, err := convertArgs(args)
	if err == nil {
		err = checkArgs(q, named)
	}
	if err != nil {
		return nil, err
	}
	values := make([]driver.Value, q.NumInput)
	for i := range values {
		if q.Style == sqltext.Named {
			values[i] = namedArg(named, q.Names[i]).Value
		} else {
			values[i] = named[i].Value
		}
	}
	return values, nil
}
