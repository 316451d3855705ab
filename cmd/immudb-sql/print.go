package main

import (
	"bytes"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/xo/tblfmt"
)

// formats are how rows can be printed.
var formats = []string{"aligned", "unaligned", "csv", "json", "html"}

// print prints the rows in the format of the shell.
func (s *shell) print(rows *sql.Rows, expanded bool) error {
	values, err := newValues(rows, s.format == "aligned" || s.format == "html")
	if err != nil {
		return err
	}
	return s.encode(s.stdout, values, expanded, "")
}

// encode prints a result, with a title unless that is empty.
func (s *shell) encode(w io.Writer, result tblfmt.ResultSet, expanded bool, title string) error {
	if s.format == "csv" {
		_, err := writeCSV(w, result, true)
		return err
	}
	if s.format == "aligned" && !expanded {
		columns, err := result.Columns()
		if err != nil {
			return err
		}
		if !result.Next() {
			if err := result.Err(); err != nil {
				return err
			}
			return s.printEmpty(w, columns)
		}
		result = &begun{ResultSet: result, first: true}
	}
	options := map[string]string{"format": s.format, "expanded": "off"}
	switch s.format {
	case "aligned":
		options["null"] = "NULL"
		options["border"] = "1"
		if title != "" {
			options["title"] = title
		}
	case "unaligned":
		options["footer"] = "off"
	}
	if expanded {
		options["expanded"] = "on"
	}
	if s.quiet {
		options["footer"] = "off"
	}
	lines := &lineWriter{w: w}
	if err := tblfmt.Encode(lines, result, options); err != nil {
		return err
	}
	return lines.end()
}

// begun is a result whose first row has been asked for.
type begun struct {
	tblfmt.ResultSet
	first bool
}

func (b *begun) Next() bool {
	if b.first {
		b.first = false
		return true
	}
	return b.ResultSet.Next()
}

// printEmpty prints the columns of a result without rows, which tblfmt leaves out.
func (s *shell) printEmpty(w io.Writer, columns []string) error {
	var names, lines []string
	for _, name := range columns {
		name = printable(name)
		names = append(names, " "+name+" ")
		lines = append(lines, strings.Repeat("-", utf8.RuneCountInString(name)+2))
	}
	text := strings.Join(names, "|") + "\n" + strings.Join(lines, "+") + "\n"
	if !s.quiet {
		text += "(0 rows)\n"
	}
	_, err := io.WriteString(w, text)
	return err
}

// lineWriter writes whole lines, and no empty one at the beginning.
type lineWriter struct {
	w    io.Writer
	last byte
}

func (l *lineWriter) Write(p []byte) (int, error) {
	n := len(p)
	if l.last == 0 {
		p = bytes.TrimLeft(p, "\n")
	}
	if len(p) == 0 {
		return n, nil
	}
	l.last = p[len(p)-1]
	_, err := l.w.Write(p)
	return n, err
}

// end ends the last line.
func (l *lineWriter) end() error {
	if l.last == 0 || l.last == '\n' {
		return nil
	}
	_, err := io.WriteString(l.w, "\n")
	return err
}

// values are the rows of a query as tblfmt prints them. For people a BLOB is written as in SQL; for
// programs it is in base64, and a time in RFC 3339.
type values struct {
	*sql.Rows
	blob    []bool // which columns are BLOBs
	literal bool   // for people
	row     []any
	to      []any
}

func newValues(rows *sql.Rows, literal bool) (*values, error) {
	types, err := rows.ColumnTypes()
	if err != nil {
		return nil, err
	}
	v := &values{Rows: rows, literal: literal, blob: make([]bool, len(types)), row: make([]any, len(types)), to: make([]any, len(types))}
	for i, t := range types {
		v.blob[i] = t.DatabaseTypeName() == "BLOB"
		v.to[i] = &v.row[i]
	}
	return v, nil
}

// Scan scans a row into pointers to any.
func (v *values) Scan(dest ...any) error {
	if err := v.Rows.Scan(v.to...); err != nil {
		return err
	}
	for i, value := range v.row {
		*dest[i].(*any) = v.shown(i, value)
	}
	return nil
}

func (v *values) shown(i int, value any) any {
	switch value := value.(type) {
	case []byte:
		switch {
		case !v.blob[i]:
			return string(value)
		case v.literal:
			return "x'" + hex.EncodeToString(value) + "'"
		}
		return base64.StdEncoding.EncodeToString(value)
	case time.Time:
		if v.literal {
			return value.UTC().Format("2006-01-02 15:04:05.999999")
		}
		return value.UTC().Format(time.RFC3339Nano)
	}
	return value
}

// list is a result that the shell has made itself.
type list struct {
	columns []string
	rows    [][]any
}

func (l *list) Columns() ([]string, error) { return l.columns, nil }
func (l *list) Close() error               { return nil }
func (l *list) Err() error                 { return nil }
func (l *list) NextResultSet() bool        { return false }

func (l *list) Next() bool { return len(l.rows) > 0 }

func (l *list) Scan(dest ...any) error {
	row := l.rows[0]
	l.rows = l.rows[1:]
	for i, value := range row {
		*dest[i].(*any) = value
	}
	return nil
}
