package sqltext

import (
	"fmt"
	"strings"
)

type tokenKind uint8

const (
	tokEnd       tokenKind = iota
	tokSeparator           // ;
	tokWord                // bare word, keyword or not
	tokQuoted              // "name"
	tokLiteral             // string, blob or number
	tokArg                 // ?, $1, @name
	tokSymbol              // any other byte or the operators :: and ->
)

// token is a stretch of the text: text[start:end].
type token struct {
	kind       tokenKind
	word       word // of a tokWord
	sym        byte // first byte of a tokSymbol or tokArg
	start, end int
}

func (t token) is(k keyword) bool { return t.kind == tokWord && t.word.keyword == k }
func (t token) isSymbol(c byte) bool {
	return t.kind == tokSymbol && t.sym == c && t.end == t.start+1
}

// isName reports whether the token can name a table, isColumn whether it can
// name a column.
func (t token) isName() bool {
	return t.kind == tokQuoted || t.kind == tokWord && t.word.class <= unreserved
}

func (t token) isColumn() bool {
	return t.isName() || t.kind == tokWord && t.word.class == columnOnly
}

// scanner cuts a text into tokens exactly where the server's lexer does. Blanks
// are space, tab, CR and LF; comments do not nest; a quote in a string is
// doubled and a backslash means nothing; a blob starts with a small x.
type scanner struct {
	text string
	pos  int
	err  error // the first; the scanner then is at tokEnd for good
}

// failf records the error, unless there is one, and ends the text.
func (s *scanner) failf(at int, format string, args ...any) token {
	if s.err == nil {
		line := 1 + strings.Count(s.text[:at], "\n")
		column := at - strings.LastIndexByte(s.text[:at], '\n')
		s.err = fmt.Errorf("line %d, column %d: %s", line, column, fmt.Sprintf(format, args...))
	}
	return token{kind: tokEnd, start: len(s.text), end: len(s.text)}
}

func (s *scanner) peek(i int) byte {
	if i < len(s.text) {
		return s.text[i]
	}
	return 0
}

func (s *scanner) next() token {
	if s.err != nil || !s.skipBlank() {
		return token{kind: tokEnd, start: len(s.text), end: len(s.text)}
	}
	start := s.pos
	c := s.text[start]
	t := token{start: start}
	switch {
	case c == ';':
		t.kind = tokSeparator
		s.pos++
	case c == '\'':
		return s.quotedLiteral(start, start+1, "string")
	case c == 'x' && s.peek(start+1) == '\'':
		return s.quotedLiteral(start, start+2, "blob")
	case isLetter(c):
		t.kind = tokWord
		s.pos = s.afterWord(start)
		t.word = lookup(s.text[start:s.pos])
	case c == '"':
		n := strings.IndexByte(s.text[start+1:], '"')
		if n < 0 {
			return s.failf(start, `quoted name is not closed: add the closing "`)
		}
		t.kind = tokQuoted
		s.pos = start + 1 + n + 1
	case isDigit(c) || c == '.' && isDigit(s.peek(start+1)):
		t.kind = tokLiteral
		s.pos = s.afterDigits(start)
		if s.peek(s.pos) == '.' {
			s.pos = s.afterDigits(s.pos + 1)
		}
	case c == '?':
		t.kind, t.sym = tokArg, c
		s.pos++
	case c == '$':
		t.kind, t.sym = tokArg, c
		s.pos = s.afterDigits(start + 1)
		if s.pos == start+1 {
			return s.failf(start, "$ has no argument number: write $1, $2, …")
		}
	case c == '@':
		if !isLetter(s.peek(start + 1)) {
			return s.failf(start, "@ has no argument name: write @name, beginning with a letter or _")
		}
		t.kind, t.sym = tokArg, c
		s.pos = s.afterWord(start + 1)
	case c == ':' && isLetter(s.peek(start+1)):
		end := s.afterWord(start + 1)
		return s.failf(start, ":%s is no argument in immudb: write @%[1]s", s.text[start+1:end])
	default:
		t.kind, t.sym = tokSymbol, c
		s.pos++
		if n := s.peek(s.pos); c == ':' && n == ':' || c == '-' && n == '>' {
			s.pos++
		}
	}
	t.end = s.pos
	return t
}

// skipBlank moves to the next token and reports whether there is one.
//
// The server lets the end of the text close a comment. Here that is an error:
// what the writer meant to run would vanish without a word.
func (s *scanner) skipBlank() bool {
	for s.pos < len(s.text) {
		switch c := s.text[s.pos]; {
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
			s.pos++
		case c == '-' && s.peek(s.pos+1) == '-':
			n := strings.IndexAny(s.text[s.pos:], "\r\n")
			if n < 0 {
				s.pos = len(s.text)
				return false
			}
			s.pos += n
		case c == '/' && s.peek(s.pos+1) == '*':
			n := strings.Index(s.text[s.pos+2:], "*/")
			if n < 0 {
				s.failf(s.pos, "comment is not closed: add the closing */")
				return false
			}
			s.pos += 2 + n + 2
		default:
			return true
		}
	}
	return false
}

// quotedLiteral reads on from body, behind the opening quote.
func (s *scanner) quotedLiteral(start, body int, what string) token {
	for i := body; ; i += 2 {
		n := strings.IndexByte(s.text[i:], '\'')
		if n < 0 {
			return s.failf(start, "%s is not closed: add the closing ' (one that belongs to the text is written '')", what)
		}
		i += n
		if s.peek(i+1) != '\'' {
			s.pos = i + 1
			return token{kind: tokLiteral, start: start, end: s.pos}
		}
	}
}

func (s *scanner) afterWord(i int) int {
	for i < len(s.text) && (isLetter(s.text[i]) || isDigit(s.text[i])) {
		i++
	}
	return i
}

func (s *scanner) afterDigits(i int) int {
	for i < len(s.text) && isDigit(s.text[i]) {
		i++
	}
	return i
}

func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' }
func isDigit(c byte) bool  { return '0' <= c && c <= '9' }
