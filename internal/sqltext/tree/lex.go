package tree

import (
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

type tokenKind uint8

const (
	tokEnd tokenKind = iota
	tokSeparator
	tokName  // an identifier, quoted or not
	tokWord  // an unquoted word that is not an identifier: token.word
	tokQuest // ?
	tokDollar
	tokNamed // @name
	tokInteger
	tokFloat
	tokString
	tokBlob
	tokCompare  // = != <> < <= > >=
	tokNotMatch // !~
	tokCast     // ::
	tokArrow    // ->
	tokDot
	tokSymbol // one of ( ) [ ] , + - * / %
)

// token is a part of the text: text[start:end].
type token struct {
	kind       tokenKind
	word       keyword
	sym        byte   // of a tokSymbol
	number     uint64 // of a tokInteger and a tokDollar
	start, end int
}

func (t token) is(k keyword) bool    { return t.kind == tokWord && t.word == k }
func (t token) isSymbol(c byte) bool { return t.kind == tokSymbol && t.sym == c }
func (t token) isName() bool         { return t.kind == tokName || t.kind == tokWord && t.word.isUnreserved() }
func (t token) isColumn() bool       { return t.isName() || t.kind == tokWord && t.word.isColumnKeyword() }
func (t token) isType() bool         { return t.kind == tokWord && t.word.isType() }
func (t token) beginsQuery() bool {
	return t.is(kwSelect) || t.is(kwWith) || t.is(kwShow) || t.is(kwExplain)
}

// lexer splits a text into tokens at the same places as the server's lexer.
type lexer struct {
	text string
	pos  int
	has  Feature
	err  *Error // the first error; after it every token is tokEnd
}

const byteOrderMark = "\ufeff"

// failf records the error, unless there is one already, and moves to the end of the
// text.
func (l *lexer) failf(at int, format string, args ...any) token {
	if l.err == nil {
		line, column := Position(l.text, at)
		l.err = &Error{Offset: at, Line: line, Column: column, Message: fmt.Sprintf(format, args...)}
	}
	l.pos = len(l.text)
	return token{kind: tokEnd, start: len(l.text), end: len(l.text)}
}

func (l *lexer) peek(i int) byte {
	if i < len(l.text) {
		return l.text[i]
	}
	return 0
}

func (l *lexer) next() token {
	if l.err != nil || !l.skipBlank() {
		return token{kind: tokEnd, start: len(l.text), end: len(l.text)}
	}
	start := l.pos
	switch c := l.text[start]; {
	case c == 'x' && l.peek(start+1) == '\'':
		return l.blob(start)
	case isLetter(c):
		return l.bareWord(start)
	case isDigit(c) || c == '.' && isDigit(l.peek(start+1)):
		return l.number(start)
	case c == '\'':
		l.pos = start + 1
		return l.quoted(start, tokString, "string")
	case c == '"':
		return l.quotedName(start, c)
	case c == '`':
		l.has |= HasBackquotes
		return l.quotedName(start, c)
	case isCompare(c):
		return l.compare(start)
	case c == '?':
		return l.token(tokQuest, start, 1)
	case c == '$':
		return l.numbered(start)
	case c == '@':
		if !isLetter(l.peek(start + 1)) {
			return l.failf(start, "@ without an argument name: write @name, beginning with a letter or _")
		}
		return l.token(tokNamed, start, l.wordEnd(start+1)-start)
	case c == ';':
		return l.token(tokSeparator, start, 1)
	case c == '.':
		return l.token(tokDot, start, 1)
	case c == '-' && l.peek(start+1) == '>':
		return l.token(tokArrow, start, 2)
	case c == ':' && l.peek(start+1) == ':':
		return l.token(tokCast, start, 2)
	case strings.IndexByte("()[],+-*/%", c) >= 0:
		t := l.token(tokSymbol, start, 1)
		t.sym = c
		return t
	}
	return l.noToken(start)
}

func (l *lexer) token(k tokenKind, start, length int) token {
	l.pos = start + length
	return token{kind: k, start: start, end: l.pos}
}

// noToken fails with an error that names the character, because no token begins with
// it.
func (l *lexer) noToken(at int) token {
	rest := l.text[at:]
	r, _ := utf8.DecodeRuneInString(rest)
	switch {
	case r == 0:
		return l.failf(at, "a NUL byte in the query: the server would take it for the end and ignore the rest; "+
			`pass it in an argument or as a blob, x'00'`)
	case strings.HasPrefix(rest, "||"):
		return l.failf(at, "|| is not an operator in immudb: write CONCAT(a, b)")
	case r == ':' && isLetter(l.peek(at+1)):
		return l.failf(at, ":%s is not a placeholder in immudb: write @%[1]s", l.text[at+1:l.wordEnd(at+1)])
	case r == '\ufeff':
		return l.failf(at, "a byte order mark (U+FEFF) within the query: remove it")
	case r < ' ' || r == 0x7f || r == utf8.RuneError || r >= utf8.RuneSelf:
		return l.failf(at, "unexpected character %U: only strings, quoted names and comments may hold characters outside ASCII", r)
	}
	return l.failf(at, "unexpected character %c", r)
}

// skipBlank moves to the next token and reports whether there is one.
func (l *lexer) skipBlank() bool {
	for l.pos < len(l.text) {
		switch c := l.text[l.pos]; {
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
			l.pos++
		case c == '-' && l.peek(l.pos+1) == '-':
			n := strings.IndexAny(l.text[l.pos:], "\r\n")
			if n < 0 {
				l.pos = len(l.text)
				return false
			}
			l.pos += n
		case c == '/' && l.peek(l.pos+1) == '*':
			n := strings.Index(l.text[l.pos+2:], "*/")
			if n < 0 {
				l.failf(l.pos, "comment is not closed: add the closing */")
				return false
			}
			l.pos += 2 + n + 2
		case l.pos == 0 && strings.HasPrefix(l.text, byteOrderMark):
			l.pos = len(byteOrderMark)
			l.has |= HasByteOrderMark
		default:
			return true
		}
	}
	return false
}

func (l *lexer) bareWord(start int) token {
	t := l.token(tokName, start, l.wordEnd(start)-start)
	if t.word = lookup(l.text[start:t.end]); t.word != noKeyword {
		t.kind = tokWord
	}
	return t
}

// quotedName reads a name in quotes, which may be empty. Names of the server hold
// only letters, digits and _; a name with other characters is marked.
func (l *lexer) quotedName(start int, quote byte) token {
	end := l.wordEnd(start + 1)
	if l.peek(end) == quote && end < len(l.text) {
		return l.token(tokName, start, end+1-start)
	}
	n := strings.IndexByte(l.text[start+1:], quote)
	if n < 0 {
		return l.failf(start, "quoted name is not closed: add the closing %c", quote)
	}
	if nul := strings.IndexByte(l.text[start+1:start+1+n], 0); nul >= 0 {
		return l.noToken(start + 1 + nul)
	}
	l.has |= HasStrangeName
	return l.token(tokName, start, n+2)
}

// quoted reads on after the opening quote. A quote in it is doubled.
func (l *lexer) quoted(start int, kind tokenKind, what string) token {
	for i := l.pos; ; i += 2 {
		n := strings.IndexByte(l.text[i:], '\'')
		if n < 0 {
			return l.failf(start, "%s is not closed: add the closing ' (write '' for a ' in it)", what)
		}
		i += n
		if l.peek(i+1) != '\'' {
			return l.token(kind, start, i+1-start)
		}
	}
}

func (l *lexer) blob(start int) token {
	l.pos = start + 2
	t := l.quoted(start, tokBlob, "blob")
	if t.kind == tokBlob {
		digits := l.text[start+2 : t.end-1]
		if len(digits)%2 != 0 || strings.IndexFunc(digits, notHex) >= 0 {
			return l.failf(start, "a blob is written as pairs of hexadecimal digits: x'00ff'")
		}
	}
	return t
}

func notHex(r rune) bool {
	return r >= utf8.RuneSelf || !isDigit(byte(r)) && (r|0x20 < 'a' || r|0x20 > 'f')
}

func (l *lexer) number(start int) token {
	i := l.digitsEnd(start)
	if l.peek(i) != '.' {
		t := l.token(tokInteger, start, i-start)
		if isLetter(l.peek(i)) {
			l.has |= HasTouchingNumber
		}
		n, err := strconv.ParseUint(l.text[start:i], 10, 64)
		if err != nil {
			return l.failf(start, "the number is larger than any INTEGER: pass a larger one as a FLOAT, with a decimal point")
		}
		t.number = n
		return t
	}
	i = l.digitsEnd(i + 1)
	if isLetter(l.peek(i)) {
		l.has |= HasTouchingNumber
	}
	t := l.token(tokFloat, start, i-start)
	if i-start > 300 {
		if f, err := strconv.ParseFloat(l.text[start:i], 64); err != nil || math.IsInf(f, 0) {
			return l.failf(start, "the number is larger than any FLOAT")
		}
	}
	return t
}

func (l *lexer) numbered(start int) token {
	i := l.digitsEnd(start + 1)
	if i == start+1 {
		return l.failf(start, "$ without an argument number: write $1, $2, …")
	}
	n, err := strconv.ParseUint(l.text[start+1:i], 10, 64)
	switch {
	case err != nil || n > MaxParam:
		return l.failf(start, "argument number of %s is too large: number the arguments $1, $2, … without gaps", l.text[start:min(i, start+24)])
	case n == 0:
		return l.failf(start, "argument %s does not exist: the first is $1", l.text[start:min(i, start+24)])
	}
	t := l.token(tokDollar, start, i-start)
	t.number = n
	return t
}

func (l *lexer) compare(start int) token {
	i := start + 1
	for isCompare(l.peek(i)) {
		i++
	}
	switch op := l.text[start:i]; op {
	case "=", "!=", "<>", "<", "<=", ">", ">=":
		return l.token(tokCompare, start, i-start)
	case "!~":
		return l.token(tokNotMatch, start, i-start)
	default:
		return l.failf(start, "%s is not an operator in immudb", op[:min(len(op), 8)])
	}
}

func (l *lexer) wordEnd(i int) int {
	for i < len(l.text) && (isLetter(l.text[i]) || isDigit(l.text[i])) {
		i++
	}
	return i
}

func (l *lexer) digitsEnd(i int) int {
	for i < len(l.text) && isDigit(l.text[i]) {
		i++
	}
	return i
}

// unquote returns the value of a string literal.
func unquote(raw string) string {
	s := raw[1 : len(raw)-1]
	if strings.IndexByte(s, '\'') < 0 {
		return s
	}
	return strings.ReplaceAll(s, "''", "'")
}

func unhex(raw string) []byte {
	b, _ := hex.DecodeString(raw[2 : len(raw)-1]) // the lexer has checked the digits
	return b
}

func isLetter(c byte) bool  { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' }
func isDigit(c byte) bool   { return '0' <= c && c <= '9' }
func isCompare(c byte) bool { return c == '!' || c == '<' || c == '=' || c == '>' || c == '~' }
