package gormimmudb

import (
	"database/sql/driver"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"gorm.io/gorm"
	"gorm.io/gorm/callbacks"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/schema"

	"github.com/immudb-go/immudb"
)

// registerCallbacks replaces callbacks of gorm by those of the dialect.
func registerCallbacks(db *gorm.DB, insert func(*gorm.DB)) error {
	const committed = "gorm:commit_or_rollback_transaction"
	cb := db.Callback()
	for _, register := range []func() error{
		func() error { return cb.Create().Replace("gorm:begin_transaction", beginForCreate) },
		func() error { return cb.Update().Replace("gorm:begin_transaction", beginForUpdate) },
		func() error { return cb.Delete().Replace("gorm:begin_transaction", beginForDelete) },
		func() error { return cb.Create().Replace("gorm:create", func(db *gorm.DB) { create(db, insert) }) },
		func() error { return cb.Create().Before("gorm:create").Register("immudb:prepare", prepareWrite) },
		func() error { return cb.Query().Before("gorm:query").Register("immudb:prepare", prepareQuery) },
		func() error { return cb.Query().Replace("gorm:query", query) },
		func() error { return cb.Query().After("gorm:preload").Register("immudb:unproven", forgetUnproven) },
		func() error { return cb.Row().Before("gorm:row").Register("immudb:prepare", prepareRow) },
		func() error { return cb.Row().After("gorm:row").Register("immudb:refused", answerRow) },
		func() error { return cb.Raw().Before("gorm:raw").Register("immudb:prepare", refuseRaw) },
		func() error { return cb.Update().Before("gorm:update").Register("immudb:prepare", prepareWrite) },
		func() error { return cb.Delete().Before("gorm:delete").Register("immudb:prepare", prepareWrite) },
		func() error { return cb.Update().Before("gorm:update").Register("immudb:limit", limitWrite) },
		func() error { return cb.Delete().Before("gorm:delete").Register("immudb:limit", limitWrite) },
		func() error { return cb.Create().After(committed).Register("immudb:remedy", tellRemedy(createRemedy)) },
		func() error { return cb.Update().After(committed).Register("immudb:remedy", tellRemedy(updateRemedy)) },
		func() error { return cb.Delete().After(committed).Register("immudb:remedy", tellRemedy(deleteRemedy)) },
	} {
		if err := register(); err != nil {
			return err
		}
	}
	return nil
}

// beginForCreate begins gorm's default transaction only if more than the INSERT is to
// run. A single statement is atomic without it, needs no calls to begin and commit, and
// is run again by the driver after a conflict.
func beginForCreate(db *gorm.DB) {
	s := db.Statement.Schema
	if s == nil || hooked(db, s.BeforeSave, s.BeforeCreate, s.AfterSave, s.AfterCreate) || savesAssociations(db) {
		callbacks.BeginTransaction(db)
	}
}

func beginForUpdate(db *gorm.DB) {
	s := db.Statement.Schema
	if s == nil || hooked(db, s.BeforeSave, s.BeforeUpdate, s.AfterSave, s.AfterUpdate) || savesAssociations(db) {
		callbacks.BeginTransaction(db)
	}
}

func beginForDelete(db *gorm.DB) {
	s := db.Statement.Schema
	if s == nil || hooked(db, s.BeforeDelete, s.AfterDelete) || len(db.Statement.Selects) > 0 {
		callbacks.BeginTransaction(db)
	}
}

// hooked reports whether hooks of the model run with the statement.
func hooked(db *gorm.DB, hooks ...bool) bool {
	if db.Statement.SkipHooks {
		return false
	}
	for _, h := range hooks {
		if h {
			return true
		}
	}
	return false
}

