package sqltext

import "strings"

// Positional rewrites a statement of q to ? placeholders, so that it can be sent
// together with statements of another style. order holds, for each ?, the index of
// its argument among those of the whole text: $1 and @a may occur more than once.
func (q *Query) Positional(st *Statement) (text string, order []int) {
	params := q.Script.ParamsOf(st.Tree)
	if len(params) == 0 {
		return st.Text, nil
	}
	order = make([]int, len(params))
	for i, p := range params {
		order[i] = p.Index
	}
	if q.Style == Question {
		return st.Text, order
	}
	var b strings.Builder
	start := st.Tree.Place().Start
	copied := 0
	for _, p := range params {
		b.WriteString(st.Text[copied : p.Start-start])
		b.WriteByte('?')
		copied = p.End - start
	}
	b.WriteString(st.Text[copied:])
	return b.String(), order
}
