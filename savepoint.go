package immudb

import (
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/immudb-go/immudb/internal/replay"
	"github.com/immudb-go/immudb/internal/sqltext"
	"github.com/immudb-go/immudb/internal/sqltext/rules"
	"github.com/immudb-go/immudb/internal/sqltext/tree"
	"github.com/immudb-go/immudb/internal/wire"
	"github.com/immudb-go/immudb/internal/written"
)

// The server accepts SAVEPOINT and ROLLBACK TO and undoes nothing, so they are never
// sent. The driver remembers what a transaction has asked and been answered. For
// ROLLBACK TO it begins another transaction on the server and runs again what came
// before the savepoint. If an answer differs from the first one, another client has
// changed what this transaction has read: that is a conflict. A replay commits nothing,
// so whatever happens to it, nothing can be written twice.

// txState is what a transaction knows of itself and must forget when it returns to a
// savepoint.
type txState struct {
	wrote    bool
	written  rules.Written
	inserted int64
	sent     written.Writes
	schema   *schemaChange
}

// txLog remembers a transaction for its savepoints.
type txLog = replay.Log[txState]

// newLog makes the log of a transaction, or nil if savepoint_memory is 0.
func (c *Conn) newLog() *txLog {
	if c.connector.cfg.SavepointMemory == 0 {
		return nil
	}
	return replay.New[txState](c.connector.cfg.SavepointMemory << 20)
}

// remember adds a call to the log; the caller completes its answer. The request must
// not change any more.
func (t *tx) remember(kind callKind, b *bound, method string, request []byte, unary bool) *replay.Call {
	return t.log.Add(replay.Call{Method: method, Request: request, Unary: unary, Writes: kind != readsInTx, Tells: kind == readsInTx || tells(b.st)})
}

// tells reports whether the answer to a write depends on the data that it finds.
func tells(st *sqltext.Statement) bool {
	switch st.Kind {
	case sqltext.Insert, sqltext.Upsert:
		return st.Selects || st.Returning.Has || st.OnConflict != sqltext.ConflictFails
	}
	return st.Kind.IsDML()
}

// rememberUnary adds a unary call that succeeded.
func (t *tx) rememberUnary(kind callKind, b *bound, method string, request []byte, ans wire.Answer) {
	if t.log == nil {
		return
	}
	call := t.remember(kind, b, method, request, true)
	if r, ok := ans.(*wire.Returned); ok {
		addReturned(&call.Answer, r)
	}
	call.Answer.End()
}

// addReturned adds the answer to a write of one row: the number of rows and the key.
func addReturned(a *replay.Answer, r *wire.Returned) {
	key, _ := r.Last.(int64)
	a.Number(r.Rows)
	a.Number(key)
}

// rememberStream adds a query whose first message has come, or that the server has
// refused.
func (t *tx) rememberStream(kind callKind, b *bound, set *resultSet, f *wire.Failure) {
	switch {
	case t.log == nil:
	case f == nil:
		set.call = t.remember(kind, b, wire.MethodTxSQLQuery, bytes.Clone(set.request.Bytes), false)
		set.call.Answer.Message(set.batch.Bytes())
	case kind == readsInTx && f.Fate == wire.Refused:
		t.remember(kind, b, wire.MethodTxSQLQuery, bytes.Clone(set.request.Bytes), false).Answer.Fail(f.Message)
	}
}

var errNoSavepoints = unsupported("savepoints are turned off by savepoint_memory=0")

// errNoSavepoint is the error for a name that no savepoint has.
func errNoSavepoint(name string) error {
	return newError(nil, "3B001", "savepoint "+name+" does not exist")
}

