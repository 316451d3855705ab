package eval

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

// like is LIKE and ILIKE.
type like struct {
	x, pattern      node
	not, ignoreCase bool
	slot            int // of the compiled pattern in a Bound
	text            string
}

// matcher is the pattern that was compiled last.
type matcher struct {
	pattern string
	match   func(string) bool
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
		return p, &Unsupported{l.text, "the pattern is not a VARCHAR"}
	}
	m := &b.matchers[l.slot]
	if m.match == nil || m.pattern != p.s {
		m.pattern = p.s
		if m.match = compilePattern(p.s, l.ignoreCase); m.match == nil {
			return p, &Unsupported{l.text, "the pattern is too long, or has letters outside ASCII and is not one of text, text%, %text and %text%"}
		}
	}
	return truth(m.match(x.s) != l.not), nil
}

// compilePattern returns nil for a pattern that the client cannot evaluate.
func compilePattern(pattern string, ignoreCase bool) func(string) bool {
	if !ascii(pattern) {
		return spellOut(pattern, ignoreCase)
	}
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
		b.WriteString(regexp.QuoteMeta(string(c)))
	}
	b.WriteByte('$')
	r, err := regexp.Compile(b.String())
	if err != nil {
		return nil
	}
	return r.MatchString
}

// spellOut matches as the driver's rewritten query does for patterns with letters
// outside ASCII: see rule like-of-other-letters.
func spellOut(pattern string, ignoreCase bool) func(string) bool {
	text := strings.Trim(pattern, "%")
	begins, ends := strings.HasPrefix(pattern, "%"), strings.HasSuffix(pattern, "%")
	if strings.ContainsAny(text, `%_\`) {
		return nil
	}
	same := func(s string) string { return s }
	if ignoreCase {
		same, text = strings.ToLower, strings.ToLower(text)
	}
	switch {
	case begins && !ends:
		return func(s string) bool { return strings.HasSuffix(same(s), text) }
	case begins:
		return func(s string) bool { return strings.Contains(same(s), text) }
	case ends:
		return func(s string) bool { return strings.HasPrefix(same(s), text) }
	}
	return func(s string) bool { return same(s) == text }
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
