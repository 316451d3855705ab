package gormimmudb

import (
	"database/sql/driver"
	"encoding/hex"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/logger"
	"gorm.io/gorm/schema"
)

// buildWhere writes WHERE in the terms of the server, which
//
//   - does not compare tuples,
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
			if columns, ok := e.Column.([]clause.Column); ok {
				out[i] = tuples{columns, e.Values}
			} else {
				e.Column = ownColumn(stmt, e.Column)
				out[i] = e
			}
		case clause.Eq:
			e.Column = ownColumn(stmt, e.Column)
			out[i] = e
		case clause.Neq:
			e.Column = ownColumn(stmt, e.Column)
			out[i] = e
		case clause.Gt:
			e.Column = ownColumn(stmt, e.Column)
			out[i] = e
		case clause.Gte:
			e.Column = ownColumn(stmt, e.Column)
			out[i] = e
		case clause.Lt:
			e.Column = ownColumn(stmt, e.Column)
			out[i] = e
		case clause.Lte:
			e.Column = ownColumn(stmt, e.Column)
			out[i] = e
		case clause.Like:
			e.Column = ownColumn(stmt, e.Column)
			out[i] = e
		case clause.Expr:
			e.SQL = ownNames(stmt, e.SQL)
			if existsClause.MatchString(e.SQL) {
				e.Vars = literals(stmt, e.Vars)
			}
			out[i] = e
		case clause.NamedExpr:
			e.SQL = ownNames(stmt, e.SQL)
			out[i] = e
		default:
			out[i] = e
		}
	}
	return out
}

// isSubquery reports whether gorm builds the statement to put it into another.
func isSubquery(stmt *gorm.Statement) bool {
	return stmt.DB.DryRun && stmt.DB.Logger == logger.Discard && len(stmt.Joins) == 0
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

var existsClause = regexp.MustCompile(`(?i)\bEXISTS\b`)

// literals turns the arguments of an EXISTS into text.
func literals(stmt *gorm.Statement, vars []any) []any {
	out := make([]any, len(vars))
	for i, v := range vars {
		if sub, ok := v.(*gorm.DB); ok {
			inner := &gorm.Statement{DB: stmt.DB, Context: stmt.Context}
			inner.AddVar(inner, sub)
			text := inner.SQL.String()
			for n, arg := range slices.Backward(inner.Vars) {
				text = strings.ReplaceAll(text, "$"+strconv.Itoa(n+1), literalOf(stmt, arg))
			}
			out[i] = clause.Expr{SQL: "(" + text + ")", WithoutParentheses: true}
			continue
		}
		switch v.(type) {
		case clause.Expression, clause.Column, clause.Table, gorm.Valuer:
			out[i] = v
		default:
			out[i] = clause.Expr{SQL: literalOf(stmt, v), WithoutParentheses: true}
		}
	}
	return out
}
