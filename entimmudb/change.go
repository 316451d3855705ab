package entimmudb

import (
	"context"
	"errors"
	"slices"
	"strings"

	"entgo.io/ent/dialect/sql/schema"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/trial"
)

// stored is a column in the catalog.
type stored struct {
	columnType
	nullable bool
}

// change is the text that gives a table that exists what it lacks. before are statements
// that need transactions of their own: a column cannot be dropped in that of its index.
func (d *Driver) change(ctx context.Context, t *schema.Table, drop drops) (before, texts []string, err error) {
	types, err := typesOf(t)
	if err != nil {
		return nil, nil, err
	}
	columns, err := d.columns(ctx, t.Name)
	if err != nil {
		return nil, nil, err
	}
	indexes, err := d.indexes(ctx, t.Name)
	if err != nil {
		return nil, nil, err
	}
	alter := "ALTER TABLE " + quote(t.Name)

	desired := make(map[string]bool) // the columns of indexes, joined
	for _, i := range indexesOf(t) {
		desired[strings.Join(columnNames(i.columns), ",")] = true
	}
	for list := range indexes {
		left := slices.ContainsFunc(strings.Split(list, ","), func(c string) bool { return !hasColumn(t, c) })
		if drop.indexes && !desired[list] || drop.columns && left {
			before = append(before, "DROP INDEX ON "+quote(t.Name)+" ("+quoteAll(strings.Split(list, ","))+")")
		}
	}
	slices.Sort(before)
	for name := range columns {
		if drop.columns && !hasColumn(t, name) {
			texts = append(texts, alter+" DROP COLUMN "+quote(name))
		}
	}
	for _, c := range t.Columns {
		is, exists := columns[strings.ToLower(c.Name)]
		switch {
		case !exists:
			more, err := addColumn(t, c, types[c])
			if err != nil {
				return nil, nil, err
			}
			texts = append(texts, more...)
		case is.columnType != types[c]:
			return nil, nil, unsupported("column %s of table %s is %s and cannot become %s: the server accepts ALTER COLUMN and changes nothing; "+
				"add another column and copy the values", c.Name, t.Name, is.columnType, types[c])
		case c.Nullable && !is.nullable:
			return nil, nil, unsupported("column %s of table %s is NOT NULL and cannot become optional: the server accepts ALTER COLUMN and changes nothing", c.Name, t.Name)
		}
	}
	for _, i := range indexesOf(t) {
		unique, exists := indexes[strings.Join(columnNames(i.columns), ",")]
		if exists && unique == i.unique {
			continue
		}
		if exists {
			return nil, nil, unsupported("the index on (%s) of table %s exists, and whether it is unique cannot be changed: drop it with DROP INDEX ON %[2]s (%[1]s)",
				strings.Join(columnNames(i.columns), ", "), t.Name)
		}
		text, err := createIndex(t, types, i)
		if err != nil {
			return nil, nil, err
		}
		texts = append(texts, text)
	}
	return before, texts, d.checkChecks(ctx, t)
}

func hasColumn(t *schema.Table, name string) bool {
	return slices.ContainsFunc(t.Columns, func(c *schema.Column) bool { return strings.EqualFold(c.Name, name) })
}

// addColumn adds a column. The server adds only nullable ones, so one that must have a
// value is filled with its default in the same transaction; ent never writes NULL to it.
func addColumn(t *schema.Table, c *schema.Column, ct columnType) ([]string, error) {
	value, err := defaultOf(c)
	if err != nil {
		return nil, err
	}
	if !c.Nullable && value == "" {
		return nil, unsupported("column %s cannot be added to table %s: the rows that exist would have no value for it; give the field a Default, or make it Optional", c.Name, t.Name)
	}
	text := "ALTER TABLE " + quote(t.Name) + " ADD COLUMN " + quote(c.Name) + " " + ct.String()
	if value == "" {
		return []string{text}, nil
	}
	return []string{text + " DEFAULT " + value, "UPDATE " + quote(t.Name) + " SET " + quote(c.Name) + " = " + value}, nil
}

func (d *Driver) columns(ctx context.Context, table string) (map[string]stored, error) {
	found, err := collect(ctx, d.db, `SELECT name, type, max_length, nullable, "primary" FROM COLUMNS($1)`, []any{strings.ToLower(table)})
	if err != nil {
		return nil, err
	}
	columns := make(map[string]stored)
	for _, row := range found.rows {
		var s stored
		s.name, _ = row[1].(string)
		if n, _ := row[2].(int64); s.variable() {
			s.length = int(n)
		}
		nullable, _ := row[3].(bool)
		primary, _ := row[4].(bool)
		s.nullable = nullable && !primary
		columns[row[0].(string)] = s
	}
	return columns, nil
}

// indexes returns the columns of each index but the primary key, joined by commas, and
// whether it is unique.
func (d *Driver) indexes(ctx context.Context, table string) (map[string]bool, error) {
	found, err := collect(ctx, d.db, `SELECT name, "unique", "primary" FROM INDEXES($1)`, []any{strings.ToLower(table)})
	if err != nil {
		return nil, err
	}
	indexes := make(map[string]bool)
	for _, row := range found.rows {
		if primary, _ := row[2].(bool); primary {
			continue
		}
		_, list, _ := strings.Cut(strings.TrimSuffix(row[0].(string), ")"), "(")
		indexes[list], _ = row[1].(bool)
	}
	return indexes, nil
}

const noSuchConstraint = "42704" // the SQLSTATE

// checkChecks refuses CHECKs that the table does not have. The catalog does not list
// them, so the driver tries to drop one.
func (d *Driver) checkChecks(ctx context.Context, t *schema.Table) error {
	if t.Annotation == nil {
		return nil
	}
	for name := range t.Annotation.Checks {
		err := trial.Run(ctx, d.db, "ALTER TABLE "+quote(t.Name)+" DROP CONSTRAINT "+quote(name))
		var e *immudb.Error
		if errors.As(err, &e) && e.SQLState == noSuchConstraint {
			return unsupported("CHECK %s cannot be added to table %s, which exists: a CHECK is part of CREATE TABLE", name, t.Name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
