package gormimmudb

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/migrator"
	"gorm.io/gorm/schema"

	"github.com/immudb-go/immudb/internal/trial"
)

var _ gorm.Migrator = Migrator{}

// Migrator creates and changes tables. A change that the server cannot make, or would
// accept without making it, is an error that wraps [immudb.ErrUnsupported].
type Migrator struct {
	migrator.Migrator
}

// dataTypeOf is DataTypeOf for a field whose type has a method GormDBDataType that names it as
// other databases do, too.
func (m Migrator) dataTypeOf(field *schema.Field) string {
	declared := m.Migrator.DataTypeOf(field)
	if t := namedType(declared, field); t.name != "" {
		return keyed(t, field).String()
	}
	return declared
}

// FullDataTypeOf returns the type of a field with NOT NULL and DEFAULT, in the order that
// the server requires: before AUTO_INCREMENT.
func (m Migrator) FullDataTypeOf(field *schema.Field) clause.Expr {
	expr := m.Migrator.FullDataTypeOf(field)
	expr.SQL = m.dataTypeOf(field) + strings.TrimPrefix(expr.SQL, m.Migrator.DataTypeOf(field))
	if before, after, ok := strings.Cut(expr.SQL, " AUTO_INCREMENT"); ok {
		expr.SQL = before + after + " AUTO_INCREMENT"
	}
	return expr
}

// rowColumn is the key of tables whose model has none: the server requires a primary key.
const rowColumn = "_row"

// AutoMigrate creates missing tables, and adds missing columns and indexes to the others.
// A second call changes nothing.
func (m Migrator) AutoMigrate(values ...any) error {
	for _, value := range m.ReorderModels(values, true) {
		if !m.HasTable(value) {
			if err := m.DB.Migrator().CreateTable(value); err != nil {
				return err
			}
			continue
		}
		if err := m.RunWithValue(value, func(stmt *gorm.Statement) error { return m.migrateTable(value, stmt) }); err != nil {
			return err
		}
	}
	return nil
}

func (m Migrator) migrateTable(value any, stmt *gorm.Statement) error {
	s := stmt.Schema
	if s == nil {
		return errors.New("gormimmudb: AutoMigrate needs a model, not a name")
	}
	if m.rebuilds() {
		if differs, err := m.differs(value, stmt); err != nil || differs {
			if err == nil {
				_, err = m.rebuildValue(value, true)
			}
			return err
		}
	}
	types, err := m.DB.Migrator().ColumnTypes(value)
	if err != nil {
		return err
	}
	for _, name := range s.DBNames {
		at := slices.IndexFunc(types, func(t gorm.ColumnType) bool { return t.Name() == name })
		if at < 0 {
			err = m.DB.Migrator().AddColumn(value, name)
		} else {
			err = m.DB.Migrator().MigrateColumn(value, s.FieldsByDBName[name], types[at])
		}
		if err != nil {
			return err
		}
	}
	for _, field := range s.Fields {
		name := m.DB.NamingStrategy.UniqueName(stmt.Table, field.DBName)
		if field.Unique && !field.PrimaryKey && field.DBName != "" && !field.IgnoreMigration && !m.DB.Migrator().HasConstraint(value, name) {
			if err := m.DB.Migrator().CreateConstraint(value, name); err != nil {
				return err
			}
		}
	}
	for name := range s.ParseCheckConstraints() {
		if !m.DB.Migrator().HasConstraint(value, name) {
			if err := m.DB.Migrator().CreateConstraint(value, name); err != nil {
				return err
			}
		}
	}
	for _, idx := range uniqueFirst(s.ParseIndexes()) {
		if !onlySoftDelete(idx) && !m.DB.Migrator().HasIndex(value, idx.Name) {
			if err := m.DB.Migrator().CreateIndex(value, idx.Name); err != nil {
				return err
			}
		}
	}
	return nil
}