// savesAssociations reports whether associated values may be written together with the
// value.
func savesAssociations(db *gorm.DB) bool {
	s := db.Statement.Schema
	if len(s.Relationships.Relations) == 0 {
		return false
	}
	dest := reflect.ValueOf(db.Statement.Dest)
	for dest.Kind() == reflect.Pointer {
		dest = dest.Elem()
	}
	if dest.Kind() == reflect.Map || !dest.IsValid() {
		return true
	}
	carries := func(v reflect.Value) bool {
		v = reflect.Indirect(v)
		if v.Kind() != reflect.Struct || v.Type() != s.ModelType {
			return true // another type: gorm reports it
		}
		for _, rel := range s.Relationships.Relations {
			if rel.Field == nil || rel.Field.Schema != s {
				return true
			}
			if _, zero := rel.Field.ValueOf(db.Statement.Context, v); !zero {
				return true
			}
		}
		return false
	}
	if dest.Kind() != reflect.Slice && dest.Kind() != reflect.Array {
		return carries(dest)
	}
	for i := range dest.Len() {
		if carries(dest.Index(i)) {
			return true
		}
	}
	return false
}

func prepareWrite(db *gorm.DB) {
	if periodOf(db.Statement) != nil {
		_ = db.AddError(unsupported("time travel is for reading"))
	}
	refuseProof(db, "it is for reading")
	mapColumns(db)
}

// refuseRaw refuses clauses that would have no effect on SQL that the program wrote.
func refuseRaw(db *gorm.DB) {
	if periodOf(db.Statement) != nil {
		_ = db.AddError(unsupported("time travel in raw SQL: write it after the table, as in users UNTIL TX 42"))
	}
	refuseProof(db, "raw SQL")
}

func prepareRow(db *gorm.DB) {
	refuseProof(db, "Row, Rows and Scan hand out the server's rows; use Find")
	prepareQuery(db)
}

func prepareQuery(db *gorm.DB) {
	mapColumns(db)
	if db.Statement.SQL.Len() > 0 {
		refuseRaw(db)
		return
	}
	limitToNothing(db.Statement)
}

// query runs gorm's query, or proves its rows.
func query(db *gorm.DB) {
	stmt := db.Statement
	if db.Error == nil {
		callbacks.BuildQuerySQL(db)
	}
	switch {
	case db.Error != nil:
		return
	case wantsProof(stmt):
		verify(db)
	case !db.DryRun:
		rows, err := stmt.ConnPool.QueryContext(stmt.Context, stmt.SQL.String(), stmt.Vars...)
		if db.AddError(err) != nil {
			return
		}
		defer func() { _ = db.AddError(rows.Close()) }()
		gorm.Scan(jsonRows{rows}, db, 0)
	}
	if stmt.Result != nil {
		stmt.Result.RowsAffected = db.RowsAffected
	}
}

// mapColumns restores the case of the model's columns, because the server folds every
// name to lower case.
func mapColumns(db *gorm.DB) {
	if s := db.Statement.Schema; s != nil {
		for _, name := range s.DBNames {
			spell(db.Statement, name)
		}
	}
}

// spell records the spelling of a name that will come back in lower case.
func spell(stmt *gorm.Statement, name string) {
	lower := strings.ToLower(name)
	if lower == name || stmt.ColumnMapping[lower] != "" {
		return
	}
	// Statements share the map they were cloned with.
	mapping := maps.Clone(stmt.ColumnMapping)
	if mapping == nil {
		mapping = make(map[string]string)
	}
	mapping[lower] = name
	stmt.ColumnMapping = mapping
}

var clauseBuilders = map[string]clause.ClauseBuilder{
	"SET":         buildSet,
	"SELECT":      buildSelect,
	"FROM":        buildFrom,
	"WHERE":       buildWhere,
	"FOR":         buildLocking,
	"ON CONFLICT": buildConflict,
}

// buildDefault writes a clause as gorm does.
func buildDefault(c clause.Clause, builder clause.Builder) {
	c.Builder = nil
	c.Build(builder)
}

// buildSelect writes SELECT. It replaces stars that the server does not accept by columns,
// and records the aliases, which come back in lower case.
func buildSelect(c clause.Clause, builder clause.Builder) {
	if stmt, ok := builder.(*gorm.Statement); ok {
		c.Expression = selected(stmt, c.Expression)
	}
	buildDefault(c, builder)
}

