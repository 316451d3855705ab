package gormimmudb

import (
	"context"
	"database/sql"
	"reflect"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/migrator"
	"gorm.io/gorm/schema"

	"github.com/immudb-go/immudb"
)

// CurrentDatabase returns the name of the database of the next connection, or ""
// if the connections are not the driver's.
func (m Migrator) CurrentDatabase() string {
	db, err := m.DB.DB()
	if err != nil {
		return ""
	}
	if p, ok := m.DB.ConnPool.(*pool); ok && p.database != "" {
		return p.database
	}
	// SELECT CURRENT_DATABASE() returns "defaultdb" in every database.
	conn, err := db.Conn(m.context())
	if err != nil {
		return ""
	}
	defer conn.Close()
	name := ""
	_ = immudb.Raw(m.context(), conn, func(c *immudb.Conn) error {
		name = c.Database()
		return nil
	})
	return name
}

func (m Migrator) context() context.Context {
	if m.DB.Statement != nil && m.DB.Statement.Context != nil {
		return m.DB.Statement.Context
	}
	return context.Background()
}

// GetTables returns the names of all tables, without views.
func (m Migrator) GetTables() (tables []string, err error) {
	err = m.catalog().Raw("SELECT name FROM TABLES()").Scan(&tables).Error
	return tables, err
}

// catalog is a handle for queries of the catalog, which run in dry runs too.
func (m Migrator) catalog() *gorm.DB {
	db := m.DB.Session(&gorm.Session{NewDB: true})
	db.DryRun = false
	return db
}

// HasTable reports whether the table exists. Upper and lower case are the same to
// the server.
func (m Migrator) HasTable(value any) bool {
	found := false
	_ = m.RunWithValue(value, func(stmt *gorm.Statement) error {
		tables, err := m.GetTables()
		found = err == nil && slices.ContainsFunc(tables, func(t string) bool { return strings.EqualFold(t, stmt.Table) })
		return err
	})
	return found
}

