// Package selected tells which columns of its table a SELECT returns, and which it compares.
package selected

import (
	"errors"
	"strings"

	"github.com/immudb-go/immudb/internal/sqltext/tree"
)

// Target is a column of a result.
type Target struct {
	Column string // of the table
	Name   string // in the result
}

// Targets returns the columns of a SELECT, if they are columns of the table and nothing
// else depends on their names or positions.
func Targets(s *tree.Select, text string) ([]Target, error) {
	var targets []Target
	renamed := make(map[string]bool)
	for i := range s.Targets {
		t := &s.Targets[i]
		if t.Star {
			if len(s.Targets) == 1 {
				return nil, nil
			}
			return nil, errors.New("name all columns instead of " + t.Table.Name + ".*, or select nothing else")
		}
		column, ok := tree.Bare(t.Expr).(*tree.Column)
		if !ok {
			return nil, errors.New("it computes values; ask for the columns and compute them in the program")
		}
		name := column.Name.Name
		if t.Alias.Given() {
			name = asWritten(t.Alias, text)
			renamed[t.Alias.Name] = t.Alias.Name != column.Name.Name
		}
		targets = append(targets, Target{column.Name.Name, name})
	}
	for i := range s.OrderBy {
		switch x := tree.Bare(s.OrderBy[i].Expr).(type) {
		case *tree.Column:
			if x.Table.Given() || !renamed[x.Name.Name] {
				continue
			}
		case *tree.Literal:
		default:
			continue
		}
		return nil, errors.New("name the column itself in ORDER BY")
	}
	return targets, nil
}

// asWritten is the name of an alias in the result: unchanged if it is in quotes, else in
// lower case.
func asWritten(alias tree.Ident, text string) string {
	raw := alias.Of(text)
	if alias.Quoted {
		return raw[1 : len(raw)-1]
	}
	return strings.ToLower(raw)
}

// Equal finds the columns that a condition compares by = with a literal or an argument.
func Equal(where tree.Expr) map[string]tree.Expr {
	equal := make(map[string]tree.Expr)
	collectEqual(where, equal)
	return equal
}

func collectEqual(x tree.Expr, equal map[string]tree.Expr) {
	switch x := tree.Bare(x).(type) {
	case *tree.Chain:
		if x.Operators[0] == "AND" {
			for _, operand := range x.Operands {
				collectEqual(operand, equal)
			}
		}
	case *tree.Compare:
		if x.Operator != "=" {
			return
		}
		for _, sides := range [][2]tree.Expr{{x.Left, x.Right}, {x.Right, x.Left}} {
			column, ok := tree.Bare(sides[0]).(*tree.Column)
			switch value := tree.Bare(sides[1]).(type) {
			case *tree.Param, *tree.Literal:
				if ok && equal[column.Name.Name] == nil {
					equal[column.Name.Name] = value
				}
			}
		}
	}
}
