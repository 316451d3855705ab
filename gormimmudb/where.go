package gormimmudb

import (
	"slices"
	"strconv"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// buildWhere writes WHERE for the server, which
//
//   - does not compare tuples, and does not compare numbers with text,
//   - does not fill in arguments inside EXISTS,
//   - reads an unqualified name in a subquery as a column of the outer table.
func buildWhere(c clause.Clause, builder clause.Builder) {
	where, isWhere := c.Expression.(clause.Where)
	stmt, isStatement := builder.(*gorm.Statement)
	if !isWhere || !isStatement {
		buildDefault(c, builder)
		return
	}
	c.Expression = clause.Where{Exprs: translate(stmt, where.Exprs)}
	buildDefault(c, builder)
}

// translate rewrites conditions. It does not change conditions of other types.
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
			if q, ok := asJSONQuery(e); ok {
				out[i] = q
				continue
			}
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
		if q, ok := asJSONQuery(v); ok {
			out[i] = q
			continue
		}
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
