package bunimmudb

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/immudb-go/immudb"
)

var where = regexp.MustCompile(`(?i)'(?:[^']|'')*'|(\bWHERE\b)`)

// isUnique reports whether an index of a table makes these columns, sorted by name, unique.
func (c *Conn) isUnique(ctx context.Context, table string, columns []string) (bool, error) {
	indexes, err := c.strings(ctx, `SELECT name FROM INDEXES(?) WHERE "unique" = TRUE`, table)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(indexes, func(index string) bool { // table(column,…)
		_, list, _ := strings.Cut(strings.TrimSuffix(index, ")"), "(")
		indexed := names(list)
		slices.Sort(indexed)
		return slices.Equal(indexed, columns)
	}), nil
}

// divide makes an UPDATE and an INSERT of each row of an upsert whose target is a unique index:
// the server sees conflicts of the primary key only.
func (u *upsert) divide() error {
	u.rows = make([]upsertRow, len(u.values))
	for i, row := range u.values {
		set, err := substitute(excluded, u.set, u.columns, row)
		if err != nil {
			return err
		}
		returns := ""
		for _, m := range returning.FindAllStringSubmatchIndex(set, -1) {
			if m[2] >= 0 {
				set, returns = set[:m[0]], " "+set[m[0]:]
				break
			}
		}
		switch {
		case matches(where, set):
			return unsupported("ON CONFLICT … WHERE with a unique index as the target")
		case returns == "":
			returns = " RETURNING " + u.target[0] // how many rows the UPDATE changes
		default:
			u.returns = true
		}
		r := upsertRow{insert: u.head + "(" + strings.Join(row, ", ") + ")" + returns}
		for j, column := range u.target {
			at := slices.Index(u.columns, column)
			if at < 0 || strings.EqualFold(row[at], "NULL") {
				r.update = "" // NULL is equal to nothing, although the server's indexes hold it only once
				break
			}
			r.update += []string{"UPDATE " + u.name + " SET" + set + " WHERE ", " AND "}[min(j, 1)] + `"` + column + `" = ` + row[at]
		}
		if r.update != "" {
			r.update += returns
		}
		u.rows[i] = r
	}
	return nil
}

// upsertRow are the statements for a row: an UPDATE, or "" if there can be no such row, and an
// INSERT if that finds none.
type upsertRow struct{ update, insert string }

// maxUpserts bounds how often an upsert is run because another one had the same key.
const maxUpserts = 10

// upsert runs an upsert with a unique index as its target: in the open transaction, or in one of
// its own. It returns what the statements return.
func (c *Conn) upsert(ctx context.Context, u *upsert, args []driver.NamedValue) (*answer, error) {
	if len(args) > 0 {
		return nil, unsupported("ON CONFLICT (%s) with arguments: bun writes the values of a unique index's columns into the query", strings.Join(u.target, ", "))
	}
	if c.TransactionTokens().TransactionID != "" {
		return c.upsertRows(ctx, u)
	}
	for n := 1; ; n++ {
		tx, err := c.BeginTx(ctx, driver.TxOptions{})
		if err != nil {
			return nil, err
		}
		rows, err := c.upsertRows(ctx, u)
		if err != nil {
			err = errors.Join(err, tx.Rollback())
		} else {
			err = tx.Commit()
		}
		if err == nil || n == maxUpserts || !isPassing(err) {
			return rows, err
		}
	}
}

// isPassing reports whether another upsert may be the cause of an error.
func isPassing(err error) bool {
	return errors.Is(err, immudb.ErrConflict) || errors.Is(err, immudb.ErrDuplicateKey)
}

func (c *Conn) upsertRows(ctx context.Context, u *upsert) (*answer, error) {
	all := &answer{}
	for _, row := range u.rows {
		before := len(all.rows)
		if row.update != "" {
			if err := c.collect(ctx, row.update, all); err != nil {
				return nil, err
			}
		}
		if len(all.rows) == before {
			if err := c.collect(ctx, row.insert, all); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// answer are rows in memory.
type answer struct {
	columns []string
	rows    [][]driver.Value
}

// collect adds the rows of a query.
func (c *Conn) collect(ctx context.Context, query string, to *answer) (err error) {
	rows, err := c.Conn.QueryContext(ctx, query, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	to.columns = rows.Columns()
	for {
		row := make([]driver.Value, len(to.columns))
		switch err := rows.Next(row); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		to.rows = append(to.rows, row)
	}
}

// strings returns the first column of a query.
func (c *Conn) strings(ctx context.Context, query, arg string) (list []string, err error) {
	rows, err := c.Conn.QueryContext(ctx, query, []driver.NamedValue{{Ordinal: 1, Value: arg}})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for row := make([]driver.Value, 1); ; {
		switch err := rows.Next(row); {
		case errors.Is(err, io.EOF):
			return list, nil
		case err != nil:
			return nil, err
		}
		if text, ok := row[0].(string); ok {
			list = append(list, text)
		}
	}
}

func (a *answer) Columns() []string { return a.columns }
func (a *answer) Close() error      { return nil }

func (a *answer) Next(row []driver.Value) error {
	if len(a.rows) == 0 {
		return io.EOF
	}
	copy(row, a.rows[0])
	a.rows = a.rows[1:]
	return nil
}
