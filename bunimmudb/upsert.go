package bunimmudb

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"
)

var (
	insertRows = regexp.MustCompile(`(?is)` + leadingComment + `INSERT\s+INTO\s+(` + ident + `)(?:\s+AS\s+` + ident + `)?\s*\(([^()]*)\)\s+VALUES\s+`)
	onConflict = regexp.MustCompile(`(?is)^ON\s+CONFLICT\s*(?:\(([^()]*)\)\s*)?DO\s+(NOTHING|UPDATE\s+SET)\b(.*)$`)
	excluded   = regexp.MustCompile(`(?i)'(?:[^']|'')*'|\bexcluded\.(` + ident + `)`)
	returning  = regexp.MustCompile(`(?i)'(?:[^']|'')*'|(\bRETURNING\b)`)
)

// upsert is an INSERT with ON CONFLICT as bun writes it.
type upsert struct {
	table  string
	target []string // the columns of ON CONFLICT (a, b), nil without
	text   string   // in the server's syntax

	// What is needed if the target is a unique index.
	name    string     // the table as it is written
	head    string     // INSERT … VALUES
	columns []string   // of values
	values  [][]string // of each row
	set     string     // what follows DO UPDATE SET; "": DO NOTHING
	returns bool       // rows are asked for
	rows    []upsertRow
}

// readUpsert reads an INSERT with a conflict target or with EXCLUDED, which the server does
// not support. It replaces EXCLUDED by the row's values, with a statement for each row. It
// returns nil for any other statement.
func readUpsert(query string) (*upsert, error) {
	m := insertRows.FindStringSubmatchIndex(query)
	if m == nil {
		return nil, nil
	}
	rows, rest, ok := scanRows(query[m[1]:])
	c := onConflict.FindStringSubmatch(rest)
	if !ok || c == nil {
		return nil, nil
	}
	u := &upsert{table: plain(query[m[2]:m[3]])}
	if c[1] != "" {
		u.target = names(c[1])
	}
	columns, action := names(query[m[4]:m[5]]), " ON CONFLICT DO "+c[2]+c[3]
	u.name, u.head, u.columns, u.values = query[m[2]:m[3]], query[:m[1]], columns, rows
	if !strings.EqualFold(c[2], "NOTHING") {
		u.set = c[3]
	}
	if !matches(excluded, c[3]) {
		u.text = query[:len(query)-len(rest)] + strings.TrimSpace(action)
		return u, nil
	}
	if len(rows) > 1 && matches(returning, c[3]) {
		return nil, unsupported("RETURNING in an INSERT of several rows that speaks of EXCLUDED: it becomes several statements")
	}
	statements := make([]string, len(rows))
	for i, row := range rows {
		set, err := substitute(excluded, action, columns, row)
		if err != nil {
			return nil, err
		}
		statements[i] = query[:m[1]] + "(" + strings.Join(row, ", ") + ")" + set
	}
	u.text = strings.Join(statements, "; ")
	return u, nil
}

// matches reports whether the group of a pattern occurs outside of literals.
func matches(pattern *regexp.Regexp, text string) bool {
	return slices.ContainsFunc(pattern.FindAllStringSubmatch(text, -1), func(m []string) bool { return m[1] != "" })
}

// substitute replaces the columns that the pattern finds by the values of a row.
func substitute(pattern *regexp.Regexp, text string, columns, row []string) (string, error) {
	var err error
	if len(row) != len(columns) {
		return "", unsupported("a row of %d values for %d columns", len(row), len(columns))
	}
	text = pattern.ReplaceAllStringFunc(text, func(ref string) string {
		name := pattern.FindStringSubmatch(ref)[1]
		if name == "" {
			return ref // a literal
		}
		i := slices.Index(columns, plain(name))
		if i < 0 {
			err = unsupported("%s: the row has no value for that column", ref)
			return ref
		}
		return row[i]
	})
	return text, err
}

// checkTarget finds out whether a conflict target is the primary key, or else a unique index,
// and refuses any other.
func (c *Conn) checkTarget(ctx context.Context, u *upsert) error {
	if u == nil || u.target == nil {
		return nil
	}
	key, err := c.strings(ctx, `SELECT name FROM COLUMNS(?) WHERE "primary" = TRUE`, u.table)
	if err != nil {
		return err
	}
	slices.Sort(u.target)
	slices.Sort(key)
	if slices.Equal(u.target, key) {
		return nil
	}
	if u.set != "" {
		if unique, err := c.isUnique(ctx, u.table, u.target); err != nil || unique {
			return errors.Join(err, u.divide())
		}
	}
	return unsupported("ON CONFLICT (%s): the server sees conflicts of the primary key only, which is (%s)",
		strings.Join(u.target, ", "), strings.Join(key, ", "))
}

// plain returns a name in the catalog's form.
func plain(name string) string { return strings.ToLower(strings.Trim(strings.TrimSpace(name), `"`)) }

func names(list string) (names []string) {
	for name := range strings.SplitSeq(list, ",") {
		names = append(names, plain(name))
	}
	return names
}
