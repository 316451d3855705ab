package bunimmudb

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/immudb-go/immudb"
)

func unsupported(format string, args ...any) error {
	return fmt.Errorf("bunimmudb: %w: "+format, append([]any{immudb.ErrUnsupported}, args...)...)
}

const ident = `(?:"[^"]+"|\w+)`

var (
	// bun puts comments only before a statement.
	leadingComment = `^\s*(?:/\*.*?\*/\s*)*`

	createIndex = regexp.MustCompile(`(?is)(` + leadingComment + `CREATE\s+(?:UNIQUE\s+)?INDEX\s+(?:IF\s+NOT\s+EXISTS\s+)?)(?:` + ident + `\s+)?(ON\s+` + ident + `\s*\([^()]*\))\s*(.*?)\s*;?\s*$`)
	uniqueIndex = regexp.MustCompile(`(?is)` + leadingComment + `CREATE\s+UNIQUE\s+INDEX\s+IF\s+NOT\s+EXISTS\s+(?:` + ident + `\s+)?ON\s+(` + ident + `)\s*\(([^()]*)\)\s*;?\s*$`)
	dropIndex   = regexp.MustCompile(`(?is)` + leadingComment + `DROP\s+INDEX\s+(?:CONCURRENTLY\s+)?(?:IF\s+EXISTS\s+)?(` + ident + `)\s*(?:CASCADE|RESTRICT)?\s*$`)
	createTable = regexp.MustCompile(`(?is)` + leadingComment + `CREATE\s+TABLE\s+(IF\s+NOT\s+EXISTS\s+)?(` + ident + `)\s*\(`)
	// The pattern also matches literals, so that text in them is not read as a constraint.
	tableConstraint = regexp.MustCompile(`(?i)'(?:[^']|'')*'|,\s*(?:CONSTRAINT\s+` + ident + `\s+)?UNIQUE\s*(\([^()]*\))|,\s*(?:CONSTRAINT\s+` + ident + `\s+)?(FOREIGN\s+KEY)`)
	primaryKey      = regexp.MustCompile(`(?i)'(?:[^']|'')*'|(\bPRIMARY\s+KEY\b)`)
	endOfColumns    = regexp.MustCompile(`\)\s*;?\s*$`)
	bulkUpdate      = regexp.MustCompile(`(?is)` + leadingComment + `WITH\s+"?_data"?\s*\(([^()]*)\)\s+AS\s+\(VALUES\s+`)
	update          = regexp.MustCompile(`(?is)^` + leadingComment[1:] + `UPDATE\s`)
	// Literals and quoted names; the names of aggregates, with the bracket of a call.
	aggregateName = regexp.MustCompile(`(?i)'(?:[^']|'')*'|"[^"]*"|\b(COUNT|SUM|MIN|MAX|AVG)\b(\s*\()?`)
	addColumn     = regexp.MustCompile(`(?is)^(` + leadingComment[1:] + `ALTER\s+TABLE\s+` + ident + `\s+ADD)\s+`)
	// An error of the dialect, which bun puts into the text; or a literal.
	fault         = regexp.MustCompile(`'(?:[^']|'')*'|\?!\((bunimmudb: [^)]*)\)`)
	lockingClause = regexp.MustCompile(`(?is)\s+FOR\s+(?:UPDATE|SHARE)(?:\s+OF\s+` + ident + `)?(?:\s+NOWAIT)?\s*;?\s*$`)
)

// rewrite changes a statement of bun into the server's syntax. If table is not "", run the
// statement only if that table does not exist.
func rewrite(query string) (text, table string, err error) {
	if strings.Contains(query, "?!(bunimmudb: ") {
		for _, m := range fault.FindAllStringSubmatch(query, -1) {
			if m[1] != "" {
				return "", "", errors.New(m[1])
			}
		}
	}
	head := query
	if len(head) > 256 {
		head = head[:256]
	}
	head = strings.ToUpper(head)
	switch {
	case strings.Contains(head, "INDEX"):
		text, err = rewriteIndex(query)
		return text, "", err
	case strings.Contains(head, "CREATE TABLE"):
		return rewriteTable(query)
	case strings.Contains(head, "ALTER TABLE"):
		if m := addColumn.FindStringSubmatch(query); m != nil && !strings.HasPrefix(strings.ToUpper(query[len(m[0]):]), "COLUMN ") {
			return m[1] + " COLUMN " + query[len(m[0]):], "", nil
		}
	case strings.Contains(head, "_DATA"):
		if m := bulkUpdate.FindStringSubmatchIndex(query); m != nil {
			text, err = rewriteBulkUpdate(query, m)
			return text, "", err
		}
	case update.MatchString(query):
		return quoteColumns(query), "", nil
	case strings.Contains(head, "SELECT"):
		// The server has no row locks. Transactions are safe without FOR UPDATE: a
		// transaction does not commit if another one has changed rows that it read.
		return lockingClause.ReplaceAllString(query, ""), "", nil
	}
	return query, "", nil
}

