package main

import (
	"bufio"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strconv"
	"strings"

	"github.com/xo/tblfmt"

	"github.com/immudb-go/immudb"
)

// copyArgs are the arguments of \copy.
type copyArgs struct {
	table   string
	columns []string
	query   string // of \copy (query) to
	from    bool
	file    string // "": stdin or stdout
	header  bool
	upsert  bool
}

var errCopyUsage = errors.New(`write \copy TABLE [(COLUMNS)] from FILE [csv] [header] [upsert], or \copy TABLE to FILE [csv] [header], or \copy (QUERY) to FILE [csv] [header]; FILE may be stdin or stdout`)

func parseCopy(text string) (c copyArgs, err error) {
	if strings.HasPrefix(text, "(") {
		end := closing(text)
		if end < 0 {
			return c, errCopyUsage
		}
		c.query, text = text[1:end], text[end+1:]
	} else {
		end := strings.IndexAny(text, " (")
		if end < 0 {
			return c, errCopyUsage
		}
		c.table, text = text[:end], strings.TrimSpace(text[end:])
		if strings.HasPrefix(text, "(") {
			names, rest, closed := strings.Cut(text[1:], ")")
			if !closed {
				return c, errCopyUsage
			}
			for name := range strings.SplitSeq(names, ",") {
				c.columns = append(c.columns, strings.TrimSpace(name))
			}
			text = rest
		}
	}
	parts, err := words(text)
	if err != nil {
		return c, err
	}
	if len(parts) < 2 {
		return c, errCopyUsage
	}
	c.file = parts[1]
	switch direction, name := strings.ToLower(parts[0]), strings.ToLower(parts[1]); {
	case direction == "from" && c.query == "":
		if c.from = true; name == "stdin" {
			c.file = ""
		}
	case direction == "to":
		if name == "stdout" {
			c.file = ""
		}
	default:
		return c, errCopyUsage
	}
	for _, part := range parts[2:] {
		switch option := strings.ToLower(strings.Trim(part, "(),")); {
		case option == "csv", option == "with", option == "format", option == "true", option == "":
		case option == "header":
			c.header = true
		case option == "upsert" && c.from:
			c.upsert = true
		default:
			return c, fmt.Errorf(`%q is no option of \copy: there are csv, header and, from a file, upsert`, part)
		}
	}
	return c, nil
}

