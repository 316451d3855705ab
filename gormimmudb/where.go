package gormimmudb

import (
	"slices"
	"strconv"
	"strings"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/schema"
)

// buildWhere writes WHERE in the terms of the server, which
//
//   - does not compare tuples, nor numbers with text,
//   - does not see the arguments of a statement inside EXISTS,
//   - takes an unqualified name in a subquery for a column of the outer table,
//   - in a transaction reads its own writes wrongly through secondary indexes.
func buildWhere(c clause.Clause, builder clause.Builder) {
	where, isWhere := c.Expression.(clause.Where)
	stmt, isStatement := builder.(*gorm.Statement)
	if !isWhere || !isStatement {
		buildDefault(c, builder)
		return
	}
	exprs := translate(stmt, where.Exprs)
	if s := stmt.Schema; s != nil && wroteTo(stmt, stmt.Table) {
		exprs = guard(stmt, exprs, secondaryColumns(s))
	}
	c.Expression = clause.Where{Exprs: exprs}
	buildDefault(c, builder)
}

// translate rewrites conditions; it leaves alone what it does not know.
func translate(stmt *gorm.Statement, exprs []clause.Expression) []clause.Expression {
	out := make([]clause.Expression, len(exprs))
	for i, e := range exprs {
		switch e := e.(type) {
		case clause.AndConditions:
			out[i] = clause.AndConditions{Exprs: translate(stmt, e.Exprs)}
		case clause.OrConditions:
			out[i] = clause.OrConditions{Exprs: translate(stmt, e.Exprs)}
		case clause.NotConditions:
			out[i] = clause.NotConditions{Exprs: translate(stmt, e.Exprs)}
		case clause.Where:
			out[i] = clause.Where{Exprs: translate(stmt, e.Exprs)}
		case clause.IN:
			e.Values = subqueries(e.Values)
			if columns, ok := e.Column.([]clause.Column); ok && !isSubqueryList(e.Values) {
				out[i] = tuples{columns, e.Values}
			} else {
				for j := range e.Values {
					e.Values[j] = number(stmt, e.Column, e.Values[j])
				}
				e.Column = ownColumn(stmt, e.Column)
				out[i] = e
			}
		case clause.Eq:
			e.Column, e.Value = ownColumn(stmt, e.Column), subquery(number(stmt, e.Column, e.Value))
			out[i] = e
		case clause.Neq:
			e.Column, e.Value = ownColumn(stmt, e.Column), subquery(e.Value)
			out[i] = e
		case clause.Gt:
			e.Column, e.Value = ownColumn(stmt, e.Column), subquery(e.Value)
			out[i] = e
		case clause.Gte:
			e.Column, e.Value = ownColumn(stmt, e.Column), subquery(e.Value)
			out[i] = e
		case clause.Lt:
			e.Column, e.Value = ownColumn(stmt, e.Column), subquery(e.Value)
			out[i] = e
		case clause.Lte:
			e.Column, e.Value = ownColumn(stmt, e.Column), subquery(e.Value)
			out[i] = e
		case clause.Like:
			e.Column = ownColumn(stmt, e.Column)
			out[i] = e
		case clause.Expr:
			e.SQL, e.Vars = ownNames(stmt, e.SQL), subqueries(e.Vars)
			out[i] = e
		case clause.NamedExpr:
			e.SQL, e.Vars = ownNames(stmt, e.SQL), subqueries(e.Vars)
			out[i] = e
		default:
			out[i] = e
		}
	}
	return out
}

// number is the number in a text that is compared with a numeric column, as in
// First(&user, "42").
func number(stmt *gorm.Statement, column, value any) any {
	text, isText := value.(string)
	name, own := columnOf(stmt, column)
	if !isText || !own || stmt.Schema == nil || stmt.Schema.FieldsByDBName[name] == nil {
		return value
	}
	switch declaredType(stmt.Schema.FieldsByDBName[name]).name {
	case "INTEGER":
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return n
		}
	case "FLOAT":
		if f, err := strconv.ParseFloat(text, 64); err == nil {
			return f
		}
	}
	return value
}

const subqueryKey = "immudb:subquery"

// subquery marks a statement as part of another one's condition.
func subquery(v any) any {
	if db, ok := v.(*gorm.DB); ok {
		return db.Session(&gorm.Session{}).Set(subqueryKey, true)
	}
	return v
}

func subqueries(vars []any) []any {
	out := slices.Clone(vars)
	for i, v := range out {
		out[i] = subquery(v)
	}
	return out
}

func isSubqueryList(values []any) bool {
	if len(values) != 1 {
		return false
	}
	_, ok := values[0].(*gorm.DB)
	return ok
}

func isSubquery(stmt *gorm.Statement) bool {
	_, marked := stmt.Settings.Load(subqueryKey)
	return marked && len(stmt.Joins) == 0
}

// ownColumn qualifies a column of a subquery with the subquery's table.
func ownColumn(stmt *gorm.Statement, column any) any {
	if !isSubquery(stmt) || stmt.Schema == nil {
		return column
	}
	switch c := column.(type) {
	case string:
		if f := stmt.Schema.FieldsByDBName[c]; f != nil {
			return clause.Column{Table: ownTable(stmt), Name: c}
		}
	case clause.Column:
		if c.Table == "" && !c.Raw && stmt.Schema.FieldsByDBName[c.Name] != nil {
			c.Table = ownTable(stmt)
			return c
		}
	}
	return column
}

