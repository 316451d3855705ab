package sqltext

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// CheckTail tells whether text can follow "SELECT * FROM table" so that every row
// of the result is still a row of the table as it is now: a condition, an order
// and limits, but no other table, no other time and no grouping.
func CheckTail(text string) error {
	s := scanner{text: text}
	depth := 0
	for first := true; ; first = false {
		t := s.next()
		word := ""
		if t.kind == tokWord {
			word = strings.ToUpper(text[t.start:t.end])
		}
		switch {
		case t.kind == tokEnd:
			if s.err == nil && depth != 0 {
				return errors.New("its parentheses do not match")
			}
			return s.err
		case t.kind == tokSeparator:
			return errors.New("it ends with a ;")
		case first && !slices.Contains([]string{"WHERE", "ORDER", "LIMIT", "OFFSET"}, word):
			return errors.New("it begins with none of WHERE, ORDER BY, LIMIT and OFFSET")
		case t.isSymbol('('):
			depth++
		case t.isSymbol(')'):
			if depth--; depth < 0 {
				return errors.New("its parentheses do not match")
			}
		case depth == 0 && slices.Contains([]string{"UNION", "INTERSECT", "EXCEPT", "GROUP", "HAVING"}, word):
			return fmt.Errorf("%s makes rows that are none of the table", word)
		}
	}
}
