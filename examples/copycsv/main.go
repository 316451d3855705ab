// Copycsv loads a CSV file into a table of immudb and draws a progress bar. The
// first line of the file names the columns; an empty field is NULL.
//
//	copycsv -dsn immudb://user:password@localhost:3322/defaultdb -table people people.csv
//
// If it fails it prints how to continue after the committed rows.
package main

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/csv"
	"errors"
	"flag"
	"fmt"
	"io"
	"iter"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/immudb-go/immudb"
)

func main() {
	var l load
	dsn := flag.String("dsn", os.Getenv("IMMUDB_DSN"), "the database")
	flag.StringVar(&l.table, "table", "", "the table to write")
	flag.Int64Var(&l.skip, "skip", 0, "rows to leave out because they are there")
	flag.BoolVar(&l.opts.Upsert, "upsert", false, "replace rows whose key exists")
	flag.IntVar(&l.opts.Writers, "writers", 3, "batches sent at once")
	flag.Parse()
	if flag.NArg() != 1 || l.table == "" || *dsn == "" {
		fmt.Fprintln(os.Stderr, "usage: copycsv -dsn immudb://… -table t [-upsert] [-writers n] [-skip n] file.csv")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *dsn, flag.Arg(0), &l); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, dsn, path string, l *load) error {
	db, err := sql.Open("immudb", dsn)
	if err != nil {
		return err
	}
	defer db.Close()
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	stat, err := file.Stat()
	if err != nil {
		return err
	}
	l.size = stat.Size()
	return l.run(ctx, db, file, os.Stderr)
}

// load is the load of one file into a table.
type load struct {
	table string
	skip  int64 // leading rows to leave out
	opts  immudb.CopyOptions
	size  int64 // bytes of the file

	read int64 // bytes of it read so far; used by CopyFrom's caller only
}

func (l *load) run(ctx context.Context, db *sql.DB, file io.Reader, screen io.Writer) error {
	r := csv.NewReader(counter{file, &l.read})
	r.ReuseRecord = true
	header, err := r.Read()
	if err != nil {
		return fmt.Errorf("the line with the columns' names: %w", err)
	}
	columns := slices.Clone(header) // the reader uses its slice again
	parsers, err := l.parsers(ctx, db, columns)
	if err != nil {
		return err
	}
	l.opts.Progress = func(p immudb.CopyProgress) { l.draw(screen, p) }
	n, err := immudb.CopyFrom(ctx, db, l.table, columns, l.rows(r, parsers), &l.opts)
	fmt.Fprintln(screen)
	var failed *immudb.CopyError
	switch {
	case !errors.As(err, &failed):
		return err
	case failed.Unknown > 0:
		return fmt.Errorf("%w\ngo on with -skip %d -upsert: some rows behind these may be there", err, l.skip+n)
	}
	return fmt.Errorf("%w\ngo on with -skip %d", err, l.skip+n)
}

// rows yields the file's rows, all in the same slice. The reader also reuses its slice, but
// not the strings in it.
func (l *load) rows(r *csv.Reader, parsers []parser) iter.Seq2[[]any, error] {
	return func(yield func([]any, error) bool) {
		row := make([]any, len(parsers))
		for number := int64(0); ; number++ {
			fields, err := r.Read()
			if err == io.EOF {
				return
			}
			if err == nil && number < l.skip {
				continue
			}
			for i := 0; err == nil && i < len(fields); i++ {
				if row[i] = nil; fields[i] == "" {
					continue
				}
				if row[i], err = parsers[i](fields[i]); err != nil {
					line, column := r.FieldPos(i)
					err = fmt.Errorf("line %d, column %d: %w", line, column, err)
				}
			}
			if !yield(row, err) || err != nil {
				return
			}
		}
	}
}

// parser reads a field as its column's type.
type parser func(field string) (any, error)

// parsers finds how to read the fields of each column.
func (l *load) parsers(ctx context.Context, db *sql.DB, columns []string) ([]parser, error) {
	rows, err := db.QueryContext(ctx, "SELECT name, type FROM COLUMNS(?)", strings.ToLower(l.table))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	types := map[string]parser{}
	for rows.Next() {
		var name, typ string
		if err := rows.Scan(&name, &typ); err != nil {
			return nil, err
		}
		types[name] = parserFor(typ)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	parsers := make([]parser, len(columns))
	for i, column := range columns {
		// CopyFrom refuses a column that does not exist.
		if parsers[i] = types[strings.ToLower(column)]; parsers[i] == nil {
			parsers[i] = asText
		}
	}
	return parsers, nil
}

func asText(field string) (any, error) { return field, nil }

func parserFor(typ string) parser {
	switch typ {
	case "INTEGER":
		return func(field string) (any, error) { return strconv.ParseInt(field, 10, 64) }
	case "FLOAT":
		return func(field string) (any, error) { return strconv.ParseFloat(field, 64) }
	case "BOOLEAN":
		return func(field string) (any, error) { return strconv.ParseBool(field) }
	case "TIMESTAMP":
		return func(field string) (any, error) { return time.Parse(time.RFC3339Nano, field) }
	case "BLOB":
		return func(field string) (any, error) { return base64.StdEncoding.DecodeString(field) }
	}
	return asText // VARCHAR, UUID, JSON
}

const barWidth = 30

// draw overwrites the last progress bar. The rows read are ahead of the committed ones by a
// batch for each writer and one more.
func (l *load) draw(screen io.Writer, p immudb.CopyProgress) {
	share := float64(1)
	if l.size > 0 {
		share = min(float64(l.read)/float64(l.size), 1)
	}
	full := int(share * barWidth)
	fmt.Fprintf(screen, "\r[%s%s] %3.0f %%  %d rows  %.0f rows/s  %.1f MB/s ",
		strings.Repeat("#", full), strings.Repeat(".", barWidth-full), 100*share, p.Rows, p.RowsPerSecond(), p.BytesPerSecond()/1e6)
}

// counter counts the bytes that are read through it.
type counter struct {
	io.Reader
	n *int64
}

func (c counter) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	*c.n += int64(n)
	return n, err
}
