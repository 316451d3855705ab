package gormimmudb

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/schema"
)

// resolve decides how the row's INSERT handles conflicts.
//
// The server's ON CONFLICT is about the primary key only, and has no "excluded" for the
// row to insert. So the row's values are written instead of "excluded", in a statement for
// this one row. A conflict in another unique key is searched before the INSERT in the same
// transaction; its commit fails if another transaction has written such a row meanwhile.
func (ins *insertion) resolve(stmt *gorm.Statement, oc *clause.OnConflict, row []any) error {
	switch {
	case oc == nil:
		return nil
	case oc.OnConstraint != "":
		return unsupported("ON CONFLICT ON CONSTRAINT %s: constraints have no names, name the columns", oc.OnConstraint)
	case len(oc.TargetWhere.Exprs) > 0 || len(oc.Where.Exprs) > 0:
		return unsupported("ON CONFLICT … WHERE")
	}
	target := make([]string, len(oc.Columns))
	for i, c := range oc.Columns {
		target[i] = c.Name
	}
	s := stmt.Schema
	if s == nil { // the keys are not known
		own, err := ins.ownConflict(oc, row, nil)
		ins.conflict = own
		return err
	}
	key, unique := primaryColumns(s), uniqueKeys(s)
	switch {
	case len(target) == 0 && oc.DoNothing:
		for _, columns := range unique {
			if ins.names(columns) {
				ins.arbiters = append(ins.arbiters, columns)
			}
		}
		ins.atArbiter = oc
		ins.alone = len(ins.arbiters) > 0
		if ins.names(key) {
			ins.conflict = &clause.OnConflict{DoNothing: true}
		}
		return nil
	case len(target) == 0 || sameColumns(target, key):
		// A generated key is new.
		if !ins.names(key) {
			return nil
		}
		own, err := ins.ownConflict(oc, row, key)
		if err != nil {
			return err
		}
		if len(unique) > 0 && !own.DoNothing {
			// To its DO UPDATE the row's own entry in a unique index is another's.
			ins.atArbiter, ins.arbiters, ins.alone = own, [][]string{key}, true
		} else {
			ins.conflict = own
		}
		return nil
	case slices.ContainsFunc(unique, func(columns []string) bool { return sameColumns(columns, target) }):
		own, err := ins.ownConflict(oc, row, nil)
		ins.atArbiter, ins.alone = own, true
		if ins.names(target) {
			ins.arbiters = [][]string{target}
		}
		return err
	}
	return unsupported("ON CONFLICT (%s): the model of table %s has no primary key, unique index or unique constraint on these columns",
		strings.Join(target, ", "), stmt.Table)
}

// ownConflict is oc without "excluded". Where the conflict is one of the key, it leaves
// out what gives the row its own key, which gorm writes for associations: the server
// has that already, and takes any change of a key amiss.
func (ins *insertion) ownConflict(oc *clause.OnConflict, row []any, key []string) (*clause.OnConflict, error) {
	own := &clause.OnConflict{DoNothing: oc.DoNothing}
	for _, set := range oc.DoUpdates {
		if own.DoNothing {
			break
		}
		if c, ok := set.Value.(clause.Column); ok && strings.EqualFold(c.Table, "excluded") &&
			strings.EqualFold(c.Name, set.Column.Name) && containsFold(key, c.Name) {
			continue
		}
		value, replaced, err := ins.withoutExcluded(set.Value, row)
		if err != nil {
			return nil, err
		}
		ins.alone = ins.alone || replaced
		own.DoUpdates = append(own.DoUpdates, clause.Assignment{Column: clause.Column{Name: set.Column.Name}, Value: value})
	}
	own.DoNothing = len(own.DoUpdates) == 0
	return own, nil
}

func containsFold(names []string, name string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) })
}

var excludedColumn = regexp.MustCompile("(?i)[\"`]?\\bexcluded\\b[\"`]?\\.[\"`]?(\\w+)[\"`]?|\\?")

// withoutExcluded replaces references to the excluded row by the row's values.
func (ins *insertion) withoutExcluded(value any, row []any) (_ any, replaced bool, err error) {
	own := func(name string) any {
		if i := ins.column(name); i >= 0 {
			return row[i]
		}
		err = unsupported("excluded.%s in ON CONFLICT: the row gives that column no value", name)
		return nil
	}
	switch v := value.(type) {
	case clause.Column:
		if strings.EqualFold(v.Table, "excluded") {
			return own(v.Name), true, err
		}
	case clause.Expr:
		vars, left := []any(nil), v.Vars
		v.SQL = excludedColumn.ReplaceAllStringFunc(v.SQL, func(match string) string {
			if match != "?" {
				replaced = true
				vars = append(vars, own(excludedColumn.FindStringSubmatch(match)[1]))
			} else if len(left) > 0 {
				vars, left = append(vars, left[0]), left[1:]
			}
			return "?"
		})
		if replaced {
			v.Vars = vars
			return v, true, err
		}
	}
	return value, false, err
}

