// Copycsv loads a CSV file into a table of immudb. The first line of the file names
// the columns; an empty field is NULL. On a terminal it draws a progress bar,
// elsewhere it writes a line to the log every ten seconds, and one at the end.
//
// Times are read as RFC 3339 and as PostgreSQL, MySQL, SQLite and spreadsheets write
// them in ISO order, or in the -time layout (as of Go's package time, or unix, unixms).
// One without a zone is in the -zone, which is UTC if none is given. A date such as
// 03/04/2026 is refused: it needs -time 02/01/2006 or -time 01/02/2006.
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
	"log"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/immudb-go/immudb"
)

func main() {
	var l load
	dsn := flag.String("dsn", os.Getenv("IMMUDB_DSN"), "the database")
	flag.StringVar(&l.table, "table", "", "the table to write")
	flag.Int64Var(&l.skip, "skip", 0, "rows to leave out because they are there")
	flag.BoolVar(&l.opts.Upsert, "upsert", false, "replace rows whose key exists")
	flag.IntVar(&l.opts.Writers, "writers", 3, "batches sent at once")
	flag.StringVar(&l.layout, "time", "", "the `layout` of times, as of Go's package time, or unix, unixms")
	zone := flag.String("zone", "UTC", "the time `zone` of times that name none, such as Europe/Zurich")
	flag.Parse()
	if flag.NArg() != 1 || l.table == "" || *dsn == "" {
		fmt.Fprintln(os.Stderr, "usage: copycsv -dsn immudb://… -table t [-upsert] [-writers n] [-skip n] [-time layout] [-zone name] file.csv")
		os.Exit(2)
	}
	var err error
	if l.zone, err = time.LoadLocation(*zone); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	l.terminal = term.IsTerminal(int(os.Stderr.Fd()))
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

	layout   string         // of times; "": those of timeLayouts
	zone     *time.Location // of times that name none; nil: UTC
	terminal bool           // what reports go to can show a bar

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
	logger, logged := log.New(screen, "copycsv: ", log.LstdFlags), time.Now()
	var bar *progressbar.ProgressBar
	if l.terminal {
		bar = l.bar(screen)
	}
	l.opts.Progress = func(p immudb.CopyProgress) {
		if bar != nil {
			bar.Describe(fmt.Sprintf("%d rows", p.Rows))
			_ = bar.Set64(l.read) // what cannot be drawn does not stop the load
		} else if time.Since(logged) >= logEvery {
			logged = time.Now()
			logger.Print(l.summary(p))
		}
	}
	began := time.Now()
	n, err := immudb.CopyFrom(ctx, db, l.table, columns, l.rows(r, parsers), &l.opts)
	if bar != nil {
		_ = bar.Exit()
		fmt.Fprintln(screen)
	} else {
		logger.Printf("%d rows are committed after %v", n, time.Since(began).Round(time.Millisecond))
	}
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
		types[name] = l.parserFor(typ)
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

func (l *load) parserFor(typ string) parser {
	switch typ {
	case "INTEGER":
		return func(field string) (any, error) { return strconv.ParseInt(field, 10, 64) }
	case "FLOAT":
		return func(field string) (any, error) { return strconv.ParseFloat(field, 64) }
	case "BOOLEAN":
		return func(field string) (any, error) { return strconv.ParseBool(field) }
	case "TIMESTAMP":
		return func(field string) (any, error) { return l.time(field) }
	case "BLOB":
		return func(field string) (any, error) { return base64.StdEncoding.DecodeString(field) }
	}
	return asText // VARCHAR, UUID, JSON
}

// timeLayouts are how databases and spreadsheets write times. Each reads a fraction
// of a second too.
var timeLayouts = []string{
	time.RFC3339,
	"2006-01-02 15:04:05Z07:00",
	"2006-01-02 15:04:05Z07", // PostgreSQL
	"2006-01-02 15:04:05 -0700",
	"2006-01-02 15:04:05 -0700 MST", // String of time.Time
	"2006-01-02 15:04:05 MST",
	"2006-01-02 15:04:05", // MySQL, SQLite
	"2006-01-02T15:04:05",
	"2006-01-02 15:04",
	"2006-01-02T15:04",
	time.DateOnly,
}

// time reads a time. Abbreviations of zones other than UTC say no offset, and are
// refused.
func (l *load) time(field string) (time.Time, error) {
	zone := l.zone
	if zone == nil {
		zone = time.UTC
	}
	switch l.layout {
	case "unix", "unixms":
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil || l.layout == "unixms" {
			return time.UnixMilli(n).UTC(), err
		}
		return time.Unix(n, 0).UTC(), nil
	case "":
		for _, layout := range timeLayouts {
			t, err := time.ParseInLocation(layout, field, zone)
			if err != nil {
				continue
			}
			if strings.HasSuffix(layout, "05 MST") && !strings.HasSuffix(field, "UTC") {
				continue
			}
			return t, nil
		}
		return time.Time{}, fmt.Errorf("%q is no time that is known: give its layout with -time", field)
	}
	return time.ParseInLocation(l.layout, field, zone)
}

const logEvery = 10 * time.Second

// share is how much of the file is read. The rows read are ahead of the committed ones
// by a batch for each writer and one more.
func (l *load) share() float64 {
	if l.size == 0 {
		return 1
	}
	return min(float64(l.read)/float64(l.size), 1)
}

func (l *load) summary(p immudb.CopyProgress) string {
	return fmt.Sprintf("%3.0f %%  %d rows  %.0f rows/s  %.1f MB/s", 100*l.share(), p.Rows, p.RowsPerSecond(), p.BytesPerSecond()/1e6)
}

// bar is a bar of the bytes of the file. It also says how fast they are read, and how long the rest will take. A pipe, whose
// size is not known, has a spinner instead.
func (l *load) bar(screen io.Writer) *progressbar.ProgressBar {
	size := l.size
	if size == 0 {
		size = -1
	}
	return progressbar.NewOptions64(size, progressbar.OptionSetWriter(screen), progressbar.OptionShowBytes(true),
		progressbar.OptionSetWidth(30), progressbar.OptionSetPredictTime(true), progressbar.OptionThrottle(100*time.Millisecond))
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
