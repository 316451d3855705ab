package entimmudb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	entsql "entgo.io/ent/dialect/sql"
)

// affected is the result of a statement: the number of rows that it wrote.
type affected int64

func (affected) LastInsertId() (int64, error) {
	return 0, errors.New("entimmudb: keys are returned by RETURNING")
}
func (n affected) RowsAffected() (int64, error) { return int64(n), nil }

// answer is what a statement of several steps answers. It is also the rows of RETURNING,
// which are in memory because their transaction has ended when ent reads them.
type answer struct {
	columns []string
	rows    [][]any
	at      int // of the current row, from 1
	written int64
}

// collect reads all rows of a query.
func collect(ctx context.Context, on entsql.ExecQuerier, query string, args []any) (*answer, error) {
	rows, err := on.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	a := &answer{}
	if a.columns, err = rows.Columns(); err != nil {
		return nil, err
	}
	for rows.Next() {
		row, dest := make([]any, len(a.columns)), make([]any, len(a.columns))
		for i := range row {
			dest[i] = &row[i]
		}
		if err := rows.Scan(dest...); err != nil {
			return nil, err
		}
		a.rows = append(a.rows, row)
	}
	a.written = int64(len(a.rows))
	return a, rows.Err()
}

// selection are the rows of a query of ent, which expects a column that is a call to have
// the name of the function, as PostgreSQL names it.
type selection struct {
	entsql.ColumnScanner
	query string
}

func (s selection) Columns() ([]string, error) {
	columns, err := s.ColumnScanner.Columns()
	if err != nil || !slices.ContainsFunc(columns, func(c string) bool { return strings.HasPrefix(c, "col") }) {
		return columns, err
	}
	rest := split(s.query)
	if !rest.take("SELECT") {
		return columns, nil
	}
	columns = slices.Clone(columns)
	for i := range columns {
		item := rest.until(",", "FROM")
		if columns[i] == "col"+strconv.Itoa(i) && len(item) > 2 && item[1] == "(" && item[len(item)-1] == ")" {
			columns[i] = name(item[0])
		}
		if !rest.take(",") {
			break
		}
	}
	return columns, nil
}

// add appends the answer to a statement of the same kind.
func (a *answer) add(more *answer) {
	a.rows = append(a.rows, more.rows...)
	a.written += more.written
}

func (a *answer) Close() error                            { return nil }
func (a *answer) Err() error                              { return nil }
func (a *answer) NextResultSet() bool                     { return false }
func (a *answer) Columns() ([]string, error)              { return a.columns, nil }
func (a *answer) ColumnTypes() ([]*sql.ColumnType, error) { return nil, errors.ErrUnsupported }

func (a *answer) Next() bool {
	if a.at >= len(a.rows) {
		return false
	}
	a.at++
	return true
}

func (a *answer) Scan(dest ...any) error {
	if a.at == 0 || len(dest) != len(a.columns) {
		return fmt.Errorf("entimmudb: %d destinations for %d columns", len(dest), len(a.columns))
	}
	for i, d := range dest {
		if err := scan(d, a.rows[a.at-1][i]); err != nil {
			return fmt.Errorf("entimmudb: column %s: %w", a.columns[i], err)
		}
	}
	return nil
}

// scan converts a value as database/sql does, for the types that ent has for keys.
func scan(dest, value any) error {
	switch d := dest.(type) {
	case sql.Scanner:
		return d.Scan(value)
	case *any:
		*d = value
		return nil
	case *driver.Value:
		*d = value
		return nil
	case *int64:
		return scanAs(d, value)
	case *int:
		return scanAs(d, value)
	case *string:
		return scanAs(d, value)
	}
	return fmt.Errorf("a %T cannot be scanned into a %T", value, dest)
}

func scanAs[T any](dest *T, value any) error {
	var n sql.Null[T]
	if err := n.Scan(value); err != nil {
		return err
	}
	if !n.Valid {
		return fmt.Errorf("NULL cannot be scanned into a %T", dest)
	}
	*dest = n.V
	return nil
}
