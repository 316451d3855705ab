package main

import "bytes"

// splitter cuts a text that arrives line by line into statements and commands. Outside strings, quoted
// names and comments, a statement ends at a semicolon, and a command is what follows a backslash on its
// line: it may stand within a statement.
type splitter struct {
	text []byte
	pos  int  // what is before it has been looked at
	in   byte // what text[pos] is in: ' " - (a comment to the end of the line) * (a comment), or 0
	some bool // text[:pos] has more than blanks and comments
}

func (s *splitter) add(line string) { s.text = append(s.text, line...) }

// next returns the next complete statement without its semicolon, which may be empty, or the next
// command with its backslash.
func (s *splitter) next() (piece string, command, ok bool) {
	for ; s.pos < len(s.text); s.pos++ {
		c := s.text[s.pos]
		follows := func(want byte) bool { return s.pos+1 < len(s.text) && s.text[s.pos+1] == want }
		switch s.in {
		case '\'', '"':
			if c == s.in {
				s.in = 0
			}
			continue
		case '-':
			if c == '\n' {
				s.in = 0
			}
			continue
		case '*':
			if c == '*' && follows('/') {
				s.in = 0
				s.pos++
			}
			continue
		}
		switch {
		case c == '\'' || c == '"':
			s.in, s.some = c, true
		case c == '-' && follows('-'):
			s.in = '-'
			s.pos++
		case c == '/' && follows('*'):
			s.in = '*'
			s.pos++
		case c == ';':
			piece = string(s.text[:s.pos])
			*s = splitter{text: bytes.Clone(s.text[s.pos+1:])}
			return piece, false, true
		case c == '\\':
			line, rest, _ := bytes.Cut(s.text[s.pos:], []byte("\n"))
			piece = string(bytes.TrimSpace(line))
			s.text = append(append(bytes.Clone(s.text[:s.pos]), '\n'), rest...)
			if !s.some {
				*s = splitter{text: rest}
			}
			return piece, true, true
		case c != ' ' && c != '\t' && c != '\n' && c != '\r':
			s.some = true
		}
	}
	return "", false, false
}

// begun reports whether a statement has begun and not ended.
func (s *splitter) begun() bool { return s.some || s.in == '*' }

// take returns what has begun, and forgets it.
func (s *splitter) take() string {
	text := string(s.text)
	*s = splitter{}
	return text
}
