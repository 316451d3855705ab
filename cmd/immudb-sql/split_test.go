package main

import (
	"slices"
	"strings"
	"testing"
)

func TestSplitterFindsTheEndsOfStatements(t *testing.T) {
	for _, c := range []struct {
		text   string
		pieces []string
		rest   string
	}{
		{"a; b;c", []string{"a", " b"}, "c"},
		{"';' \";\" -- ;\n/* ; */ x;", []string{"';' \";\" -- ;\n/* ; */ x"}, ""},
		{"'it''s;' \\g out\nnext", []string{`\g out`}, "'it''s;' \nnext"},
		{"-- \\d\n\\d t\n", []string{`\d t`}, ""},
		{"'\\d';", []string{`'\d'`}, ""},
		{"/**/;/*/ ; */", []string{"/**/"}, "/*/ ; */"},
		{"a - b / c;", []string{"a - b / c"}, ""},
	} {
		var s splitter
		var pieces []string
		for line := range strings.Lines(c.text) {
			s.add(line)
			for piece, _, ok := s.next(); ok; piece, _, ok = s.next() {
				pieces = append(pieces, piece)
			}
		}
		if rest := s.take(); !slices.Equal(pieces, c.pieces) || rest != c.rest {
			t.Errorf("%q: %q and %q, want %q and %q", c.text, pieces, rest, c.pieces, c.rest)
		}
	}
}
