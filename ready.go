package immudb

import (
	"context"
	"database/sql/driver"

	"github.com/immudb-go/immudb/internal/sqltext"
	"github.com/immudb-go/immudb/internal/sqltext/rules"
)

// ready checks the arguments of a query, and what the rules say of the query with
// these arguments, before anything is sent.
func (c *Conn) ready(ctx context.Context, t *query, args []driver.NamedValue) error {
	if err := checkArgs(t.Query, args); err != nil {
		return err
	}
	if !t.plan.ChecksArguments() {
		return nil
	}
	values := t.arguments(args)
	if r := t.plan.CheckArguments(values); r != nil {
		return refused(r)
	}
	if !t.plan.NeedsTypes(values) {
		return nil
	}
	var failed error
	r := t.plan.CheckTypes(func(table, column string) string {
		tab, err := c.table(ctx, table)
		if err != nil {
			failed = err
			return ""
		}
		return tab.types[column]
	}, values)
	if failed != nil {
		return failed
	}
	if r != nil {
		return refused(r)
	}
	return nil
}

// arguments finds the argument for a placeholder by its index.
func (t *query) arguments(args []driver.NamedValue) rules.Args {
	return func(index int) driver.Value {
		if t.Style == sqltext.Named {
			return namedArg(args, t.Names[index]).Value
		}
		return args[index].Value
	}
}
