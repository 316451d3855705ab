package rules

import (
	"database/sql/driver"
	"slices"
	"strings"

	"github.com/immudb-go/immudb/internal/sqltext/tree"
)

// listRules are about IN (…).
var listRules = []*Rule{
	{
		Name:      "list-asks-transaction",
		Construct: "a query or a function such as NOW() among the values of IN (…)",
		Reason: "the server evaluates the list without a transaction and crashes; " +
			"write IN (SELECT …) with one pair of parentheses, or = for a single value",
		Needs: tree.HasList,
		look: func(l *look) {
			l.conditions(func(condition tree.Expr) {
				tree.Inspect(condition, func(n tree.Node) bool {
					list, ok := n.(*tree.InList)
					if !ok || list.Not {
						return true
					}
					for _, v := range list.Values {
						tree.Inspect(v, func(n tree.Node) bool {
							if asksTransaction(n) {
								l.refuse(n, "")
							}
							return true
						})
					}
					return true
				})
			})
		},
	},
	{
		Name:      "null-in-list",
		Construct: "NULL in the list of column IN (…)",
		Reason:    "the server finds the rows in which the column is NULL, so that a DELETE deletes them; the driver removes NULL from the list",
		Needs:     tree.HasList,
		look: func(l *look) {
			l.conditions(func(condition tree.Expr) { l.nullsInLists(condition) })
		},
	},
	{
		Name:      "not-in-becomes-in",
		Construct: "NOT IN (a, b) in a query with a join, EXISTS or IN (SELECT …)",
		Reason:    "the server drops the NOT in conditions of a join, in conditions that it moves into a join, and in such subqueries; the driver writes NOT (x IN (a, b))",
		Needs:     tree.HasList,
		look: func(l *look) {
			if !l.script.Has.Any(tree.HasJoin | tree.HasExists | tree.HasSubquery) {
				return
			}
			l.each(func(n tree.Node) bool {
				if list, ok := n.(*tree.InList); ok && list.Not {
					l.replace(tree.Span{Start: list.Start, End: list.Start}, "(NOT (")
					l.replace(tree.Span{Start: list.Expr.Place().End, End: list.Values[0].Place().Start}, " IN (")
					l.replace(tree.Span{Start: list.End, End: list.End}, "))")
				}
				return true
			})
		},
	},
}

// nullsInLists removes NULL from the lists of a condition that must hold. Programs
// write IN (NULL) for an empty list. Lists under a NOT are not changed.
func (l *look) nullsInLists(x tree.Expr) {
	switch x := tree.Bare(x).(type) {
	case *tree.Chain:
		for _, part := range x.Operands {
			l.nullsInLists(part)
		}
	case *tree.InList:
		column, ok := tree.Bare(x.Expr).(*tree.Column)
		if !ok || x.Not {
			return
		}
		var left []string
		for _, v := range x.Values {
			switch v := tree.Bare(v).(type) {
			case *tree.Literal:
				if v.Kind == tree.Null {
					continue
				}
			case *tree.Param:
				l.literalIf(v, func(v driver.Value) bool { return v == nil })
			}
			left = append(left, v.Place().Of(l.script.Text))
		}
		switch name := spelled(column, l.script.Text); {
		case len(left) == len(x.Values):
		case len(left) == 0: // no row
			l.replace(x.Span, "("+name+" IS NULL AND "+name+" IS NOT NULL)")
		default:
			l.replace(tree.Span{Start: x.Values[0].Place().Start, End: x.Values[len(x.Values)-1].Place().End}, strings.Join(left, ", "))
		}
	}
}

// valuesRules are about (VALUES …).
var valuesRules = []*Rule{
	{
		Name:      "values-of-unequal-width",
		Construct: "VALUES with rows of different length",
		Reason:    "the server crashes; give each row as many values as the first",
		Needs:     tree.HasValues,
		look: func(l *look) {
			l.each(func(n tree.Node) bool {
				var rows []tree.Row
				switch n := n.(type) {
				case *tree.ValuesSource:
					rows = n.Rows
				case *tree.Values:
					rows = n.Rows
				}
				for i := range rows {
					if len(rows[i].Values) != len(rows[0].Values) {
						l.refuse(&rows[i], "")
					}
				}
				return true
			})
		},
	},
}

// conditions calls f for the conditions by which the server selects rows, in the
// statement and its subqueries.
func (l *look) conditions(f func(tree.Expr)) {
	on := func(x tree.Expr) {
		if x != nil {
			f(x)
		}
	}
	l.each(func(n tree.Node) bool {
		switch n := n.(type) {
		case *tree.Select:
			on(n.Where)
		case *tree.Join:
			on(n.On)
		case *tree.Update:
			on(n.Where)
		case *tree.Delete:
			on(n.Where)
		}
		return true
	})
}

// needTx are the functions whose value comes from the transaction.
var needTx = []string{"age", "clock_timestamp", "current_user", "currval", "nextval", "now"}

// asksTransaction reports whether the server needs a transaction to evaluate an
// expression.
func asksTransaction(n tree.Node) bool {
	switch n := n.(type) {
	case *tree.Subquery, *tree.Exists, *tree.InQuery:
		return true
	case *tree.Call:
		return n.Over != nil || slices.Contains(needTx, n.Name.Name)
	case *tree.Aggregate:
		return n.Over != nil
	}
	return false
}
