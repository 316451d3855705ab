package gormimmudb

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/schema"
)

// onlySoftDelete reports whether the index is on a gorm.DeletedAt alone, as in gorm.Model.
// Such an index costs an entry per row in each transaction and saves no reads (nearly all
// rows have the value NULL). It would also make the server use it in transactions, where
// reads through a secondary index can be wrong (see rules/guard.go in the driver).
func onlySoftDelete(idx *schema.Index) bool {
	return len(idx.Fields) == 1 && idx.Class == "" && idx.Fields[0].IndirectFieldType == reflect.TypeFor[gorm.DeletedAt]()
}

// uniqueFirst puts unique indexes before the others: the server has only one index on the
// same columns, and it must be the unique one.
func uniqueFirst(indexes []*schema.Index) []*schema.Index {
	slices.SortStableFunc(indexes, func(a, b *schema.Index) int {
		return strings.Compare(strings.ToUpper(b.Class), strings.ToUpper(a.Class))
	})
	return indexes
}

// indexText is the statement that creates an index, which has no name.
func indexText(table any, fields []*schema.Field, unique bool) (string, []any) {
	text := "CREATE INDEX ON ? ("
	if unique {
		text = "CREATE UNIQUE INDEX ON ? ("
	}
	args := []any{table}
	for i, f := range fields {
		if i > 0 {
			text += ","
		}
		text += "?"
		args = append(args, clause.Column{Name: f.DBName})
	}
	return text + ")", args
}

// indexFields returns the columns of an index, or the reason why the server does not
// support it.
func indexFields(s *schema.Schema, idx *schema.Index) ([]*schema.Field, error) {
	switch class := strings.ToUpper(idx.Class); {
	case class != "" && class != "UNIQUE":
		return nil, unsupported("index %s of table %s: there are no %s indexes", idx.Name, s.Table, class)
	case idx.Where != "":
		return nil, unsupported("index %s of table %s: the server accepts WHERE %s and indexes every row", idx.Name, s.Table, idx.Where)
	case strings.TrimSpace(idx.Option) != "":
		return nil, unsupported("index %s of table %s: option %s", idx.Name, s.Table, idx.Option)
	}
	fields := make([]*schema.Field, len(idx.Fields))
	for i, f := range idx.Fields {
		if f.Expression != "" {
			return nil, unsupported("index %s of table %s: an index on the expression %s", idx.Name, s.Table, f.Expression)
		}
		fields[i] = f.Field
	}
	return fields, nil
}

// HasIndex reports whether there is an index on the columns of the model's index with that
// name. The server's form of the name, t(a,b), works too.
func (m Migrator) HasIndex(value any, name string) bool {
	found := false
	_ = m.RunWithValue(value, func(stmt *gorm.Statement) error {
		indexes, err := m.indexes(stmt.Table)
		if err != nil {
			return err
		}
		if idx := stmt.Schema.LookIndex(name); idx != nil {
			have := find(indexes, indexColumns(idx))
			found = have != nil && (have.unique || !strings.EqualFold(idx.Class, "UNIQUE"))
			return nil
		}
		found = slices.ContainsFunc(indexes, func(i index) bool { return strings.EqualFold(i.name, name) })
		return nil
	})
	return found
}

// CreateIndex creates an index of the model. A unique index can be created only on an
// empty table.
func (m Migrator) CreateIndex(value any, name string) error {
	return m.RunWithValue(value, func(stmt *gorm.Statement) error {
		idx := stmt.Schema.LookIndex(name)
		if idx == nil {
			return fmt.Errorf("gormimmudb: the model of table %s has no index %s", stmt.Table, name)
		}
		fields, err := indexFields(stmt.Schema, idx)
		if err == nil {
			err = checkIndex(stmt.Schema, fields)
		}
		if err != nil {
			return err
		}
		text, args := indexText(m.CurrentTable(stmt), fields, strings.EqualFold(idx.Class, "UNIQUE"))
		return m.DB.Session(&gorm.Session{}).Exec(text, args...).Error
	})
}

// DropIndex drops an index of the model, or one given as t(a,b).
func (m Migrator) DropIndex(value any, name string) error {
	return m.RunWithValue(value, func(stmt *gorm.Statement) error {
		if idx := stmt.Schema.LookIndex(name); idx != nil {
			return m.dropIndex(stmt, indexColumns(idx))
		}
		if _, list, ok := strings.Cut(strings.TrimSuffix(name, ")"), "("); ok {
			return m.dropIndex(stmt, strings.Split(list, ","))
		}
		return fmt.Errorf("gormimmudb: table %s has no index %s; those of no model are named by their columns, as in %s(a,b)",
			stmt.Table, name, stmt.Table)
	})
}

func (m Migrator) dropIndex(stmt *gorm.Statement, columns []string) error {
	args := []any{m.CurrentTable(stmt)}
	for _, c := range columns {
		args = append(args, clause.Column{Name: c})
	}
	return m.DB.Session(&gorm.Session{}).Exec("DROP INDEX ON ? ("+strings.TrimSuffix(strings.Repeat("?,", len(columns)), ",")+")", args...).Error
}

// RenameIndex is refused: the server's indexes have no names.
func (m Migrator) RenameIndex(_ any, oldName, newName string) error {
	return unsupported("index %s cannot become %s: indexes have no names; change the model's tag, nothing is to be done in the database", oldName, newName)
}