func selected(stmt *gorm.Statement, e clause.Expression) clause.Expression {
	switch e := e.(type) {
	case clause.Select:
		e.Columns = slices.Clone(e.Columns)
		for i := range e.Columns {
			c := &e.Columns[i]
			if c.Alias != "" {
				spell(stmt, c.Alias)
			}
			if c.Raw {
				c.Name = alone(stmt, withoutStars(stmt, c.Name), len(e.Columns))
			}
		}
		return e
	case clause.CommaExpression:
		e.Exprs = slices.Clone(e.Exprs)
		for i := range e.Exprs {
			e.Exprs[i] = selected(stmt, e.Exprs[i])
			if x, ok := e.Exprs[i].(clause.Expr); ok {
				x.SQL = alone(stmt, x.SQL, len(e.Exprs))
				e.Exprs[i] = x
			}
		}
		return e
	case clause.Expr:
		e.SQL = withoutStars(stmt, e.SQL)
		return e
	case clause.NamedExpr:
		e.SQL = withoutStars(stmt, e.SQL)
		return e
	}
	return e
}

// alone leaves a star that is one of n columns only if n is 1.
func alone(stmt *gorm.Statement, column string, n int) string {
	if n > 1 && strings.TrimSpace(column) == "*" {
		if list, ok := ownColumnList(stmt); ok {
			return list
		}
	}
	return column
}

// buildSet writes SET with unqualified names, because the server accepts no others there,
// and without unchanged key columns, which the server refuses. NULL for a NOT NULL column
// is refused here, because the server accepts it in an UPDATE.
func buildSet(c clause.Clause, builder clause.Builder) {
	set, isSet := c.Expression.(clause.Set)
	stmt, isStatement := builder.(*gorm.Statement)
	if isSet && isStatement {
		plain := make(clause.Set, 0, len(set))
		for _, a := range set {
			a.Column.Table = ""
			a.Value = asJSON(stmt.Schema, a.Column.Name, a.Value)
			if nullsNotNull(stmt, a) {
				_ = builder.AddError(fmt.Errorf("gormimmudb: %w: column %s of table %s", immudb.ErrNotNull, a.Column.Name, stmt.Table))
			}
			if len(set) == 1 || !staysSame(stmt, a) {
				plain = append(plain, a)
			}
		}
		c.Expression = plain
	}
	buildDefault(c, builder)
}

func nullsNotNull(stmt *gorm.Statement, a clause.Assignment) bool {
	if stmt.Schema == nil {
		return false
	}
	field := stmt.Schema.FieldsByDBName[a.Column.Name]
	if field == nil || !field.NotNull {
		return false
	}
	switch a.Value.(type) {
	case clause.Expression, gorm.Valuer, *gorm.DB:
		return false
	}
	v, err := driver.DefaultParameterConverter.ConvertValue(a.Value)
	return err == nil && v == nil
}

// staysSame reports whether the assignment gives a column of the primary key the
// value that WHERE demands of it.
func staysSame(stmt *gorm.Statement, a clause.Assignment) bool {
	if stmt.Schema == nil {
		return false
	}
	field := stmt.Schema.FieldsByDBName[a.Column.Name]
	where, _ := stmt.Clauses["WHERE"].Expression.(clause.Where)
	return field != nil && field.PrimaryKey && slices.ContainsFunc(where.Exprs, func(e clause.Expression) bool {
		eq, ok := e.(clause.Eq)
		if !ok {
			return false
		}
		name, own := columnOf(stmt, eq.Column)
		return own && strings.EqualFold(name, field.DBName) && reflect.DeepEqual(eq.Value, a.Value)
	})
}

// buildLocking leaves out FOR UPDATE and FOR SHARE. Transactions are safe without them: a
// transaction that has read a row does not commit if another one has changed the row. SKIP
// LOCKED is refused: it asks for rows that no other transaction uses.
func buildLocking(c clause.Clause, builder clause.Builder) {
	if l, ok := c.Expression.(clause.Locking); ok && strings.EqualFold(strings.TrimSpace(l.Options), clause.LockingOptionsSkipLocked) {
		_ = builder.AddError(unsupported("FOR %s SKIP LOCKED: there are no locks to see", l.Strength))
	}
}

// primaryColumns are the names of the primary key's columns.
func primaryColumns(s *schema.Schema) []string { return dbNames(s.PrimaryFields) }