// CreateTable creates tables with their indexes, each table in one transaction.
func (m Migrator) CreateTable(values ...any) error {
	for _, value := range m.ReorderModels(values, false) {
		err := m.RunWithValue(value, func(stmt *gorm.Statement) error {
			text, args, err := m.tableText(stmt, m.CurrentTable(stmt), nil)
			if err != nil {
				return err
			}
			return m.DB.Session(&gorm.Session{}).Exec(text, args...).Error
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// tableText returns the statements that create the model's table, under the given
// name, and its indexes. Columns that are nullable stay so, whatever the model says.
func (m Migrator) tableText(stmt *gorm.Statement, table any, nullable []string) (string, []any, error) {
	s := stmt.Schema
	if s == nil {
		return "", nil, errors.New("gormimmudb: CREATE TABLE needs a model, not a name")
	}
	if option, ok := m.DB.Get("gorm:table_options"); ok && strings.TrimSpace(fmt.Sprint(option)) != "" {
		return "", nil, unsupported("table options: %v", option)
	}
	var text strings.Builder
	args := []any{table}
	text.WriteString("CREATE TABLE ? (")
	for _, name := range s.DBNames {
		field := s.FieldsByDBName[name]
		if field.IgnoreMigration {
			continue
		}
		if _, tagged := field.TagSettings["AUTOINCREMENT"]; tagged && field.AutoIncrement && field.PrimaryKey && !isSoleKey(field) {
			return "", nil, unsupported("column %s of table %s cannot be AUTO_INCREMENT: only the one column of a primary key can", name, stmt.Table)
		}
		if field.NotNull && slices.Contains(nullable, name) {
			stays := *field
			stays.NotNull = false
			field = &stays
		}
		text.WriteString("? ?,")
		args = append(args, clause.Column{Name: name}, m.DB.Migrator().FullDataTypeOf(field))
	}
	for _, check := range s.ParseCheckConstraints() {
		text.WriteString("CONSTRAINT ? CHECK (?),")
		args = append(args, clause.Column{Name: check.Name}, clause.Expr{SQL: check.Constraint})
	}
	key := primaryColumns(s)
	if len(key) == 0 {
		key = []string{rowColumn}
		text.WriteString("? INTEGER AUTO_INCREMENT,")
		args = append(args, clause.Column{Name: rowColumn})
	}
	text.WriteString("PRIMARY KEY (" + strings.TrimSuffix(strings.Repeat("?,", len(key)), ",") + "))")
	for _, name := range key {
		args = append(args, clause.Column{Name: name})
	}

	made := [][]string{key} // the server has only one index on the same columns
	add := func(fields []*schema.Field, unique bool) error {
		if slices.ContainsFunc(made, func(c []string) bool { return slices.Equal(c, dbNames(fields)) }) {
			return nil
		}
		made = append(made, dbNames(fields))
		if err := checkIndex(s, fields); err != nil {
			return err
		}
		sql, indexArgs := indexText(table, fields, unique)
		text.WriteString(";" + sql)
		args = append(args, indexArgs...)
		return nil
	}
	for _, field := range s.Fields {
		if field.Unique && field.DBName != "" && !field.IgnoreMigration {
			if err := add([]*schema.Field{field}, true); err != nil {
				return "", nil, err
			}
		}
	}
	for _, idx := range uniqueFirst(s.ParseIndexes()) {
		if onlySoftDelete(idx) {
			continue
		}
		fields, err := indexFields(s, idx)
		if err == nil {
			err = add(fields, strings.EqualFold(idx.Class, "UNIQUE"))
		}
		if err != nil {
			return "", nil, err
		}
	}
	return text.String(), args, nil
}

// DropTable drops tables, those that depend on others first.
func (m Migrator) DropTable(values ...any) error {
	values = m.ReorderModels(values, false)
	for _, value := range slices.Backward(values) {
		err := m.RunWithValue(value, func(stmt *gorm.Statement) error {
			table := m.CurrentTable(stmt)
			text, args := "", []any{}
			// The server cannot drop a table that has CHECKs.
			if stmt.Schema != nil && len(stmt.Schema.ParseCheckConstraints()) > 0 && m.HasTable(stmt.Table) {
				for name := range stmt.Schema.ParseCheckConstraints() {
					if m.hasCheck(stmt, name) {
						text += "ALTER TABLE ? DROP CONSTRAINT ?;"
						args = append(args, table, clause.Column{Name: name})
					}
				}
			}
			err := m.DB.Session(&gorm.Session{}).Exec(text+"DROP TABLE IF EXISTS ?", append(args, table)...).Error
			if err != nil && strings.Contains(err.Error(), "key not found") {
				return fmt.Errorf("%w: the server cannot drop a table that has CHECK constraints: "+
					"drop them first, or pass the model that declares them", err)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// AddColumn adds a column. The server adds only nullable columns, which are NULL in the
// existing rows even if there is a DEFAULT.
func (m Migrator) AddColumn(value any, name string) error {
	return m.RunWithValue(value, func(stmt *gorm.Statement) error {
		field, err := lookUp(stmt, name)
		if err != nil || field.IgnoreMigration {
			return err
		}
		if field.NotNull {
			return unsupported("column %s cannot be added to table %s as NOT NULL: the rows that exist would have no value for it; "+
				"add it without the tag and fill it in", field.DBName, stmt.Table)
		}
		return m.DB.Session(&gorm.Session{}).Exec("ALTER TABLE ? ADD COLUMN ? ?",
			m.CurrentTable(stmt), clause.Column{Name: field.DBName}, m.DB.Migrator().FullDataTypeOf(field)).Error
	})
}

func lookUp(stmt *gorm.Statement, name string) (*schema.Field, error) {
	if stmt.Schema == nil {
		return nil, fmt.Errorf("gormimmudb: table %s is given by name, and a field needs a model", stmt.Table)
	}
	if f := stmt.Schema.LookUpField(name); f != nil {
		return f, nil
	}
	return nil, fmt.Errorf("gormimmudb: model %s has no field or column %s", stmt.Schema.Name, name)
}

// AlterColumn does nothing if the column has the field's type, and is refused otherwise:
// the server accepts the statement and changes nothing. With Config.RebuildTables it
// copies the table.
func (m Migrator) AlterColumn(value any, name string) error {
	return m.RunWithValue(value, func(stmt *gorm.Statement) error {
		field, err := lookUp(stmt, name)
		if err != nil {
			return err
		}
		columns, err := m.DB.Migrator().ColumnTypes(value)
		if err != nil {
			return err
		}
		for _, actual := range columns {
			if strings.EqualFold(actual.Name(), field.DBName) && !m.needsAlter(field, actual) {
				return nil
			}
		}
		if m.rebuilds() {
			_, err := m.rebuildValue(value, true)
			return err
		}
		return unsupported("column %s of table %s cannot become %s: the server accepts ALTER COLUMN and changes nothing; "+
			"Migrator.Rebuild copies the table into a new shape", field.DBName, stmt.Table, m.DB.Migrator().FullDataTypeOf(field).SQL)
	})
}

// MigrateColumn compares a column with its field. A difference in type or length,
// or a column that is NOT NULL although the field is not, needs AlterColumn. Defaults are
// not compared: the catalog does not have them.
func (m Migrator) MigrateColumn(value any, field *schema.Field, actual gorm.ColumnType) error {
	if field.IgnoreMigration {
		return nil
	}
	if m.needsAlter(field, actual) {
		if err := m.DB.Migrator().AlterColumn(value, field.DBName); err != nil {
			stored, _ := actual.ColumnType()
			return fmt.Errorf("column %s is %s now: %w", field.DBName, stored, err)
		}
		return nil
	}
	return m.DB.Migrator().MigrateColumnUnique(value, field, actual)
}

func (m Migrator) needsAlter(field *schema.Field, actual gorm.ColumnType) bool {
	declared, _, _ := strings.Cut(m.dataTypeOf(field), " ")
	stored, _ := actual.ColumnType()
	nullable, _ := actual.Nullable()
	return !strings.EqualFold(declared, stored) || !nullable && !field.NotNull && !field.PrimaryKey
}

// MigrateColumnUnique adds a missing unique index of a unique field. It does not remove
// one from a field that is not unique.
func (m Migrator) MigrateColumnUnique(value any, field *schema.Field, actual gorm.ColumnType) error {
	if unique, _ := actual.Unique(); unique || !field.Unique || field.PrimaryKey {
		return nil
	}
	return m.RunWithValue(value, func(stmt *gorm.Statement) error {
		return m.DB.Migrator().CreateConstraint(value, m.DB.NamingStrategy.UniqueName(stmt.Table, field.DBName))
	})
}

// HasConstraint reports whether the table has a CHECK or the index of a unique constraint.
// It is false for foreign keys: the server does not store them.
func (m Migrator) HasConstraint(value any, name string) bool {
	found := false
	_ = m.RunWithValue(value, func(stmt *gorm.Statement) error {
		constraint, _ := m.GuessConstraintInterfaceAndTable(stmt, name)
		switch c := constraint.(type) {
		case *schema.UniqueConstraint:
			indexes, err := m.indexes(stmt.Table)
			idx := find(indexes, []string{c.Field.DBName})
			found = idx != nil && idx.unique
			return err
		case *schema.CheckConstraint:
			found = m.hasCheck(stmt, c.Name)
		case nil:
			found = m.hasCheck(stmt, name)
		}
		return nil
	})
	return found
}

// hasCheck finds out whether a CHECK exists by dropping it in a transaction that is not
// committed, because the catalog does not list CHECKs. It never uses the caller's
// transaction for that, because a refusal would end it.
func (m Migrator) hasCheck(stmt *gorm.Statement, name string) bool {
	db, err := m.DB.DB()
	if err != nil {
		return false
	}
	return trial.Run(m.context(), db, "ALTER TABLE "+stmt.Quote(stmt.Table)+" DROP CONSTRAINT "+stmt.Quote(name)) == nil
}

// CreateConstraint creates the index of a unique constraint. The server has no
// other constraint that could be added to a table.
func (m Migrator) CreateConstraint(value any, name string) error {
	return m.RunWithValue(value, func(stmt *gorm.Statement) error {
		constraint, table := m.GuessConstraintInterfaceAndTable(stmt, name)
		switch c := constraint.(type) {
		case *schema.UniqueConstraint:
			fields := []*schema.Field{c.Field}
			if err := checkIndex(stmt.Schema, fields); err != nil {
				return err
			}
			text, args := indexText(m.CurrentTable(stmt), fields, true)
			return m.DB.Session(&gorm.Session{}).Exec(text, args...).Error
		case *schema.CheckConstraint:
			if m.rebuilds() {
				_, err := m.rebuildValue(value, true)
				return err
			}
			return unsupported("CHECK %s cannot be added to table %s, which exists: a CHECK is part of CREATE TABLE; "+
				"Migrator.Rebuild copies the table into a new shape", c.Name, table)
		case *schema.Constraint:
			return unsupported("foreign key %s of table %s: the server parses foreign keys and enforces nothing", c.Name, table)
		}
		return fmt.Errorf("gormimmudb: the model of table %s has no constraint %s", stmt.Table, name)
	})
}

// DropConstraint drops a CHECK or the index of a unique constraint.
func (m Migrator) DropConstraint(value any, name string) error {
	return m.RunWithValue(value, func(stmt *gorm.Statement) error {
		constraint, table := m.GuessConstraintInterfaceAndTable(stmt, name)
		switch c := constraint.(type) {
		case *schema.UniqueConstraint:
			return m.dropIndex(stmt, []string{c.Field.DBName})
		case *schema.CheckConstraint:
			name = c.Name
		case *schema.Constraint:
			return unsupported("foreign key %s of table %s: the server has no foreign keys to drop", c.Name, table)
		}
		return m.DB.Session(&gorm.Session{}).Exec("ALTER TABLE ? DROP CONSTRAINT ?",
			clause.Table{Name: table}, clause.Column{Name: name}).Error
	})
}

// CreateView creates a view; with Replace it replaces an existing one. There is no CHECK
// OPTION. Queries must write a view's columns without a table name, or with the name of
// the table that the view reads.
func (m Migrator) CreateView(name string, option gorm.ViewOption) error {
	if option.Query == nil {
		return gorm.ErrSubQueryRequired
	}
	if option.CheckOption != "" {
		return unsupported("view %s: %s", name, option.CheckOption)
	}
	if option.Replace {
		if err := m.DropView(name); err != nil {
			return err
		}
	}
	text := new(strings.Builder)
	text.WriteString("CREATE VIEW ")
	m.QuoteTo(text, name)
	text.WriteString(" AS ")
	stmt := m.DB.Session(&gorm.Session{NewDB: true}).Statement
	stmt.AddVar(text, option.Query)
	return m.DB.Session(&gorm.Session{}).Exec(m.Explain(text.String(), stmt.Vars...)).Error
}

// GetTypeAliases returns nothing: a type has one name in the catalog.
func (m Migrator) GetTypeAliases(string) []string { return nil }
