package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
)

// column is what the server says of a column of a table.
type column struct {
	name, typ           string
	maxLength           int64
	nullable, generated bool
}

// index is an index of a table.
type index struct {
	columns         []string
	unique, primary bool
}

// columns are those of a table, in their order.
func (s *shell) columns(ctx context.Context, table string) ([]column, error) {
	rows, err := s.runner().QueryContext(ctx, `SELECT name, type, max_length, nullable, "auto_increment" FROM COLUMNS(?)`, strings.ToLower(table))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []column
	for rows.Next() {
		var c column
		if err := rows.Scan(&c.name, &c.typ, &c.maxLength, &c.nullable, &c.generated); err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	return list, rows.Err()
}

// indexes are those of a table. The server gives them no names of their own: it calls
// one table(column,column).
func (s *shell) indexes(ctx context.Context, table string) ([]index, error) {
	rows, err := s.runner().QueryContext(ctx, `SELECT name, "unique", "primary" FROM INDEXES(?)`, strings.ToLower(table))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []index
	for rows.Next() {
		var name string
		var x index
		if err := rows.Scan(&name, &x.unique, &x.primary); err != nil {
			return nil, err
		}
		_, names, _ := strings.Cut(strings.TrimSuffix(name, ")"), "(")
		x.columns = strings.Split(names, ",")
		list = append(list, x)
	}
	return list, rows.Err()
}

func (s *shell) tables(ctx context.Context) ([]string, error) {
	rows, err := s.runner().QueryContext(ctx, "SELECT name FROM TABLES()")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		list = append(list, name)
	}
	return list, rows.Err()
}

// list prints the answer to a query with a title.
func (s *shell) list(ctx context.Context, title, query string) error {
	rows, err := s.runner().QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	result, err := newValues(rows, true)
	if err != nil {
		return err
	}
	return s.encode(s.stdout, result, s.expanded, title)
}

// declared is the type as CREATE TABLE takes it.
func (c *column) declared() string {
	if (c.typ == "VARCHAR" || c.typ == "BLOB") && c.maxLength > 0 {
		return fmt.Sprintf("%s[%d]", c.typ, c.maxLength)
	}
	return c.typ
}

func (x *index) String() string {
	text := "INDEX (" + strings.Join(x.columns, ", ") + ")"
	switch {
	case x.primary:
		return "PRIMARY KEY (" + strings.Join(x.columns, ", ") + ")"
	case x.unique:
		return "UNIQUE " + text
	}
	return text
}

// describe prints the columns and the indexes of a table.
func (s *shell) describe(ctx context.Context, table string) error {
	columns, err := s.columns(ctx, table)
	if err != nil {
		return err
	}
	indexes, err := s.indexes(ctx, table)
	if err != nil {
		return err
	}
	var primary []string // the server calls its columns nullable, but they are not
	for _, x := range indexes {
		if x.primary {
			primary = x.columns
		}
	}
	result := &list{columns: []string{"Column", "Type", "Nullable", "Default"}}
	for _, c := range columns {
		nullable, value := "", ""
		if !c.nullable || slices.Contains(primary, c.name) {
			nullable = "not null"
		}
		if c.generated {
			value = "AUTO_INCREMENT"
		}
		result.rows = append(result.rows, []any{c.name, c.declared(), nullable, value})
	}
	var text strings.Builder
	if err := s.encode(&text, result, s.expanded, "Table "+strings.ToLower(table)); err != nil {
		return err
	}
	if s.format == "aligned" {
		// The number of columns is seen, and the indexes belong below them.
		body, _, _ := strings.Cut(text.String(), fmt.Sprintf("(%d row", len(columns)))
		text.Reset()
		text.WriteString(body)
		text.WriteString("Indexes:\n")
		for _, x := range indexes {
			fmt.Fprintf(&text, "    %s\n", printable(x.String()))
		}
	}
	_, err = io.WriteString(s.stdout, text.String())
	return err
}

// listIndexes prints the indexes of all tables.
func (s *shell) listIndexes(ctx context.Context) error {
	tables, err := s.tables(ctx)
	if err != nil {
		return err
	}
	result := &list{columns: []string{"Table", "Index"}}
	for _, table := range tables {
		indexes, err := s.indexes(ctx, table)
		if err != nil {
			return err
		}
		for _, x := range indexes {
			result.rows = append(result.rows, []any{table, x.String()})
		}
	}
	return s.encode(s.stdout, result, s.expanded, "Indexes")
}