// TableType returns the catalog's description of a table.
func (m Migrator) TableType(value any) (gorm.TableType, error) {
	var t migrator.TableType
	err := m.RunWithValue(value, func(stmt *gorm.Statement) error {
		if !m.HasTable(stmt.Table) {
			return unsupported("table %s does not exist, or is a view, which the catalog does not list", stmt.Table)
		}
		t = migrator.TableType{SchemaValue: "public", NameValue: stmt.Table, TypeValue: "BASE TABLE"}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return t, nil
}

// column is a row of COLUMNS(t).
type column struct {
	Name          string
	Type          string
	MaxLength     int
	Nullable      bool
	AutoIncrement bool
	Primary       bool
	Unique        bool
}

func (c column) sqlType() columnType { return columnType{name: c.Type, length: c.MaxLength} }

func (m Migrator) columns(table string) ([]column, error) {
	rows, err := m.catalog().Raw(`SELECT name, type, max_length, nullable, "auto_increment", "primary", "unique" FROM COLUMNS(?)`,
		strings.ToLower(table)).Rows()
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []column
	for rows.Next() {
		var c column
		if err := rows.Scan(&c.Name, &c.Type, &c.MaxLength, &c.Nullable, &c.AutoIncrement, &c.Primary, &c.Unique); err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, rows.Err()
}

// HasColumn reports whether the table has the column, given by its name or the name of
// its field.
func (m Migrator) HasColumn(value any, field string) bool {
	found := false
	_ = m.RunWithValue(value, func(stmt *gorm.Statement) error {
		columns, err := m.columns(stmt.Table)
		name := columnName(stmt, field)
		found = err == nil && slices.ContainsFunc(columns, func(c column) bool { return strings.EqualFold(c.Name, name) })
		return err
	})
	return found
}

// columnName is the column of a field, or the name itself.
func columnName(stmt *gorm.Statement, name string) string {
	if stmt.Schema != nil {
		if f := stmt.Schema.LookUpField(name); f != nil {
			return f.DBName
		}
	}
	return name
}

var scanTypes = map[string]reflect.Type{
	"INTEGER":   reflect.TypeFor[int64](),
	"BOOLEAN":   reflect.TypeFor[bool](),
	"VARCHAR":   reflect.TypeFor[string](),
	"UUID":      reflect.TypeFor[string](),
	"JSON":      reflect.TypeFor[string](),
	"BLOB":      reflect.TypeFor[[]byte](),
	"FLOAT":     reflect.TypeFor[float64](),
	"TIMESTAMP": reflect.TypeFor[time.Time](),
}

// ColumnTypes returns the catalog's description of a table's columns. The catalog does
// not have default values. A name that differs from the model's only in case is returned
// as in the model.
func (m Migrator) ColumnTypes(value any) ([]gorm.ColumnType, error) {
	var types []gorm.ColumnType
	err := m.RunWithValue(value, func(stmt *gorm.Statement) error {
		columns, err := m.columns(stmt.Table)
		for _, c := range columns {
			t := migrator.ColumnType{
				NameValue:          sql.NullString{String: modelName(stmt.Schema, c.Name), Valid: true},
				DataTypeValue:      sql.NullString{String: c.Type, Valid: true},
				ColumnTypeValue:    sql.NullString{String: c.sqlType().String(), Valid: true},
				PrimaryKeyValue:    sql.NullBool{Bool: c.Primary, Valid: true},
				UniqueValue:        sql.NullBool{Bool: c.Unique, Valid: true},
				AutoIncrementValue: sql.NullBool{Bool: c.AutoIncrement, Valid: true},
				NullableValue:      sql.NullBool{Bool: c.Nullable && !c.Primary, Valid: true},
				ScanTypeValue:      scanTypes[c.Type],
			}
			if c.sqlType().variable() && c.MaxLength > 0 {
				t.LengthValue = sql.NullInt64{Int64: int64(c.MaxLength), Valid: true}
			}
			types = append(types, t)
		}
		return err
	})
	return types, err
}

// modelName returns the model's spelling of a column.
func modelName(s *schema.Schema, name string) string {
	if s != nil {
		for _, n := range s.DBNames {
			if strings.EqualFold(n, name) {
				return n
			}
		}
	}
	return name
}

// index is a row of INDEXES(t).
type index struct {
	name    string // t(a,b)
	columns []string
	unique  bool
	primary bool
}

func (m Migrator) indexes(table string) ([]index, error) {
	rows, err := m.catalog().Raw(`SELECT name, "unique", "primary" FROM INDEXES(?)`, strings.ToLower(table)).Rows()
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []index
	for rows.Next() {
		var idx index
		if err := rows.Scan(&idx.name, &idx.unique, &idx.primary); err != nil {
			return nil, err
		}
		if _, list, ok := strings.Cut(strings.TrimSuffix(idx.name, ")"), "("); ok {
			idx.columns = strings.Split(list, ",")
		}
		all = append(all, idx)
	}
	return all, rows.Err()
}

// find returns the index on exactly these columns, in their order.
func find(indexes []index, columns []string) *index {
	for i := range indexes {
		if slices.EqualFunc(indexes[i].columns, columns, strings.EqualFold) {
			return &indexes[i]
		}
	}
	return nil
}

// GetIndexes returns the indexes of a table, including the primary key. The server names
// them by their columns, as t(a,b); if the model has an index on the same columns, its
// name is returned.
func (m Migrator) GetIndexes(value any) ([]gorm.Index, error) {
	var all []gorm.Index
	err := m.RunWithValue(value, func(stmt *gorm.Statement) error {
		indexes, err := m.indexes(stmt.Table)
		for _, idx := range indexes {
			out := migrator.Index{
				TableName:       stmt.Table,
				NameValue:       idx.name,
				PrimaryKeyValue: sql.NullBool{Bool: idx.primary, Valid: true},
				UniqueValue:     sql.NullBool{Bool: idx.unique, Valid: true},
			}
			for _, c := range idx.columns {
				out.ColumnList = append(out.ColumnList, modelName(stmt.Schema, c))
			}
			if stmt.Schema != nil && !idx.primary {
				for _, named := range stmt.Schema.ParseIndexes() {
					if find([]index{idx}, indexColumns(named)) != nil {
						out.NameValue = named.Name
						break
					}
				}
			}
			all = append(all, out)
		}
		return err
	})
	return all, err
}

func indexColumns(idx *schema.Index) []string {
	columns := make([]string, len(idx.Fields))
	for i, f := range idx.Fields {
		columns[i] = f.DBName
	}
	return columns
}
