package eval

import (
	"regexp"
	"strings"
)

// like is LIKE and ILIKE.
type like struct {
	x, pattern      node
	not, ignoreCase bool
	slot            int // of the compiled pattern in a Bound
	text            string
}

// matcher is a pattern that was compiled last.
type matcher struct {
	pattern string
	regexp  *regexp.Regexp
}

func (l *like) eval(b *Bound) (value, error) {
	x, err := l.x.eval(b)
	switch {
	case err != nil:
		return x, err
	case x.null:
		return truth(l.not), nil
	case x.typ != varchar:
		return x, &Unsupported{l.text, "LIKE is for VARCHAR"}
	}
	p, err := l.pattern.eval(b)
	if err != nil {
		return p, err
	}
	if p.null || p.typ != varchar {
		return p, &Unsupported{l.text, "the pattern is no VARCHAR"}
	}
	m := &b.matchers[l.slot]
	if m.regexp == nil || m.pattern != p.s {
		m.pattern = p.s
		if m.regexp, err = compilePattern(p.s, l.ignoreCase); err != nil {
			return p, &Unsupported{l.text, "the pattern is too long"}
		}
	}
	return truth(m.regexp.MatchString(x.s) != l.not), nil
}

// compilePattern makes of a pattern what the server makes of it: it takes each byte
// for a character of its own, so that letters beyond ASCII become others.
func compilePattern(pattern string, ignoreCase bool) (*regexp.Regexp, error) {
	var b strings.Builder
	if ignoreCase {
		b.WriteString("(?i)")
	}
	b.WriteByte('^')
	for i := 0; i < len(pattern); i++ {
		c := pattern[i]
		switch {
		case c == '%':
			b.WriteString(".*")
			continue
		case c == '_':
			b.WriteByte('.')
			continue
		case c == '\\' && i+1 < len(pattern):
			i++
			c = pattern[i]
		}
		b.WriteString(regexp.QuoteMeta(string(rune(c))))
	}
	b.WriteByte('$')
	return regexp.Compile(b.String())
}
