package rules

import (
	"slices"

	"github.com/immudb-go/immudb/internal/sqltext/tree"
)

// setRules are about UNION, EXCEPT and INTERSECT.
var setRules = []*Rule{
	{
		Name:      "set-operations-from-the-right",
		Construct: "several of UNION, EXCEPT and INTERSECT without parentheses",
		Reason:    "the server reads a EXCEPT b EXCEPT c as a EXCEPT (b EXCEPT c); the driver turns a EXCEPT b into a derived table",
		Needs:     tree.HasSetOperation,
		look: func(l *look) {
			l.each(func(n tree.Node) bool {
				switch n := n.(type) {
				case *tree.With:
					// After WITH the server accepts only UNION as the first operator.
					if s, ok := n.Body.(*tree.SetOperation); ok && ofQueries(s) && slices.ContainsFunc(operands(s), func(o operand) bool { return o.to > o.from }) {
						l.derive(s.Place(), false)
					}
				case *tree.SetOperation:
					l.fromTheLeft(n)
				}
				return true
			})
		},
	},
	{
		Name:      "set-operation-repeats-rows",
		Construct: "EXCEPT or INTERSECT of duplicate rows",
		Reason:    "the server returns such a row more than once; the driver writes SELECT DISTINCT",
		Needs:     tree.HasSetOperation,
		look: func(l *look) {
			l.each(func(n tree.Node) bool {
				s, ok := n.(*tree.SetOperation)
				if !ok || !ofQueries(s) {
					return true
				}
				for _, left := range operands(s) {
					if left.from == left.to && left.distinct {
						l.distinct(s.Sides[left.from])
					}
				}
				return true
			})
		},
	},
}

// operand is a range of the sides of a set operation: the left operand of one of its
// operators.
type operand struct {
	from, to int
	distinct bool // the operator is EXCEPT or INTERSECT, so duplicate rows count once
}

// operands returns the left operands of a set operation's operators, the longest
// first. INTERSECT has a higher precedence than the others, which are evaluated from
// the left. The server does not treat several sides as one left operand; that makes no
// difference if all operators are the same and associative.
func operands(s *tree.SetOperation) []operand {
	var list []operand
	alike := s.Operators[0] != tree.Except
	for _, op := range s.Operators[1:] {
		alike = alike && op == s.Operators[0]
	}
	if alike {
		return []operand{{0, 0, s.Operators[0] == tree.Intersect}}
	}
	for i := len(s.Operators) - 1; i >= 0; i-- {
		if op := s.Operators[i]; op != tree.Intersect {
			list = append(list, operand{0, i, op == tree.Except})
		}
	}
	for from := 0; from < len(s.Operators); from++ {
		if s.Operators[from] == tree.Intersect && (from == 0 || s.Operators[from-1] != tree.Intersect) {
			list = append(list, operand{from, from, true})
		}
	}
	return list
}

// fromTheLeft turns left operands into derived tables, if the server would not evaluate
// them first.
func (l *look) fromTheLeft(s *tree.SetOperation) {
	if !ofQueries(s) {
		return
	}
	for _, left := range operands(s) {
		if left.from == left.to {
			continue
		}
		l.derive(tree.Span{Start: s.Sides[left.from].Place().Start, End: s.Sides[left.to].Place().End}, left.distinct)
	}
}

// ofQueries reports whether no side is an EXPLAIN or SHOW, which cannot be derived
// tables.
func ofQueries(s *tree.SetOperation) bool {
	return !slices.ContainsFunc(s.Sides, func(q tree.Query) bool {
		switch q.(type) {
		case *tree.Explain, *tree.Show:
			return true
		}
		return false
	})
}

// distinct makes a side return no duplicate rows.
func (l *look) distinct(side tree.Query) {
	s, ok := side.(*tree.Select)
	switch {
	case !ok || s.LimitAt.Given() || s.OffsetAt.Given():
		l.derive(side.Place(), true)
	case !s.Distinct:
		at := s.Start + len("SELECT")
		l.replace(tree.Span{Start: at, End: at}, " DISTINCT")
	}
}

// derive turns a query into a derived table.
func (l *look) derive(at tree.Span, distinct bool) {
	open := "SELECT * FROM ("
	if distinct {
		open = "SELECT DISTINCT * FROM ("
	}
	l.replace(tree.Span{Start: at.Start, End: at.Start}, open)
	l.replace(tree.Span{Start: at.End, End: at.End}, ")")
}
