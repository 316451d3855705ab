// Copydb copies the result of a query of any database into a table of immudb. The columns of
// the result must have the names of the table's columns.
//
//	copydb -from immudb -from-dsn immudb://… -query 'SELECT id, name FROM people WHERE id > 100' \
//		-to-dsn immudb://… -table people
//
// To read from another database import its driver below.
package main

import (
	"context"
	"database/sql"
	"flag"
	"fmt"
	"iter"
	"os"
	"os/signal"

	"github.com/immudb-go/immudb"
)

func main() {
	driver := flag.String("from", "immudb", "the driver to read with")
	source := flag.String("from-dsn", "", "the database to read")
	query := flag.String("query", "", "what to read")
	target := flag.String("to-dsn", os.Getenv("IMMUDB_DSN"), "the database to write")
	table := flag.String("table", "", "the table to write")
	upsert := flag.Bool("upsert", false, "replace rows whose key exists")
	writers := flag.Int("writers", 3, "batches sent at once")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	n, err := run(ctx, *driver, *source, *query, *target, *table, &immudb.CopyOptions{Upsert: *upsert, Writers: *writers})
	fmt.Println(n, "rows copied")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, driver, source, query, target, table string, opts *immudb.CopyOptions) (int64, error) {
	from, err := sql.Open(driver, source)
	if err != nil {
		return 0, err
	}
	defer from.Close()
	to, err := sql.Open("immudb", target)
	if err != nil {
		return 0, err
	}
	defer to.Close()
	return copyQuery(ctx, from, query, to, table, opts)
}

// copyQuery writes the rows of a query on one database to a table of another.
func copyQuery(ctx context.Context, from *sql.DB, query string, to *sql.DB, table string, opts *immudb.CopyOptions) (int64, error) {
	rows, err := from.QueryContext(ctx, query)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return 0, err
	}
	return immudb.CopyFrom(ctx, to, table, columns, values(rows, len(columns)), opts)
}

// values yields the rows of a query in one slice, until they or the source fail.
func values(rows *sql.Rows, columns int) iter.Seq2[[]any, error] {
	return func(yield func([]any, error) bool) {
		row, into := make([]any, columns), make([]any, columns)
		for i := range row {
			into[i] = &row[i]
		}
		for rows.Next() {
			if err := rows.Scan(into...); err != nil {
				yield(nil, err)
				return
			}
			if !yield(row, nil) {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(nil, err)
		}
	}
}
