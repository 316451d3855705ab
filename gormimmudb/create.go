package gormimmudb

import (
	"reflect"
	"slices"
	"strings"

	"gorm.io/gorm"
	"gorm.io/gorm/callbacks"
	"gorm.io/gorm/clause"
)

// leftOut marks a column in a row of values that takes its default.
type leftOut struct{}

func (leftOut) Build(builder clause.Builder) {
	_ = builder.AddError(unsupported("DEFAULT is not a value: leave the column out"))
}

// insertion is one INSERT of a Create: rows that name the same columns and treat
// conflicts the same way.
type insertion struct {
	columns  []clause.Column
	rows     [][]any
	first    int                // the index of rows[0] among all rows
	conflict *clause.OnConflict // how the INSERT handles conflicts in the primary key, or nil

	// arbiters are the other unique keys, whose conflicts the INSERT does not handle;
	// atArbiter says how to handle those. With arbiters the insertion has one row.
	arbiters  [][]string
	atArbiter *clause.OnConflict
	alone     bool // the statement is only for this one row
}

// create is gorm's Create for this server: there is no DEFAULT keyword, so rows that leave
// out different columns become several statements; ON CONFLICT is about the primary key
// only and has no "excluded". Several statements run in one transaction.
//
// insert is gorm's callback; it runs the statement that was built.
func create(db *gorm.DB, insert func(*gorm.DB)) {
	stmt := db.Statement
	if db.Error != nil || stmt.SQL.Len() > 0 {
		insert(db)
		return
	}
	if stmt.Schema != nil && !stmt.Unscoped {
		for _, c := range stmt.Schema.CreateClauses {
			stmt.AddClause(c)
		}
	}
	returnDefaults(stmt)
	stmt.AddClauseIfNotExists(clause.Insert{})
	values := callbacks.ConvertToCreateValues(stmt)
	if db.Error != nil {
		return
	}
	plan, err := planInsertions(stmt, values)
	if db.AddError(err) != nil {
		return
	}
	if maps, ok := stmt.Dest.([]map[string]any); ok {
		// gorm panics if it must scan into a slice of maps without a pointer to it.
		maps = slices.Clip(maps)
		stmt.Dest = &maps
		defer func() { stmt.Dest = maps }()
	}
	if len(plan) == 1 && len(plan[0].arbiters) == 0 {
		plan[0].use(stmt)
		stmt.Build(stmt.BuildClauses...)
		insert(db)
		return
	}
	createSeveral(db, insert, plan)
}

// returnDefaults adds RETURNING for the columns whose values the server generates.
func returnDefaults(stmt *gorm.Statement) {
	if stmt.Schema == nil {
		return
	}
	if _, ok := stmt.Clauses["RETURNING"]; ok {
		return
	}
	var columns []clause.Column
	for _, field := range stmt.Schema.FieldsWithDefaultDBValue {
		if field.Readable {
			columns = append(columns, clause.Column{Name: field.DBName})
		}
	}
	if len(columns) > 0 {
		stmt.AddClause(clause.Returning{Columns: columns})
	}
}

// planInsertions divides the rows into statements.
func planInsertions(stmt *gorm.Statement, values clause.Values) ([]*insertion, error) {
	var conflict *clause.OnConflict
	if c, ok := stmt.Clauses["ON CONFLICT"]; ok {
		if oc, ok := c.Expression.(clause.OnConflict); ok {
			conflict = &oc
		}
	}
	rows := values.Values
	if len(values.Columns) == 0 && len(rows) == 0 {
		rows = [][]any{nil}
	}
	var plan []*insertion
	for i, row := range rows {
		ins := &insertion{first: i}
		for j, v := range row {
			if _, ok := v.(leftOut); !ok {
				ins.columns = append(ins.columns, values.Columns[j])
				row[len(ins.columns)-1] = asJSON(stmt.Schema, values.Columns[j].Name, v)
			}
		}
		row = row[:len(ins.columns)]
		if len(ins.columns) == 0 {
			column, err := columnToName(stmt)
			if err != nil {
				return nil, err
			}
			ins.columns, row = []clause.Column{column}, []any{nil}
		}
		if err := ins.resolve(stmt, conflict, row); err != nil {
			return nil, err
		}
		ins.rows = [][]any{row}
		if n := len(plan); n > 0 && plan[n-1].takes(ins) {
			plan[n-1].rows = append(plan[n-1].rows, row)
		} else {
			plan = append(plan, ins)
		}
	}
	return plan, nil
}

// takes reports whether the same statement can write the rows of next.
func (ins *insertion) takes(next *insertion) bool {
	return slices.Equal(ins.columns, next.columns) && !ins.alone && !next.alone && (ins.conflict == nil) == (next.conflict == nil)
}

// columnToName finds a column to name in an INSERT of a row with only defaults: the server
// has no INSERT without columns.
func columnToName(stmt *gorm.Statement) (clause.Column, error) {
	if stmt.Schema != nil {
		for _, f := range stmt.Schema.Fields {
			if f.DBName != "" && !f.PrimaryKey && !f.NotNull && !f.HasDefaultValue && !f.IgnoreMigration {
				return clause.Column{Name: f.DBName}, nil
			}
		}
	}
	return clause.Column{}, unsupported("a row of table %s that names no column: set one that is not the generated key", stmt.Table)
}

