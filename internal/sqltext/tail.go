package sqltext

import (
	"errors"

	"github.com/immudb-go/immudb/internal/sqltext/tree"
)

// CheckTail tells whether text can follow "SELECT * FROM table" so that every row
// of the result is still a row of the table as it is now: a condition, an order
// and limits, but no other table, no other time and no grouping.
func CheckTail(text string) error {
	const head = "SELECT * FROM t "
	script, err := tree.Parse(head + text)
	if err != nil {
		return err
	}
	if len(script.Statements) != 1 || script.Has.Any(tree.HasEmptyStatement) {
		return errors.New("it holds more than one statement")
	}
	s, ok := script.Statements[0].(*tree.Select)
	if !ok {
		return errors.New("UNION, INTERSECT and EXCEPT make rows that are none of the table")
	}
	t, ok := s.From.(*tree.Table)
	switch {
	case !ok || t.Since != nil || t.Until != nil || t.Alias.Given():
		return errors.New("it begins with none of WHERE, ORDER BY, LIMIT and OFFSET")
	case len(s.Joins) > 0:
		return errors.New("it reads another table")
	case len(s.GroupBy) > 0 || s.Having != nil:
		return errors.New("GROUP BY and HAVING make rows that are none of the table")
	}
	return nil
}
