package immudb

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"

	"github.com/immudb-go/immudb/internal/proof"
	"github.com/immudb-go/immudb/internal/sqltext/eval"
	"github.com/immudb-go/immudb/internal/sqltext/tree"
)

// rowsQuery is a query for whole rows of one table, whose answer the client can look
// at again.
type rowsQuery struct {
	table, text string
	script      *tree.Script
	query       *eval.Query
}

// newRowsQuery refuses a tail that brings rows which are none of the table as it is
// now, and one that the client cannot evaluate.
func newRowsQuery(table, tail string) (*rowsQuery, error) {
	q := &rowsQuery{table: table, text: "SELECT * FROM " + quoteName(table) + " " + tail}
	var err error
	if q.script, err = tree.Parse(q.text); err == nil {
		err = checkTail(q.script)
	}
	if err != nil {
		return nil, &Error{Message: fmt.Sprintf("what follows SELECT * FROM %s: %v", table, err), SQLState: "42601", kind: ErrSyntax}
	}
	if q.query, err = eval.Compile(q.text, q.script.Statements[0].(*tree.Select)); err != nil {
		return nil, unsupported("rows are verified against their condition: " + err.Error())
	}
	return q, nil
}

// checkTail tells whether the text is a SELECT of one table with a condition, an order
// and limits, and nothing else.
func checkTail(script *tree.Script) error {
	if len(script.Statements) != 1 || script.Has.Any(tree.HasEmptyStatement) {
		return errors.New("it holds more than one statement")
	}
	s, ok := script.Statements[0].(*tree.Select)
	if !ok {
		return errors.New("a set operation makes rows that are none of the table")
	}
	t, ok := s.From.(*tree.Table)
	switch {
	case !ok || len(s.Joins) > 0:
		return errors.New("it reads another table")
	case t.Since != nil || t.Until != nil:
		return errors.New("it reads rows of another time")
	case t.Alias.Given():
		return errors.New("it gives the table another name")
	case len(s.GroupBy) > 0 || s.Having != nil:
		return errors.New("GROUP BY makes rows that are none of the table")
	case len(s.Index) > 0 || s.Locking.Given():
		return errors.New("it is none of WHERE, ORDER BY, LIMIT and OFFSET")
	}
	return nil
}

// bind binds the query to a definition of the table and to arguments that fit the
// query.
func (q *rowsQuery) bind(def *proof.Table, args []driver.NamedValue) (*eval.Bound, error) {
	columns := make([]eval.Column, len(def.Columns))
	for i, c := range def.Columns {
		columns[i] = eval.Column{Name: c.Name, Type: string(c.Type)}
	}
	values := make([]driver.Value, q.script.NumInput)
	for i := range values {
		if q.script.Style == tree.Named {
			values[i] = namedArg(args, q.script.Names[i]).Value
		} else {
			values[i] = args[i].Value
		}
	}
	return q.query.Bind(columns, values)
}

// evaluate looks at the proven rows: each must meet the condition of the query, and
// they must be in its order and no more than its limit.
func (b *queryProof) evaluate(ctx context.Context, c *Conn, query *rowsQuery, args []driver.NamedValue) error {
	bound, err := query.bind(b.def, args)
	for i := 0; err == nil && i < len(b.rows); i++ {
		err = bound.Check(b.rows[i].values)
	}
	var wrong *eval.Contradiction
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &wrong):
		return unsupported("rows are verified against their condition: " + err.Error())
	}
	version, err := c.ServerVersion(ctx)
	switch {
	case err != nil:
		return err
	case evaluatesOtherwise(version):
		return unsupported(fmt.Sprintf("%s, as immudb 1.11 evaluates it; the server is immudb %s: filter and order the rows in the program",
			wrong, version))
	}
	return b.Tampering(&proof.Error{Check: promises[wrong.Clause]})
}

// evaluatesOtherwise tells the servers whose conditions may mean something else than
// on the client. Those of 1.10 and before take the pattern of LIKE for a regular
// expression; 1.9 lets AND and OR bind alike. Servers that do not know their version
// are embedded in a program, as this driver's tests do it.
func evaluatesOtherwise(version string) bool {
	return version != "" && !strings.HasPrefix(strings.TrimPrefix(version, "v"), "1.11.")
}

// promises are what must hold, by the clause that promises it.
var promises = map[string]string{
	"WHERE":    "each row of the query meets its WHERE condition",
	"ORDER BY": "the rows of the query are in the order that it asks for",
	"LIMIT":    "the rows of the query are no more than its LIMIT",
}