// use sets the clauses of the statement to those of the insertion.
func (ins *insertion) use(stmt *gorm.Statement) {
	stmt.AddClause(clause.Values{Columns: ins.columns, Values: ins.rows})
	if ins.conflict == nil {
		delete(stmt.Clauses, "ON CONFLICT")
	} else {
		c := stmt.Clauses["ON CONFLICT"]
		c.Name, c.Expression = "ON CONFLICT", *ins.conflict
		stmt.Clauses["ON CONFLICT"] = c
	}
}

// names reports whether the insertion gives all of the columns a value.
func (ins *insertion) names(columns []string) bool {
	for _, name := range columns {
		if ins.column(name) < 0 {
			return false
		}
	}
	return len(columns) > 0
}

// column returns the index of a column, or -1.
func (ins *insertion) column(name string) int {
	return slices.IndexFunc(ins.columns, func(c clause.Column) bool { return strings.EqualFold(c.Name, name) })
}

// createSeveral runs the insertions in one transaction, each for its part of the created
// value.
func createSeveral(db *gorm.DB, insert func(*gorm.DB), plan []*insertion) {
	stmt := db.Statement
	pool := stmt.ConnPool
	if _, inTx := pool.(gorm.TxCommitter); !inTx && !db.DryRun {
		tx := db.Session(&gorm.Session{}).Begin()
		if db.AddError(tx.Error) != nil {
			return
		}
		stmt.ConnPool = tx.Statement.ConnPool
		done := false
		defer func() {
			stmt.ConnPool = pool
			if done && db.Error == nil {
				_ = db.AddError(tx.Statement.ConnPool.(gorm.TxCommitter).Commit())
			} else {
				_ = tx.Statement.ConnPool.(gorm.TxCommitter).Rollback()
			}
		}()
		runInsertions(db, insert, plan)
		done = true
		return
	}
	runInsertions(db, insert, plan)
}

func runInsertions(db *gorm.DB, insert func(*gorm.DB), plan []*insertion) {
	stmt := db.Statement
	conflict, hadConflict := stmt.Clauses["ON CONFLICT"]
	returning, hadReturning := stmt.Clauses["RETURNING"]
	value, dest := stmt.ReflectValue, stmt.Dest
	defer func() {
		stmt.ReflectValue, stmt.Dest = value, dest
		restore(stmt, "ON CONFLICT", conflict, hadConflict)
		restore(stmt, "RETURNING", returning, hadReturning)
	}()
	nameReturned(stmt)

	var affected int64
	var ran script
	for _, ins := range plan {
		stmt.ReflectValue, stmt.Dest = part(value, dest, ins)
		affected += ins.run(db, insert, &ran)
		if db.Error != nil {
			break
		}
	}
	ran.show(stmt)
	db.RowsAffected = affected
	if stmt.Result != nil {
		stmt.Result.RowsAffected = affected
	}
}

// run runs the insertion and returns how many rows it wrote.
func (ins *insertion) run(db *gorm.DB, insert func(*gorm.DB), ran *script) int64 {
	stmt := db.Statement
	for _, key := range ins.arbiters {
		if n, met := ins.meet(db, key, ran); met || db.Error != nil {
			return n
		}
	}
	ins.use(stmt)
	fresh(stmt)
	stmt.Build(stmt.BuildClauses...)
	ran.add(stmt)
	db.RowsAffected = 0
	insert(db)
	return db.RowsAffected
}

// fresh empties the statement's text.
func fresh(stmt *gorm.Statement) {
	stmt.SQL.Reset()
	stmt.Vars = nil
}

func restore(stmt *gorm.Statement, name string, c clause.Clause, had bool) {
	if had {
		stmt.Clauses[name] = c
	} else {
		delete(stmt.Clauses, name)
	}
}

// nameReturned replaces RETURNING * by the columns of the model: gorm fills in parts of a
// slice only from named columns.
func nameReturned(stmt *gorm.Statement) {
	c, ok := stmt.Clauses["RETURNING"]
	if !ok || stmt.Schema == nil {
		return
	}
	r, _ := c.Expression.(clause.Returning)
	if len(r.Columns) > 0 && r.Columns[0].Name != "*" {
		return
	}
	r.Columns = nil
	for _, name := range stmt.Schema.DBNames {
		if f := stmt.Schema.FieldsByDBName[name]; f.Readable && !f.IgnoreMigration {
			r.Columns = append(r.Columns, clause.Column{Name: name})
		}
	}
	c.Expression = r
	stmt.Clauses["RETURNING"] = c
}

// part returns the part of the created value that the insertion writes.
func part(value reflect.Value, dest any, ins *insertion) (reflect.Value, any) {
	if value.Kind() != reflect.Slice && value.Kind() != reflect.Array {
		return value, dest
	}
	// Scan fills in what p holds; the pointer to it is only for its type.
	last := ins.first + len(ins.rows)
	p := value.Slice3(ins.first, last, last)
	holder := reflect.New(p.Type())
	holder.Elem().Set(p)
	return holder.Elem(), holder.Interface()
}