// quoteColumns quotes columns of an UPDATE that have the name of an aggregate, as in
// SET count = count + 1: for the server such a name is a keyword.
func quoteColumns(query string) string {
	return aggregateName.ReplaceAllStringFunc(query, func(part string) string {
		if m := aggregateName.FindStringSubmatch(part); m[1] != "" && m[2] == "" {
			return `"` + strings.ToLower(part) + `"`
		}
		return part
	})
}

// rewriteIndex removes the name of an index: the server's indexes have none.
func rewriteIndex(query string) (string, error) {
	if m := createIndex.FindStringSubmatch(query); m != nil {
		if m[3] != "" {
			return "", unsupported("CREATE INDEX … %s: the server would index every row and only the columns in brackets", m[3])
		}
		return m[1] + m[2], nil
	}
	if m := dropIndex.FindStringSubmatch(query); m != nil && !strings.Contains(m[1], "(") {
		return "", unsupported("DROP INDEX %s: indexes have no names; run DROP INDEX ON table(column, …)", m[1])
	}
	return query, nil
}

// ownKey is the key of a table whose model has none.
const ownKey = `, "rowid" INTEGER AUTO_INCREMENT, PRIMARY KEY ("rowid")`

// withKey gives a CREATE TABLE without a primary key one of its own, which the server
// demands.
func withKey(query string) string {
	for _, m := range primaryKey.FindAllStringSubmatch(query, -1) {
		if m[1] != "" {
			return query
		}
	}
	end := endOfColumns.FindStringIndex(query)
	if end == nil {
		return query // not a list of columns: the server's error
	}
	return query[:end[0]] + ownKey + query[end[0]:]
}

// rewriteTable turns UNIQUE constraints in CREATE TABLE into unique indexes, gives the
// table a key if it has none, and refuses foreign keys, which the server parses but does
// not enforce.
func rewriteTable(query string) (text, table string, err error) {
	m := createTable.FindStringSubmatch(query)
	if m == nil {
		return query, "", nil
	}
	var indexes strings.Builder
	text = tableConstraint.ReplaceAllStringFunc(query, func(part string) string {
		c := tableConstraint.FindStringSubmatch(part)
		switch {
		case c[2] != "":
			err = unsupported("FOREIGN KEY in table %s: the server parses foreign keys and enforces nothing; create the table without them", m[2])
		case c[1] != "":
			fmt.Fprintf(&indexes, "; CREATE UNIQUE INDEX %sON %s %s", m[1], m[2], c[1])
			return ""
		}
		return part
	})
	if err == nil && m[1] != "" && indexes.Len() > 0 {
		table = strings.ToLower(strings.Trim(m[2], `"`))
	}
	return withKey(text) + indexes.String(), table, err
}

// rewriteBulkUpdate makes an UPDATE for each row of
//
//	WITH _data (id, a) AS (VALUES (1, 'x'), (2, 'y'))
//	UPDATE t SET a = _data.a FROM _data WHERE t.id = _data.id
//
// since the server joins no tables in UPDATE. The driver runs them in one
// transaction.
func rewriteBulkUpdate(query string, m []int) (string, error) {
	rows, rest, ok := scanRows(query[m[1]:])
	rest, closed := strings.CutPrefix(rest, ")")
	if !ok || !closed {
		return "", unsupported("a bulk update of this form: %s", query[:min(len(query), 80)])
	}
	update := fromData.ReplaceAllString(strings.TrimSpace(rest), "$1")
	if matches(returning, update) {
		return "", unsupported("RETURNING in a bulk update: it becomes several statements")
	}
	statements := make([]string, len(rows))
	for i, row := range rows {
		var err error
		if statements[i], err = substitute(dataColumn, update, names(query[m[2]:m[3]]), row); err != nil {
			return "", err
		}
	}
	return strings.Join(statements, "; "), nil
}

var (
	fromData   = regexp.MustCompile(`(?i)('(?:[^']|'')*')|\s+FROM\s+"?_data"?`)
	dataColumn = regexp.MustCompile(`(?i)'(?:[^']|'')*'|"?\b_data\b"?\.(` + ident + `)`)
)

// scanRows reads rows of values, (1, 'x'), (2, 'y'), and returns what follows them.
func scanRows(s string) (rows [][]string, rest string, ok bool) {
	depth, begin := 0, 0
	var row []string
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\'' && depth > 0:
			for i++; i < len(s) && s[i] != '\''; i++ {
			}
		case c == '(':
			if depth++; depth == 1 {
				row, begin = nil, i+1
			}
		case c == ',' && depth == 1:
			row, begin = append(row, strings.TrimSpace(s[begin:i])), i+1
		case c == ')' && depth > 0:
			if depth--; depth == 0 {
				rows = append(rows, append(row, strings.TrimSpace(s[begin:i])))
			}
		case depth == 0 && c != ',' && c != ' ':
			return rows, s[i:], len(rows) > 0
		}
	}
	return rows, "", len(rows) > 0 && depth == 0
}