func ownTable(stmt *gorm.Statement) string {
	if t, ok := currentTable(stmt); ok && t.Alias != "" {
		return t.Alias
	}
	return clause.CurrentTable
}

// ownNames is ownColumn for the names in a piece of SQL.
func ownNames(stmt *gorm.Statement, sql string) string {
	if !isSubquery(stmt) || stmt.Schema == nil {
		return sql
	}
	return rewriteNames(sql, func(n name) (string, bool) {
		if n.qualifier != "" || n.call || n.partial || stmt.Schema.FieldsByDBName[n.text] == nil {
			return "", false
		}
		return stmt.Quote(clause.Column{Table: ownTable(stmt), Name: n.text}), true
	})
}

// tuples is (a, b) IN ((1, 2), (3, 4)), written as a disjunction.
type tuples struct {
	columns []clause.Column
	values  []any // each a []any as long as columns
}

func (t tuples) Build(builder clause.Builder) {
	if len(t.values) == 0 {
		_, _ = builder.WriteString("1 <> 1")
		return
	}
	_ = builder.WriteByte('(')
	for i, value := range t.values {
		if i > 0 {
			_, _ = builder.WriteString(" OR ")
		}
		row, ok := value.([]any)
		if !ok || len(row) != len(t.columns) {
			_ = builder.AddError(unsupported("a tuple of %d columns is compared with %v", len(t.columns), value))
			break
		}
		_ = builder.WriteByte('(')
		for j, column := range t.columns {
			if j > 0 {
				_, _ = builder.WriteString(" AND ")
			}
			clause.Eq{Column: column, Value: row[j]}.Build(builder)
		}
		_ = builder.WriteByte(')')
	}
	_ = builder.WriteByte(')')
}

func (t tuples) NegationBuild(builder clause.Builder) {
	_, _ = builder.WriteString("NOT (")
	t.Build(builder)
	_ = builder.WriteByte(')')
}

// wroteTo reports whether the statement's transaction has written to the table.
func wroteTo(stmt *gorm.Statement, table string) bool {
	t := transactionOf(stmt.ConnPool)
	return t != nil && t.tables[strings.ToLower(table)]
}

// secondaryColumns are the columns that an index other than the primary key's may
// begin with or contain.
func secondaryColumns(s *schema.Schema) []string {
	var columns []string
	for _, fields := range indexedFields(s) {
		columns = append(columns, dbNames(fields)...)
	}
	return columns
}

// guard keeps secondary indexes out of the conditions. A transaction's own entries
// in them stand there under the indexed values alone until it commits (seen in
// v1.11.1): of several rows with the same value only the last is found, and a row
// is found under the values it had before. Behind NOT the server does not look for
// an index; it then reads the table, or what is left of the primary key.
func guard(stmt *gorm.Statement, exprs []clause.Expression, columns []string) []clause.Expression {
	if len(columns) == 0 {
		return exprs
	}
	for _, e := range exprs {
		if or, ok := e.(clause.OrConditions); ok && len(or.Exprs) == 1 {
			// The conditions are not a plain conjunction.
			if slices.ContainsFunc(exprs, func(e clause.Expression) bool { return mentions(stmt, e, columns) }) {
				return []clause.Expression{guarded{clause.Where{Exprs: exprs}}}
			}
			return exprs
		}
	}
	out := slices.Clone(exprs)
	for i, e := range exprs {
		if mentions(stmt, e, columns) {
			out[i] = guarded{clause.Where{Exprs: []clause.Expression{e}}}
		}
	}
	return out
}

type guarded struct{ clause.Where }

func (g guarded) Build(builder clause.Builder) {
	_, _ = builder.WriteString("NOT (NOT (")
	g.Where.Build(builder)
	_, _ = builder.WriteString("))")
}

// mentions reports whether a condition may be about one of the columns.
func mentions(stmt *gorm.Statement, e clause.Expression, columns []string) bool {
	among := func(name string) bool {
		return slices.ContainsFunc(columns, func(c string) bool { return strings.EqualFold(c, name) })
	}
	any := func(exprs []clause.Expression) bool {
		return slices.ContainsFunc(exprs, func(e clause.Expression) bool { return mentions(stmt, e, columns) })
	}
	text := func(sql string) (found bool) {
		rewriteNames(sql, func(n name) (string, bool) {
			found = found || among(n.text)
			return "", false
		})
		return found
	}
	switch e := e.(type) {
	case clause.AndConditions:
		return any(e.Exprs)
	case clause.OrConditions:
		return any(e.Exprs)
	case clause.NotConditions:
		return any(e.Exprs)
	case clause.Where:
		return any(e.Exprs)
	case clause.Eq:
		name, known := columnOf(stmt, e.Column)
		return !known || among(name)
	case clause.IN:
		name, known := columnOf(stmt, e.Column)
		return !known || among(name)
	case tuples:
		return slices.ContainsFunc(e.columns, func(c clause.Column) bool { return among(c.Name) })
	case clause.Expr:
		return text(e.SQL)
	case clause.NamedExpr:
		return text(e.SQL)
	}
	return true
}