// savepoint runs SAVEPOINT, ROLLBACK TO or RELEASE.
func (t *tx) savepoint(ctx context.Context, st *tree.Control) error {
	switch {
	case t.err == sql.ErrTxDone:
		return sql.ErrTxDone
	case t.log == nil && t.err == nil:
		return errNoSavepoints
	case t.log == nil:
		return t.aborted()
	case st.Kind == tree.RollbackTo:
		return t.rollbackTo(ctx, st.Name.Name)
	}
	if err := t.settle(ctx); err != nil {
		return err
	}
	if st.Kind == tree.Release {
		if !t.log.Release(st.Name.Name) {
			return t.fail(errNoSavepoint(st.Name.Name))
		}
		return nil
	}
	if t.log.Full() {
		return t.fail(t.tooLong())
	}
	t.log.Mark(st.Name.Name, t.state())
	return nil
}

// fail aborts the transaction because of an error of the driver's own, as any error
// does in PostgreSQL: what the program wanted to undo must not be committed.
func (t *tx) fail(err error) error {
	t.abort(err, txUndo)
	return err
}

func (t *tx) tooLong() error {
	return newError(ErrTooLong, "54000", fmt.Sprintf("the transaction is too long for a savepoint: its statements and arguments take more than %d MiB "+
		"(savepoint_memory); raise it, or make the transaction shorter", t.conn.connector.cfg.SavepointMemory))
}

// state returns a copy of what [tx.restore] gives back.
func (t *tx) state() txState {
	return txState{wrote: t.wrote, written: cloneWritten(t.written), inserted: t.inserted, sent: t.sent.Clone(), schema: t.schema.clone()}
}

// restore gives the transaction the state that it had at a savepoint. The savepoint
// keeps its copy.
func (t *tx) restore(s txState) {
	t.wrote, t.written, t.inserted, t.sent, t.schema = s.wrote, cloneWritten(s.written), s.inserted, s.sent.Clone(), s.schema.clone()
	if t.tables = nil; t.schema != nil {
		t.tables = make(map[string]*table)
	}
}

func cloneWritten(w rules.Written) rules.Written {
	return rules.Written{Tables: slices.Clone(w.Tables), Deleted: slices.Clone(w.Deleted)}
}

func (s *schemaChange) clone() *schemaChange {
	if s == nil {
		return nil
	}
	return &schemaChange{shows: maps.Clone(s.shows), hidden: s.hidden}
}

// rollbackTo returns to a savepoint. If that fails, the transaction is aborted. After a
// conflict it stays so; after any other failure ROLLBACK TO can be tried again.
func (t *tx) rollbackTo(ctx context.Context, name string) error {
	back, ok := t.log.Back(name)
	switch {
	case !ok:
		return t.fail(errNoSavepoint(name))
	case t.log.Full():
		return t.fail(t.tooLong())
	case t.err == nil && len(back.Undone) == 0:
		back.Done() // nothing was written since
		return nil
	}
	t.dropRows()
	if !t.ended {
		t.ended = true
		t.server.Undo()
	}
	t.err = errReturning
	if err := t.replay(ctx, back); err != nil {
		t.err = err
		if errors.Is(err, ErrConflict) {
			t.log = nil
		}
		return err
	}
	t.err = nil
	t.restore(back.State)
	back.Done()
	return nil
}

var errReturning = newError(nil, "", "the transaction could not return to the savepoint")

// dropRows ends a query that is still being read. It is one of those that are undone.
func (t *tx) dropRows() {
	if set := t.rows; set != nil {
		t.rows, set.tx = nil, nil
		set.undone = true
		set.ctx.Cancel()
	}
}

var errRowsUndone = newError(nil, "24000", "the rows cannot be read any more: the transaction has returned to a savepoint before their query")

// A query with a savepoint among its statements is run statement by statement, each
// checked and rewritten when its turn comes: what is right for it depends on what was
// undone before.

// savepoint returns the statement of a query that is a single savepoint statement, or
// nil.
func (t *query) savepoint() *tree.Control {
	if !t.savepoints || len(t.statements) > 1 || t.enclosed || t.rolledBack {
		return nil
	}
	return t.statements[0].Tree.(*tree.Control)
}