// buildConflict writes ON CONFLICT as the server spells it, without a target.
func buildConflict(c clause.Clause, builder clause.Builder) {
	oc, ok := c.Expression.(clause.OnConflict)
	if !ok {
		buildDefault(c, builder)
		return
	}
	if oc.DoNothing {
		_, _ = builder.WriteString("ON CONFLICT DO NOTHING")
		return
	}
	_, _ = builder.WriteString("ON CONFLICT DO UPDATE SET ")
	oc.DoUpdates.Build(builder)
}

// meet searches a row that has the insertion's values in the given unique key, and handles
// the conflict. It reports whether there was one, and how many rows it wrote.
func (ins *insertion) meet(db *gorm.DB, key []string, ran *script) (n int64, met bool) {
	stmt := db.Statement
	fresh(stmt)
	table := clause.Table{Name: clause.CurrentTable}
	if ins.atArbiter.DoNothing {
		_, _ = stmt.WriteString("SELECT ")
		stmt.WriteQuoted(clause.Column{Name: key[0]})
		_, _ = stmt.WriteString(" FROM ")
		stmt.WriteQuoted(table)
	} else {
		_, _ = stmt.WriteString("UPDATE ")
		stmt.WriteQuoted(table)
		_, _ = stmt.WriteString(" SET ")
		ins.atArbiter.DoUpdates.Build(stmt)
	}
	var where clause.Where
	for _, name := range key {
		where.Exprs = append(where.Exprs, clause.Eq{Column: clause.Column{Name: name}, Value: ins.rows[0][ins.column(name)]})
	}
	_, _ = stmt.WriteString(" WHERE ")
	where.Build(stmt)
	returning, returns := stmt.Clauses["RETURNING"]
	returns = returns && !ins.atArbiter.DoNothing
	if returns {
		_ = stmt.WriteByte(' ')
		returning.Build(stmt)
	}
	ran.add(stmt)
	if db.DryRun || db.Error != nil {
		return 0, false
	}
	if !returns && !ins.atArbiter.DoNothing {
		result, err := stmt.ConnPool.ExecContext(stmt.Context, stmt.SQL.String(), stmt.Vars...)
		if db.AddError(err) != nil {
			return 0, false
		}
		n, err = result.RowsAffected()
		return n, db.AddError(err) == nil && n > 0
	}
	rows, err := stmt.ConnPool.QueryContext(stmt.Context, stmt.SQL.String(), stmt.Vars...)
	if db.AddError(err) != nil {
		return 0, false
	}
	defer func() { _ = db.AddError(rows.Close()) }()
	if returns {
		db.RowsAffected = 0
		gorm.Scan(rows, db, gorm.ScanUpdate)
		return db.RowsAffected, db.RowsAffected > 0
	}
	met = rows.Next()
	_ = db.AddError(rows.Err())
	return 0, met
}

func sameColumns(a, b []string) bool {
	fold := func(names []string) []string {
		folded := make([]string, len(names))
		for i, n := range names {
			folded[i] = strings.ToLower(n)
		}
		slices.Sort(folded)
		return folded
	}
	return slices.Equal(fold(a), fold(b))
}

// uniqueKeys lists the columns of the model's unique indexes and constraints.
func uniqueKeys(s *schema.Schema) [][]string {
	var keys [][]string
	for _, idx := range s.ParseIndexes() {
		if strings.EqualFold(idx.Class, "UNIQUE") {
			var columns []string
			for _, f := range idx.Fields {
				columns = append(columns, f.DBName)
			}
			keys = append(keys, columns)
		}
	}
	for _, f := range s.Fields {
		if f.Unique && f.DBName != "" {
			keys = append(keys, []string{f.DBName})
		}
	}
	return keys
}

// script collects the statements that one call ran, for the log and for DryRun.
type script struct {
	sql  strings.Builder
	vars []any
}

func (s *script) add(stmt *gorm.Statement) {
	if s.sql.Len() > 0 {
		_, _ = s.sql.WriteString("; ")
	}
	before := len(s.vars)
	_, _ = s.sql.WriteString(numericPlaceholder.ReplaceAllStringFunc(stmt.SQL.String(), func(p string) string {
		n, _ := strconv.Atoi(p[1:])
		return "$" + strconv.Itoa(before+n)
	}))
	s.vars = append(s.vars, stmt.Vars...)
}

// show makes the script the statement's text.
func (s *script) show(stmt *gorm.Statement) {
	fresh(stmt)
	_, _ = stmt.SQL.WriteString(s.sql.String())
	stmt.Vars = s.vars
}
