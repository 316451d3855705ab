package bunimmudb

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"github.com/uptrace/bun/schema"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/indexkey"
	"github.com/immudb-go/immudb/internal/sqltext"
)

// keyLengths returns the lengths of the strings and bytes that are part of a key
// of the model's table and have no length of their own.
func keyLengths(table *schema.Table) map[*schema.Field]int {
	columns := make(map[*schema.Field]*indexkey.Column)
	list := func(fields []*schema.Field) (list []*indexkey.Column) {
		for _, f := range fields {
			if columns[f] == nil {
				t := columnType(f)
				columns[f] = &indexkey.Column{Type: t.name, Length: t.length}
			}
			list = append(list, columns[f])
		}
		return list
	}
	keys := indexkey.Table{Primary: list(table.PKs)}
	for name, fields := range table.Unique {
		if name != "" {
			keys.Indexes = append(keys.Indexes, list(fields))
			continue
		}
		for i := range fields { // each by itself
			keys.Indexes = append(keys.Indexes, list(fields[i:i+1]))
		}
	}
	keys.Fit()
	lengths := make(map[*schema.Field]int)
	for f, c := range columns {
		lengths[f] = c.Length
	}
	return lengths
}

var (
	create        = regexp.MustCompile(`(?is)` + leadingComment + `CREATE\s`)
	newIndex      = regexp.MustCompile(`(?is)^CREATE\s+(?:UNIQUE\s+)?INDEX\s+(?:IF\s+NOT\s+EXISTS\s+)?ON\s+(` + ident + `)\s*\(([^()]*)\)`)
	newColumn     = regexp.MustCompile(`(?is)^(` + ident + `)\s+(\w+)\s*(?:[\[(]\s*(\d+)\s*[\])])?`)
	newPrimaryKey = regexp.MustCompile(`(?is)^(?:CONSTRAINT\s+` + ident + `\s+)?PRIMARY\s+KEY\s*\(?([^()]*)\)?`)
	inlineKey     = regexp.MustCompile(`(?i)\bPRIMARY\s+KEY\b`)
)

// tableKeys is what a key of a table depends on.
type tableKeys struct {
	columns map[string]*indexkey.Column
	primary []string
}

// checkKeys refuses a text that creates an index, or a table, whose keys the server
// could not store.
func (c *Conn) checkKeys(ctx context.Context, text string) error {
	if !create.MatchString(text) {
		return nil
	}
	q, err := sqltext.Parse(text)
	if err != nil {
		return nil // the driver will say so
	}
	made := make(map[string]*tableKeys) // by this text
	for i := range q.Statements {
		statement := q.Statements[i].Text
		if m := createTable.FindStringSubmatch(statement); m != nil {
			t := readTable(statement[len(m[0]):])
			made[plain(m[2])] = t
			if err := t.check(plain(m[2]), nil); err != nil {
				return err
			}
		}
		if m := newIndex.FindStringSubmatch(statement); m != nil {
			name := plain(m[1])
			t, err := c.tableKeys(ctx, name)
			if errors.Is(err, immudb.ErrNoSuchTable) {
				t, err = made[name], nil
			}
			if err == nil && t != nil {
				err = t.check(name, names(m[2]))
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// plain is a name as the catalog has it.
func plain(name string) string { return strings.ToLower(strings.Trim(strings.TrimSpace(name), `"`)) }

func names(list string) (names []string) {
	for name := range strings.SplitSeq(list, ",") {
		names = append(names, plain(name))
	}
	return names
}

// readTable reads what follows the bracket of CREATE TABLE.
func readTable(body string) *tableKeys {
	t := &tableKeys{columns: make(map[string]*indexkey.Column)}
	for _, part := range splitList(body) {
		if m := newPrimaryKey.FindStringSubmatch(part); m != nil {
			t.primary = names(m[1])
		} else if m := newColumn.FindStringSubmatch(part); m != nil {
			length, _ := strconv.Atoi(m[3])
			t.columns[plain(m[1])] = &indexkey.Column{Type: strings.ToUpper(m[2]), Length: length}
			if inlineKey.MatchString(part) {
				t.primary = []string{plain(m[1])}
			}
		}
	}
	return t
}

// splitList divides a text at its commas, up to the bracket that closes it.
func splitList(s string) (parts []string) {
	depth, begin := 0, 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\'', '"':
			for quote := s[i]; i+1 < len(s) && s[i+1] != quote; i++ {
			}
			i++
		case '(':
			depth++
		case ')':
			if depth--; depth < 0 {
				return append(parts, strings.TrimSpace(s[begin:i]))
			}
		case ',':
			if depth == 0 {
				parts, begin = append(parts, strings.TrimSpace(s[begin:i])), i+1
			}
		}
	}
	return append(parts, strings.TrimSpace(s[min(begin, len(s)):]))
}

// tableKeys asks the catalog.
func (c *Conn) tableKeys(ctx context.Context, table string) (*tableKeys, error) {
	rows, err := c.Conn.QueryContext(ctx, `SELECT name, type, max_length, "primary" FROM COLUMNS(?)`,
		[]driver.NamedValue{{Ordinal: 1, Value: table}})
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	t := &tableKeys{columns: make(map[string]*indexkey.Column)}
	for row := make([]driver.Value, 4); ; {
		switch err := rows.Next(row); {
		case errors.Is(err, io.EOF):
			return t, nil
		case err != nil:
			return nil, err
		}
		name, _ := row[0].(string)
		sqlType, _ := row[1].(string)
		length, _ := row[2].(int64)
		t.columns[name] = &indexkey.Column{Type: sqlType, Length: int(length)}
		if row[3] == true {
			t.primary = append(t.primary, name)
		}
	}
}

// check refuses an index on the given columns, or with none the primary key
// itself, if its keys are too long. What the table does not have is for the server
// to refuse.
func (t *tableKeys) check(table string, index []string) error {
	list := func(names []string) (list []*indexkey.Column) {
		for _, name := range names {
			if c := t.columns[name]; c != nil {
				list = append(list, c)
			}
		}
		return list
	}
	keys := indexkey.Table{Primary: list(t.primary)}
	what, length := "the primary key", keys.PrimaryLength()
	if len(index) > 0 {
		what, length = "an index on "+strings.Join(index, ", "), keys.IndexLength(list(index))
	}
	if length <= indexkey.Max {
		return nil
	}
	return fmt.Errorf("bunimmudb: %w: %s of table %s takes %d bytes of key, %d is the limit: give its strings and bytes, or those of the primary key, a smaller length",
		immudb.ErrTooLong, what, table, length, indexkey.Max)
}