// execInSteps is exec for a query with savepoint statements. The result counts undone
// statements too.
func (c *Conn) execInSteps(ctx context.Context, t *query, args []driver.NamedValue) (driver.Result, error) {
	var all *result
	err := c.inSteps(ctx, t, args, func() { all = &result{idErr: errNoInsert} }, func(q *query, args []driver.NamedValue) error {
		if st := q.savepoint(); st != nil {
			return c.tx.savepoint(ctx, st)
		}
		res, err := c.exec(ctx, q, args)
		if err != nil {
			return err
		}
		all.add(res.(*result))
		return nil
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// add adds the result of the next statement.
func (r *result) add(next *result) {
	r.rows += next.rows
	if next.rowsErr != nil {
		r.rowsErr = next.rowsErr
	}
	if !errors.Is(next.idErr, errNoInsert) {
		r.id, r.idErr = next.id, next.idErr
	}
}

// queryInSteps is query for a query with savepoint statements.
func (c *Conn) queryInSteps(ctx context.Context, t *query, args []driver.NamedValue) (*rows, error) {
	var sets []*resultSet
	discard := func() {
		for _, set := range sets {
			set.close()
		}
		sets = nil
	}
	err := c.inSteps(ctx, t, args, discard, func(q *query, args []driver.NamedValue) error {
		if st := q.savepoint(); st != nil {
			sets = append(sets, &resultSet{columns: noColumns})
			return c.tx.savepoint(ctx, st)
		}
		r, err := c.query(ctx, q, args)
		if err != nil {
			return err
		}
		sets = append(sets, r.set)
		return c.tx.settle(ctx)
	})
	if err != nil {
		discard()
		return nil, err
	}
	r := sets[0].rows()
	r.rest = sets[1:]
	return r, nil
}

// inSteps runs the statements of a query one by one: in the open transaction, or, if
// BEGIN and COMMIT stand around them, in one of their own. reset is called before each
// try.
func (c *Conn) inSteps(ctx context.Context, t *query, args []driver.NamedValue, reset func(), run func(*query, []driver.NamedValue) error) error {
	if err := checkArgs(t.Query, args); err != nil {
		return err
	}
	steps, err := c.stepsOf(t, args)
	if err != nil {
		return err
	}
	runAll := func() error {
		reset()
		for _, s := range steps {
			if err := run(s.query, s.args); err != nil {
				return err
			}
		}
		return nil
	}
	switch {
	case c.tx != nil && t.plan.InTx != nil:
		return refused(t.plan.InTx)
	case c.tx != nil:
		return runAll()
	case !t.enclosed && !t.rolledBack:
		return newError(nil, "25P01", "SAVEPOINT, ROLLBACK TO and RELEASE are for a transaction, and none is open: use sql.DB.BeginTx, "+
			"or write BEGIN; …; COMMIT around the text")
	}
	return c.inOwnTx(ctx, t, func(tx *tx) error {
		tx.log = c.newLog()
		return runAll()
	})
}

// step is one statement as a query of its own, with its arguments.
type step struct {
	query *query
	args  []driver.NamedValue
}

func (c *Conn) stepsOf(t *query, args []driver.NamedValue) ([]step, error) {
	if t.savepoint() != nil {
		return []step{{t, args}}, nil
	}
	whole, err := sqltext.Parse(t.plan.Original()) // each statement is rewritten by itself
	if err != nil {
		return nil, err
	}
	statements := whole.Statements
	if t.enclosed || t.rolledBack {
		statements = statements[1 : len(statements)-1]
	}
	steps := make([]step, len(statements))
	for i := range statements {
		st := &statements[i]
		q, err := c.connector.queries.parse(st.Text)
		if err != nil {
			return nil, err
		}
		var own []driver.NamedValue
		if t.Style == sqltext.Named {
			own = slices.DeleteFunc(slices.Clone(args), func(a driver.NamedValue) bool {
				return !slices.ContainsFunc(q.Names, func(name string) bool { return strings.EqualFold(name, a.Name) })
			})
		} else {
			own = args[st.FirstArg : st.FirstArg+st.NumArgs]
		}
		steps[i] = step{q, own}
	}
	return steps, nil
}