// closing is where the bracket that text begins with closes, or -1.
func closing(text string) int {
	depth, quote := 0, byte(0)
	for i := range len(text) {
		switch c := text[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '\'' || c == '"':
			quote = c
		case c == '(':
			depth++
		case c == ')':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

// copy loads rows of a CSV file into a table, or writes rows into one.
func (s *shell) copy(ctx context.Context, from source, args string) error {
	c, err := parseCopy(args)
	if err != nil {
		return err
	}
	if !c.from {
		return s.copyTo(ctx, c)
	}
	if err := s.outsideTx(`\copy from`); err != nil {
		return err
	}
	if c.file == "" {
		data := &dataLines{from: from}
		err := s.copyFrom(ctx, c, data)
		_, drained := io.Copy(io.Discard, data) // so that no row is taken for a statement
		if err == nil {
			err = drained
		}
		return err
	}
	file, err := os.Open(c.file)
	if err != nil {
		return err
	}
	defer file.Close()
	return s.copyFrom(ctx, c, file)
}

// dataLines reads the rows that follow \copy from stdin, up to a line with \. alone.
type dataLines struct {
	from source
	rest string
	err  error
}

func (d *dataLines) Read(p []byte) (int, error) {
	if d.rest == "" && d.err == nil {
		line, err := d.from.line(">> ")
		if d.rest, d.err = line, err; err == nil && strings.TrimRight(line, "\r\n") == `\.` {
			d.rest, d.err = "", io.EOF
		}
	}
	if d.rest == "" {
		return 0, d.err
	}
	n := copy(p, d.rest)
	d.rest = d.rest[n:]
	return n, nil
}

func (s *shell) copyFrom(ctx context.Context, c copyArgs, data io.Reader) error {
	types, err := s.columns(ctx, c.table)
	if err != nil {
		return err
	}
	text := bufio.NewReader(data)
	if mark, err := text.Peek(3); err == nil && string(mark) == "\ufeff" {
		_, _ = text.Discard(3) // the mark that spreadsheets write; Peek has read it
	}
	r := csv.NewReader(text)
	r.ReuseRecord = true
	if c.header {
		names, err := r.Read()
		if err != nil {
			return fmt.Errorf("the line with the names of the columns: %w", err)
		}
		if c.columns == nil {
			c.columns = append(c.columns, names...)
		}
	}
	if c.columns == nil {
		for _, column := range types {
			c.columns = append(c.columns, column.name)
		}
	}
	known := map[string]string{}
	for _, column := range types {
		known[column.name] = column.typ
	}
	r.FieldsPerRecord = len(c.columns)
	options := immudb.CopyOptions{Upsert: c.upsert}
	if s.progress && !s.quiet {
		options.Progress = func(p immudb.CopyProgress) {
			fmt.Fprintf(s.stderr, "\r\x1b[K%d rows, %.0f rows/s", p.Rows, p.RowsPerSecond())
		}
	}
	n, err := immudb.CopyFrom(ctx, s.db, c.table, c.columns, csvRows(r, c.columns, known), &options)
	if options.Progress != nil {
		fmt.Fprint(s.stderr, "\r\x1b[K")
	}
	if err != nil {
		return err // it says which rows are committed
	}
	s.tag("COPY %d", n)
	return nil
}

// csvRows are the rows of a file as values of the columns' types. An empty field is NULL.
func csvRows(r *csv.Reader, columns []string, types map[string]string) iter.Seq2[[]any, error] {
	return func(yield func([]any, error) bool) {
		row := make([]any, len(columns))
		for {
			fields, err := r.Read()
			if errors.Is(err, io.EOF) {
				return
			}
			for i := 0; err == nil && i < len(fields); i++ {
				if row[i] = nil; fields[i] == "" {
					continue
				}
				// CopyFrom refuses a column that does not exist.
				if row[i], err = valueOf(types[strings.ToLower(columns[i])], fields[i]); err != nil {
					line, _ := r.FieldPos(i)
					err = fmt.Errorf("line %d of the data, column %s: %w", line, columns[i], err)
				}
			}
			if !yield(row, err) || err != nil {
				return
			}
		}
	}
}

func (s *shell) copyTo(ctx context.Context, c copyArgs) error {
	query := c.query
	if query == "" {
		list := "*"
		if c.columns != nil {
			list = strings.Join(c.columns, ", ")
		}
		query = "SELECT " + list + " FROM " + c.table
	}
	rows, err := s.runner().QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	result, err := newValues(rows, false)
	if err != nil {
		return err
	}
	if c.file == "" {
		_, err := writeCSV(s.stdout, result, c.header)
		return err
	}
	// The file is not touched before the server has run the query.
	file, err := os.Create(c.file)
	if err != nil {
		return err
	}
	n, err := writeCSV(file, result, c.header)
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("%s is not complete: %w", c.file, err)
	}
	s.tag("COPY %d", n)
	return nil
}

// writeCSV writes rows. NULL is an empty field, as an empty text is.
func writeCSV(to io.Writer, result tblfmt.ResultSet, header bool) (n int64, err error) {
	columns, err := result.Columns()
	if err != nil {
		return 0, err
	}
	w := csv.NewWriter(to)
	if header {
		_ = w.Write(columns) // w.Error returns the error
	}
	row, dest, fields := make([]any, len(columns)), make([]any, len(columns)), make([]string, len(columns))
	for i := range row {
		dest[i] = &row[i]
	}
	for ; result.Next(); n++ {
		if err := result.Scan(dest...); err != nil {
			return n, err
		}
		for i, value := range row {
			fields[i] = fieldOf(value)
		}
		if err := w.Write(fields); err != nil {
			return n, err
		}
	}
	w.Flush()
	return n, errors.Join(result.Err(), w.Error())
}

func fieldOf(value any) string {
	switch value := value.(type) {
	case nil:
		return ""
	case string:
		return value
	case float64:
		return strconv.FormatFloat(value, 'g', -1, 64)
	}
	return fmt.Sprint(value)
}
