package rules

import (
	"strconv"
	"strings"

	"github.com/immudb-go/immudb/internal/sqltext/tree"
)

// storedRules are about CHECK and DEFAULT. The server stores them as a text that it
// makes from the parsed expression, and cannot always parse again.
var storedRules = []*Rule{
	{
		Name:      "check-not-read-back",
		Construct: "CHECK with a quote in a string, a blob, an argument, a query, NOT IN, CASE x WHEN or another part that the server cannot read back",
		Reason: "the server stores the constraint as a text that it cannot parse, or that means something else, " +
			"and then every statement on every table of the database fails; write the condition without it",
		Needs: tree.HasDDL,
		look: func(l *look) {
			l.each(func(n tree.Node) bool {
				if c, ok := n.(*tree.Check); ok {
					l.stored("CHECK", c.Expr)
				}
				return true
			})
		},
	},
	{
		Name:      "default-not-read-back",
		Construct: "DEFAULT with a part that the server cannot read back, as in CHECK",
		Reason: "the server stores the default as a text that it cannot parse, and then stores NULL or fails at each INSERT; " +
			"pass the value with the INSERT",
		Needs: tree.HasDDL,
		look: func(l *look) {
			l.each(func(n tree.Node) bool {
				if c, ok := n.(*tree.ColumnDef); ok && c.Default != nil {
					l.stored("DEFAULT", c.Default)
				}
				return true
			})
		},
	},
	{
		Name:      "rename-of-checked-column",
		Construct: "RENAME of a column that a CHECK names",
		Reason:    "the server keeps the old name in the CHECK, and then each INSERT fails; drop the constraint first",
		Needs:     tree.HasDDL,
		look: func(l *look) {
			a, ok := l.st.(*tree.AlterTable)
			if !ok || a.Action != tree.RenameColumn {
				return
			}
			for _, st := range l.script.Statements[:l.index] {
				if c, ok := st.(*tree.CreateTable); ok && c.Name.Name == a.Table.Name && checks(c, a.Name.Name) {
					l.refuse(a, "")
				}
			}
			l.plan.Renamed = append(l.plan.Renamed, Renamed{Table: a.Table.Name, Column: a.Name.Name, Refusal: l.found(a, "")})
		},
	},
}

// Renamed is a column that a text renames. The rename is refused if a CHECK names the
// column. Only the server knows that; it shows it by refusing to drop the column.
type Renamed struct {
	Table, Column string
	Refusal       *Refusal
}

func checks(c *tree.CreateTable, column string) bool {
	found := false
	for _, check := range c.Checks {
		tree.Inspect(check, func(n tree.Node) bool {
			if col, ok := n.(*tree.Column); ok && col.Name.Name == column {
				found = true
			}
			return true
		})
	}
	return found
}

// stored refuses the expression of a clause if the server reads it back differently or
// not at all.
func (l *look) stored(clause string, x tree.Expr) {
	tree.Inspect(x, func(n tree.Node) bool {
		if what := notReadBack(n); what != "" {
			l.refuse(n, clause+" with "+what)
		}
		return true
	})
}

// notReadBack names the part of an expression that the server cannot read back, or
// returns "".
func notReadBack(n tree.Node) string {
	switch n := n.(type) {
	case *tree.Literal:
		switch n.Kind {
		case tree.String:
			if strings.Contains(n.String(), "'") {
				return "a quote in a string"
			}
		case tree.Blob:
			return "a blob"
		case tree.Float:
			if f, err := strconv.ParseFloat(n.Raw, 64); err != nil || f >= 1<<63 {
				return "a number of more than 63 bits"
			}
		}
	case *tree.Param:
		return "an argument"
	case *tree.Subquery, *tree.Exists, *tree.InQuery:
		return "a query"
	case *tree.InList:
		if n.Not {
			return "NOT IN"
		}
	case *tree.Case:
		if n.Operand != nil {
			return "CASE … WHEN of a value"
		}
	case *tree.JSONPath:
		if len(n.Path) > 1 {
			return "a chain of ->"
		}
	case *tree.Column:
		if n.Name.Quoted && !plainName(n.Name.Name) {
			return "a name that is a keyword"
		}
	case *tree.Call:
		if n.Over != nil {
			return "a window function"
		}
	}
	return ""
}

// plainName reports whether a name means the same column without quotes.
func plainName(name string) bool {
	s, err := tree.Parse("SELECT 1 + " + name + " FROM t")
	if err != nil {
		return false
	}
	q, ok := s.Statements[0].(*tree.Select)
	if !ok || len(q.Targets) != 1 {
		return false
	}
	chain, ok := q.Targets[0].Expr.(*tree.Chain)
	if !ok || len(chain.Operands) != 2 {
		return false
	}
	c, ok := chain.Operands[1].(*tree.Column)
	return ok && c.Name.Name == name
}
