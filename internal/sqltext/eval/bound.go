package eval

import (
	"database/sql/driver"
	"fmt"
	"math"
	"slices"
)

// Column is a column of the table that the query reads.
type Column struct {
	Name string
	Type string // the server's name, such as INTEGER
}

// Bound is a query with its arguments, for the rows of one result. It must not be used
// by several goroutines at once.
type Bound struct {
	query    *Query
	args     []value
	slots    []slot // of query.columns
	matchers []matcher
	row      []driver.Value

	limit int64 // math.MaxInt64: none
	seen  int64
	order order
}

// slot is the place of a column's value in a row.
type slot struct {
	index int
	typ   Type
}

// Bind binds the query to the columns of the rows and to the arguments, by
// [tree.Param.Index], in the types of [driver.Value]. The error is an *Unsupported.
func (q *Query) Bind(columns []Column, args []driver.Value) (*Bound, error) {
	b := &Bound{query: q, args: make([]value, len(args)), slots: make([]slot, len(q.columns)),
		matchers: make([]matcher, q.patterns), limit: math.MaxInt64, order: newOrder(q)}
	for i, arg := range args {
		var ok bool
		if b.args[i], ok = fromArgument(arg); !ok {
			return nil, &Unsupported{fmt.Sprintf("argument %d", i+1), fmt.Sprintf("its type is %T", arg)}
		}
	}
	if q.maxArgument >= len(args) {
		return nil, &Unsupported{fmt.Sprintf("argument %d", q.maxArgument+1), "it is missing"}
	}
	for i, c := range q.columns {
		at := slices.IndexFunc(columns, func(d Column) bool { return d.Name == c.name })
		if at < 0 {
			return nil, &Unsupported{"column " + c.name, "the table has none of this name"}
		}
		t, known := typeNames[columns[at].Type]
		switch {
		case !known:
			return nil, &Unsupported{"column " + c.name, "its type is unknown, " + columns[at].Type}
		case t == json && c.value:
			return nil, &Unsupported{"column " + c.name, "of JSON only IS NULL is evaluated: filter and order the rows in the program"}
		}
		b.slots[i] = slot{at, t}
	}
	return b, b.bindLimit()
}

// bindLimit evaluates LIMIT. LIMIT 0 means no limit to the server.
func (b *Bound) bindLimit() error {
	if b.query.limit == nil {
		return nil
	}
	v, err := b.query.limit.eval(b)
	if err != nil {
		return err
	}
	n, ok := asInteger(&v)
	if !ok || n < 0 || n > math.MaxInt32 {
		return &Unsupported{"LIMIT", "it is not a number that the server accepts"}
	}
	if n > 0 {
		b.limit = n
	}
	return nil
}

// Satisfies reports whether a row, in the order of the columns, meets the WHERE
// condition. Its values have the types in which the driver hands out columns. The
// error is an *Unsupported.
func (b *Bound) Satisfies(row []driver.Value) (bool, error) {
	if b.query.where == nil {
		return true, nil
	}
	b.row = row
	v, err := b.query.where.eval(b)
	if err != nil {
		return false, err
	}
	if v.typ != boolean {
		return false, notBoolean("WHERE")
	}
	return v.n == 1, nil
}

// Check checks the next row of a result. The error is a *Contradiction if the row
// cannot be the next one, or an *Unsupported if that cannot be decided. The caller may
// overwrite the row afterwards.
func (b *Bound) Check(row []driver.Value) error {
	if b.seen++; b.seen > b.limit {
		return &Contradiction{"LIMIT"}
	}
	switch ok, err := b.Satisfies(row); {
	case err != nil:
		return err
	case !ok:
		return &Contradiction{"WHERE"}
	}
	if len(b.query.order) == 0 {
		return nil
	}
	b.row = row
	return b.follow()
}
