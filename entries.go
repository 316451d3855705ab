package immudb

import (
	"context"
	"fmt"

	"github.com/immudb-go/immudb/internal/sqltext"
	"github.com/immudb-go/immudb/internal/wire"
)

// adds reports whether each row of a statement is new, so that it is a new entry of the
// transaction.
func adds(st *sqltext.Statement) bool {
	return st.Kind == sqltext.Insert && st.OnConflict == sqltext.ConflictFails
}

// added counts the rows that a statement has added.
func (t *tx) added(st *sqltext.Statement, rows int64) {
	if adds(st) {
		t.inserted += rows
	}
}

// hasRoom refuses an INSERT with more rows than the transaction can still hold, before it
// is sent, so that the transaction stays usable. The server would refuse it only at the
// commit.
func (t *tx) hasRoom(ctx context.Context, st *sqltext.Statement) error {
	if !adds(st) || t.inserted+int64(st.NumRows) <= defaultTxEntries {
		return nil
	}
	var settings wire.DatabaseSettings
	err := t.conn.call(ctx, reads, "", wire.MethodDatabaseSettings, nil, &settings)
	if err != nil && !refusesToTell(err) {
		return err
	}
	limit := int64(settings.MaxTxEntries)
	if err != nil || limit == 0 || t.inserted+int64(st.NumRows) <= limit {
		return nil // the server decides
	}
	return newError(ErrTooManyEntries, "54000", fmt.Sprintf("the transaction has added %d rows, and with the %d of this statement it would exceed the limit of %d: "+
		"commit in between, or write the rows with CopyFrom", t.inserted, st.NumRows, limit))
}
