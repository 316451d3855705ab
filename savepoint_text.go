package immudb

import (
	"context"
	"database/sql/driver"
	"errors"
	"slices"
	"strings"

	"github.com/immudb-go/immudb/internal/sqltext"
	"github.com/immudb-go/immudb/internal/sqltext/tree"
)

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
