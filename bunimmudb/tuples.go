package bunimmudb

import (
	"regexp"
	"strings"
)

const column = ident + `(?:\.` + ident + `)?`

var tupleIn = regexp.MustCompile(`(?i)'(?:[^']|'')*'|\((` + column + `(?:\s*,\s*` + column + `)+)\)\s+(NOT\s+)?IN\s+\(`)

// rewriteTuples replaces (a, b) IN ((1, 2), (3, 4)), which bun writes for several rows with
// a key of several columns, by comparisons joined by OR: the server has no tuples.
func rewriteTuples(query string) (string, error) {
	var out strings.Builder
	for {
		m := tupleIn.FindStringSubmatchIndex(query)
		if m == nil {
			out.WriteString(query)
			return out.String(), nil
		}
		rows, rest, ok := scanRows(query[m[1]:])
		if m[2] < 0 || !ok || !strings.HasPrefix(rest, ")") { // a literal, or a subquery
			out.WriteString(query[:m[1]])
			query = query[m[1]:]
			continue
		}
		columns := strings.Split(query[m[2]:m[3]], ",")
		out.WriteString(query[:m[0]])
		if m[4] >= 0 {
			out.WriteString("NOT ")
		}
		for i, row := range rows {
			if len(row) != len(columns) {
				return "", unsupported("a tuple of %d columns compared with %d values", len(columns), len(row))
			}
			out.WriteString([]string{"(", " OR "}[min(i, 1)])
			for j, value := range row {
				out.WriteString([]string{"(", " AND "}[min(j, 1)])
				out.WriteString(strings.TrimSpace(columns[j]) + " = " + value)
			}
			out.WriteByte(')')
		}
		query = rest // with the parenthesis that closes the list
	}
}
