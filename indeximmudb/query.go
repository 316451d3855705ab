package indeximmudb

import (
	"database/sql/driver"
	"fmt"
	"math"
	"slices"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/inside"
	"github.com/immudb-go/immudb/internal/proof"
	"github.com/immudb-go/immudb/internal/sqltext/eval"
	"github.com/immudb-go/immudb/internal/sqltext/tree"
)

// query is a condition on the rows of a table, with its arguments.
type query struct {
	where    tree.Expr
	args     []driver.Value // by tree.Param.Index
	compiled *eval.Query
	bound    *eval.Bound
}

func newQuery(table, tail string, args []any) (*query, error) {
	text := fmt.Sprintf("SELECT * FROM %q %s", table, tail)
	script, err := tree.Parse(text)
	if err == nil {
		err = checkTail(script)
	}
	if err != nil {
		return nil, inside.NewError(immudb.ErrSyntax, "42601", fmt.Sprintf("what follows SELECT * FROM %s: %v", table, err))
	}
	s := script.Statements[0].(*tree.Select)
	q := &query{where: s.Where}
	if q.args, err = inside.Args(text, args); err != nil {
		return nil, err
	}
	if q.compiled, err = eval.Compile(text, s); err != nil {
		return nil, inside.NewError(immudb.ErrUnsupported, "0A000", err.Error())
	}
	return q, nil
}

// checkTail refuses everything but a WHERE.
func checkTail(script *tree.Script) error {
	if len(script.Statements) != 1 || script.Has.Any(tree.HasEmptyStatement) {
		return fmt.Errorf("it holds more than one statement")
	}
	s, ok := script.Statements[0].(*tree.Select)
	if ok {
		t, plain := s.From.(*tree.Table)
		ok = plain && t.Kind == tree.Plain && t.Since == nil && t.Until == nil && !t.Alias.Given() && len(s.Joins) == 0 &&
			len(s.Index) == 0 && len(s.GroupBy) == 0 && s.Having == nil && !s.Locking.Given() &&
			len(s.OrderBy) == 0 && s.LimitAt == (tree.Span{}) && s.OffsetAt == (tree.Span{})
	}
	if !ok {
		return fmt.Errorf("it may only hold WHERE: all rows that meet it are read, in the order of the primary key; order and count them in the program")
	}
	return nil
}

// bind binds the condition to the definition of the table.
func (q *query) bind(t *proof.Table) (err error) {
	columns := make([]eval.Column, len(t.Columns))
	for i, c := range t.Columns {
		columns[i] = eval.Column{Name: c.Name, Type: string(c.Type)}
	}
	if q.bound, err = q.compiled.Bind(columns, q.args); err != nil {
		return inside.NewError(immudb.ErrUnsupported, "0A000", err.Error())
	}
	return nil
}

// keyRange are the keys from one on, and before another one; nil: no end.
type keyRange struct{ from, to []byte }

// keys returns a range that has the keys of all rows that meet the condition.
func (q *query) keys(t *proof.Table) keyRange {
	var prefix []byte
	for _, id := range t.PrimaryKey {
		c := t.Columns[slices.IndexFunc(t.Columns, func(c proof.Column) bool { return c.ID == id })]
		b := q.boundsOf(c)
		switch {
		case b.equal != nil:
			prefix = append(prefix, b.equal...)
			continue
		case b.low != nil || b.high != nil:
			r := span(prefix)
			if b.low != nil {
				low := span(slices.Concat(prefix, b.low))
				r.from = low.from
				if b.above {
					r.from = low.to
				}
			}
			if b.high != nil {
				high := span(slices.Concat(prefix, b.high))
				r.to = high.to
				if b.below {
					r.to = high.from
				}
			}
			return r
		}
		break
	}
	return span(prefix)
}

// span are the keys with a prefix, which ends where a column ends, so that no run of zeros
// goes beyond it.
func span(prefix []byte) keyRange {
	packed := appendKey(nil, prefix)
	return keyRange{packed, after(packed)}
}

// bounds are what a column of the key is compared with, encoded; nil: with nothing.
type bounds struct {
	equal, low, high []byte
	above, below     bool // without low, without high
}

// boundsOf finds the comparisons of a column that every row must meet.
func (q *query) boundsOf(c proof.Column) (b bounds) {
	q.eachCondition(q.where, func(x tree.Expr) {
		switch x := x.(type) {
		case *tree.Compare:
			op, value := x.Operator, x.Right
			if !isColumn(x.Left, c) {
				if !isColumn(x.Right, c) {
					return
				}
				op, value = mirrored[op], x.Left
			}
			key := q.encoded(value, c)
			switch op {
			case "=":
				b.equal = key
			case "<", "<=":
				b.high, b.below = key, op == "<"
			case ">", ">=":
				b.low, b.above = key, op == ">"
			}
		case *tree.Between:
			if isColumn(x.Expr, c) {
				b = bounds{equal: b.equal, low: q.encoded(x.Low, c), high: q.encoded(x.High, c)}
			}
		}
	})
	return b
}

var mirrored = map[string]string{"=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}

// eachCondition calls f for the conditions that are joined by AND.
func (q *query) eachCondition(x tree.Expr, f func(tree.Expr)) {
	if x == nil {
		return
	}
	x = tree.Bare(x)
	if chain, ok := x.(*tree.Chain); ok {
		if chain.Operators[0] == "AND" {
			for _, operand := range chain.Operands {
				q.eachCondition(operand, f)
			}
		}
		return
	}
	f(x)
}

func isColumn(x tree.Expr, c proof.Column) bool {
	column, ok := tree.Bare(x).(*tree.Column)
	return ok && column.Name.Name == c.Name
}

// encoded returns a value as it is in the keys of a column, or nil if the order of keys
// may not be the one of values there: FLOAT has two zeros and NaN, and the keys of TIMESTAMP overflow.
func (q *query) encoded(x tree.Expr, c proof.Column) []byte {
	value := q.constant(x)
	fits := false
	switch value.(type) {
	case int64:
		fits = c.Type == proof.Integer
	case string:
		fits = c.Type == proof.Varchar || c.Type == proof.UUID
	case []byte:
		fits = c.Type == proof.Blob
	}
	if !fits {
		return nil
	}
	key, err := proof.AppendKeyValue(nil, value, c.Type, int(c.MaxLen))
	if err != nil {
		return nil // it is no key of this column
	}
	return key
}

// constant returns the value of a literal or an argument, or nil.
func (q *query) constant(x tree.Expr) any {
	switch x := tree.Bare(x).(type) {
	case *tree.Param:
		return q.args[x.Index]
	case *tree.Literal:
		switch {
		case x.Kind == tree.Integer && x.Int <= math.MaxInt64:
			return int64(x.Int)
		case x.Kind == tree.String:
			return x.String()
		case x.Kind == tree.Blob:
			return x.Bytes()
		}
	}
	return nil
}
