package immudb

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"google.golang.org/grpc/codes"

	"github.com/immudb-go/immudb/internal/wire"
)

// lookup asks the server for the description of a table while a statement of a
// transaction runs that relies on an older one. So the transaction waits for no
// call but its own.
type lookup struct {
	key, name string
	relied    *table // what the statement relies on
	changes   int    // how often the catalog had changed when the lookup began

	done  sync.WaitGroup
	found *table
	err   error
}

// lookUp begins a lookup. The server answers it outside the transaction: a change
// that another client has committed since the transaction began shows too.
func (t *tx) lookUp(ctx context.Context, key, name string, relied *table) {
	if slices.ContainsFunc(t.lookups, func(l *lookup) bool { return l.key == key }) {
		return
	}
	c := t.conn
	l := &lookup{key: key, name: name, relied: relied, changes: c.connector.catalog.changed()}
	t.lookups = append(t.lookups, l)
	l.done.Go(func() {
		l.found, l.err = c.describe(name, func(b bound) (*resultSet, error) { return t.readBeside(ctx, b) })
	})
	if relied.rows.Load() == 0 {
		return
	}
	l.done.Go(func() {
		n, err := c.countRows(relied, name, func(b bound) (*resultSet, error) { return t.readBeside(ctx, b) })
		if err != nil {
			n = -1 // counted again at the next use
		}
		relied.rows.Store(n + 1)
	})
}

// readBeside runs a query in the session of the transaction, but outside it.
func (t *tx) readBeside(ctx context.Context, b bound) (*resultSet, error) {
	set, err := t.conn.newSet(b)
	if err != nil {
		return nil, err
	}
	f := set.open(ctx, &t.server.Session().Scope, wire.MethodSQLQuery, b.query)
	t.conn.sawPrimary()
	if f != nil {
		return nil, t.conn.callFailed(t.server.Session(), reads, "", f)
	}
	set.columns = b.query.columnsOf(b.st, set.batch.Columns)
	return set, nil
}

// confirm waits for the lookups that began with a statement, which ended with err. If
// a table is not as the statement relied on, the transaction is rolled back, with an
// error that is worth a retry.
func (t *tx) confirm(err error) error {
	lookups := t.lookups
	t.lookups = nil
	for _, l := range lookups {
		l.done.Wait()
		catalog := &t.conn.connector.catalog
		switch {
		case l.err != nil:
			catalog.forget()
		case l.found.same(l.relied):
			catalog.put(l.key, l.relied, l.changes) // which knows how many rows there are
			continue
		default:
			catalog.forget()
			l.err = &Error{Message: fmt.Sprintf("table %s was changed while the transaction ran: begin it again", l.name),
				SQLState: "40001", GRPC: codes.Aborted, kind: ErrConflict, safe: true}
		}
		if err == nil {
			err = l.err
		}
		if t.rows != nil {
			t.rows.ctx.Cancel()
			t.rows = nil
		}
		t.abort(l.err, txUndo)
	}
	return err
}

// same reports whether two descriptions of a table are equal.
func (t *table) same(other *table) bool {
	return t.autoIncrement == other.autoIncrement && slices.Equal(t.Columns, other.Columns) && slices.Equal(t.Primary, other.Primary) &&
		slices.EqualFunc(t.Indexes, other.Indexes, slices.Equal)
}
