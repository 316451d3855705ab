package gormimmudb

import (
	"bytes"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/schema"

	"github.com/immudb-go/immudb"
)

// condition is true if a column has one of the values.
type condition struct {
	field  *schema.Field
	values []driver.Value
}

// plainConditions returns the conditions of WHERE that every row must meet and that can be
// checked on the client. all reports whether there are no other conditions.
func plainConditions(stmt *gorm.Statement) (plain []condition, all bool) {
	c, ok := stmt.Clauses["WHERE"]
	if !ok {
		return nil, true
	}
	where, ok := c.Expression.(clause.Where)
	if !ok || stmt.Schema == nil {
		return nil, false
	}
	return conjunction(stmt, where.Exprs)
}

func conjunction(stmt *gorm.Statement, exprs []clause.Expression) (plain []condition, all bool) {
	all = true
	for _, e := range exprs {
		var more []condition
		var whole bool
		switch e := e.(type) {
		case clause.OrConditions:
			if len(e.Exprs) == 1 {
				return nil, false // OR before it joins it to the others
			}
		case clause.AndConditions:
			more, whole = conjunction(stmt, e.Exprs)
		case clause.Where:
			more, whole = conjunction(stmt, e.Exprs)
		case clause.Eq:
			more, whole = comparison(stmt, e.Column, []any{e.Value})
		case clause.IN:
			more, whole = comparison(stmt, e.Column, e.Values)
		}
		plain, all = append(plain, more...), all && whole
	}
	return plain, all
}

func comparison(stmt *gorm.Statement, column any, values []any) (plain []condition, all bool) {
	name, own := columnOf(stmt, column)
	field := stmt.Schema.FieldsByDBName[name]
	if !own || field == nil {
		return nil, false
	}
	c := condition{field: field}
	for _, value := range values {
		switch value.(type) {
		case clause.Expression, clause.Column, clause.Table, gorm.Valuer, *gorm.DB:
			return nil, false
		}
		v, err := driver.DefaultParameterConverter.ConvertValue(number(stmt, column, value))
		if err != nil {
			return nil, false
		}
		c.values = append(c.values, v)
	}
	return []condition{c}, true
}

// soleKey returns the primary key of the only row that can meet the conditions, or nil.
// The other conditions may only be that a column is NULL, as for soft deletion.
func soleKey(stmt *gorm.Statement, conditions []condition) []any {
	if stmt.Schema == nil || len(stmt.Schema.PrimaryFields) == 0 {
		return nil
	}
	key := make([]any, len(stmt.Schema.PrimaryFields))
	for _, c := range conditions {
		if len(c.values) != 1 {
			return nil
		}
		i, value := slices.Index(stmt.Schema.PrimaryFields, c.field), c.values[0]
		switch {
		case i >= 0 && value != nil && key[i] == nil:
			key[i] = value
		case i >= 0 || value != nil:
			return nil
		}
	}
	if slices.Contains(key, nil) {
		return nil
	}
	return key
}

// fails reports whether the row certainly does not meet the condition. It is false for
// values of types that the server may compare differently.
func (c condition) fails(row *immudb.ProvenRow) bool {
	got, ok := row.Value(strings.ToLower(c.field.DBName))
	if !ok {
		return false
	}
	for _, want := range c.values {
		if equal, certain := c.equal(want, got); equal || !certain {
			return false
		}
	}
	return true
}

// manySpellings matches a text that may be a value of a UUID or JSON column, whose type
// the model does not show. For the server other texts are equal to it too.
var manySpellings = regexp.MustCompile(`^(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$|[{["])`)

func (c condition) equal(want, got any) (equal, certain bool) {
	if want == nil || got == nil {
		return want == nil && got == nil, true
	}
	switch want := want.(type) {
	case int64, bool:
		same := fmt.Sprintf("%T", want) == fmt.Sprintf("%T", got)
		return want == got, same
	case string:
		text, same := got.(string)
		return text == want, same && declaredType(c.field).name == "VARCHAR" && !manySpellings.MatchString(text)
	case []byte:
		b, same := got.([]byte)
		return bytes.Equal(b, want), same
	case time.Time:
		t, same := got.(time.Time)
		return t.UnixMicro() == want.UnixMicro(), same
	}
	return false, false
}

// selectColumns removes the columns from the rows that were not selected.
func selectColumns(rows []*immudb.ProvenRow, columns []string) ([]*immudb.ProvenRow, error) {
	parts := make([]*immudb.ProvenRow, len(rows))
	for i, row := range rows {
		part := &immudb.ProvenRow{Columns: columns}
		for _, column := range columns {
			v, ok := row.Value(strings.ToLower(column))
			if !ok {
				return nil, fmt.Errorf("gormimmudb: %w: %s in table %s", immudb.ErrNoSuchColumn, column, row.Table)
			}
			part.Values = append(part.Values, v)
		}
		parts[i] = part
	}
	return parts, nil
}

// provenRows are proven rows with the methods that gorm needs.
type provenRows struct {
	rows []*immudb.ProvenRow
	at   int // how many have been returned
}

var _ gorm.Rows = (*provenRows)(nil)

func (r *provenRows) Columns() ([]string, error) {
	if len(r.rows) == 0 {
		return nil, nil
	}
	return slices.Clone(r.rows[0].Columns), nil // gorm changes them
}

func (r *provenRows) ColumnTypes() ([]*sql.ColumnType, error) { return nil, nil }
func (r *provenRows) Err() error                              { return nil }
func (r *provenRows) Close() error                            { return nil }

func (r *provenRows) Next() bool {
	r.at++
	return r.at <= len(r.rows)
}

func (r *provenRows) Scan(dest ...any) error { return r.rows[r.at-1].Scan(intoJSON(dest)...) }
