package tree

import (
	"errors"
	"testing"
)

// FuzzParse checks that no text makes the parser panic, that errors have a position,
// and that every node lies within its parent and begins and ends with a token.
func FuzzParse(f *testing.F) {
	for _, text := range accepted {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse(text)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Line < 1 || e.Column < 1 || e.Offset > len(text) {
				t.Fatalf("%q: %#v", text, err)
			}
			return
		}
		end := 0
		for _, st := range s.Statements {
			if at := st.Place(); at.Start < end || at.End <= at.Start {
				t.Fatalf("%q: statement at %v, the one before ended at %d", text, at, end)
			}
			end = st.Place().End
			checkPlaces(t, text, st)
			if _, err := Parse(st.Place().Of(text)); err != nil {
				t.Fatalf("%q: statement %q does not stand alone: %v", text, st.Place().Of(text), err)
			}
		}
	})
}

func checkPlaces(t *testing.T, text string, n Node) {
	outer := n.Place()
	children(n, func(c Node) {
		if isNil(c) {
			return
		}
		in := c.Place()
		if in.Start < outer.Start || in.End > outer.End || in.End <= in.Start {
			t.Fatalf("%q: %T at %v within %T at %v", text, c, in, n, outer)
		}
		checkPlaces(t, text, c)
	})
}
