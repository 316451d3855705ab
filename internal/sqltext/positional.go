package sqltext

import (
	"slices"
	"strconv"
	"strings"
)

// Positional rewrites a statement of q to ? placeholders, so that it can stand
// in one text with statements of any other style. order holds, for each ?, the
// index of its argument among those of the whole text: $1 and @a may come up
// more than once.
func (q *Query) Positional(st *Statement) (text string, order []int) {
	if q.Style == None || q.Style == Question {
		for i := range st.NumArgs {
			order = append(order, st.FirstArg+i)
		}
		return st.Text, order
	}
	var b strings.Builder
	s := scanner{text: st.Text}
	copied := 0
	for t := s.next(); t.kind != tokEnd; t = s.next() {
		if t.kind != tokArg {
			continue
		}
		b.WriteString(st.Text[copied:t.start])
		b.WriteByte('?')
		copied = t.end
		name := st.Text[t.start+1 : t.end]
		if q.Style == Dollar {
			n, _ := strconv.Atoi(name) // Parse has read it before
			order = append(order, n-1)
		} else {
			order = append(order, slices.Index(q.Names, strings.ToLower(name)))
		}
	}
	b.WriteString(st.Text[copied:])
	return b.String(), order
}
