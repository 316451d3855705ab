package entimmudb

import (
	"strconv"
	"strings"
)

// tokens are the parts of a text: "quoted names", 'strings', $1, words, operators, and
// signs of one byte. Joined by spaces, except around dots, they are the text again.
type tokens []string

func split(text string) (all tokens) {
	for i := 0; i < len(text); {
		begin := i
		switch c := text[i]; {
		case c == ' ' || c == '\n' || c == '\t':
			i++
			continue
		case c == '"' || c == '\'':
			for i++; i < len(text); i++ {
				if text[i] != c {
					continue
				}
				if i+1 == len(text) || text[i+1] != c {
					break
				}
				i++
			}
			i = min(i+1, len(text))
		case isWord(c):
			for i < len(text) && isWord(text[i]) {
				i++
			}
		case strings.IndexByte(operators, c) >= 0:
			for i < len(text) && strings.IndexByte(operators, text[i]) >= 0 {
				i++
			}
		default:
			i++
		}
		all = append(all, text[begin:i])
	}
	return all
}

const operators = "<>=!|-:~"

func isWord(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '$' || c >= 0x80
}

// next takes the first token.
func (t *tokens) next() string {
	if len(*t) == 0 {
		return ""
	}
	first := (*t)[0]
	*t = (*t)[1:]
	return first
}

// take takes the tokens if they come next.
func (t *tokens) take(want ...string) bool {
	if len(*t) < len(want) {
		return false
	}
	for i, w := range want {
		if !strings.EqualFold((*t)[i], w) {
			return false
		}
	}
	*t = (*t)[len(want):]
	return true
}

// until takes the tokens before the first of the ends that is outside of brackets.
func (t *tokens) until(ends ...string) tokens {
	depth := 0
	for i, token := range *t {
		if depth == 0 {
			for _, end := range ends {
				if strings.EqualFold(token, end) {
					taken := (*t)[:i]
					*t = (*t)[i:]
					return taken
				}
			}
		}
		switch token {
		case "(":
			depth++
		case ")":
			depth--
		}
	}
	taken := *t
	*t = nil
	return taken
}

// list takes a list in brackets.
func (t *tokens) list() (items []tokens, ok bool) {
	if !t.take("(") {
		return nil, false
	}
	for {
		items = append(items, t.until(",", ")"))
		if t.take(")") {
			return items, true
		}
		if !t.take(",") {
			return nil, false
		}
	}
}

// name is the name that a single token is, folded as the server does.
func name(token string) string { return strings.ToLower(strings.Trim(token, `"`)) }

func namesOf(items []tokens) (all []string) {
	for _, item := range items {
		all = append(all, name(strings.Join(item, " ")))
	}
	return all
}

// column is the column that the tokens are, of the table: "table"."column".
func (t tokens) column(table string) string {
	if len(t) == 3 && name(t[0]) == table && t[1] == "." {
		return name(t[2])
	}
	return ""
}

// isNull reports whether the tokens are NULL, or an argument that is.
func (t tokens) isNull(args []any) bool {
	if len(t) != 1 {
		return false
	}
	v, ok := t.argument(args)
	return ok && isNil(v) || strings.EqualFold(t[0], "NULL")
}

// argument is the argument that the tokens are.
func (t tokens) argument(args []any) (any, bool) {
	if len(t) != 1 || !strings.HasPrefix(t[0], "$") {
		return nil, false
	}
	n, err := strconv.Atoi(t[0][1:])
	if err != nil || n < 1 || n > len(args) {
		return nil, false
	}
	return args[n-1], true
}
