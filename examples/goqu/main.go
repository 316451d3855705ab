// Goqu keeps the loans of a library with github.com/doug-martin/goqu.
//
//	goqu -dsn immudb://user:password@localhost:3322/app
//
// dialect.go is what to copy first.
package main

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"log"
	"time"

	"github.com/doug-martin/goqu/v9"

	_ "github.com/immudb-go/immudb"
)

const schema = `
	CREATE TABLE IF NOT EXISTS books (
		id INTEGER AUTO_INCREMENT, title VARCHAR NOT NULL, shelf VARCHAR[16], out BOOLEAN NOT NULL,
		PRIMARY KEY id);
	CREATE TABLE IF NOT EXISTS loans (
		id INTEGER AUTO_INCREMENT, book INTEGER NOT NULL, reader VARCHAR[64] NOT NULL, due TIMESTAMP NOT NULL,
		PRIMARY KEY id)`

type book struct {
	ID    int64   `db:"id" goqu:"skipinsert,skipupdate"` // the database chooses it
	Title string  `db:"title"`
	Shelf *string `db:"shelf"`
	Out   bool    `db:"out"`
}

func main() {
	dsn := flag.String("dsn", "", "the database")
	flag.Parse()
	if err := run(context.Background(), *dsn); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, dsn string) error {
	conns, err := sql.Open("immudb", dsn)
	if err != nil {
		return err
	}
	defer conns.Close()
	if _, err := conns.ExecContext(ctx, schema); err != nil {
		return err
	}
	db := goqu.New("immudb", conns)
	keys, err := add(ctx, db, book{Title: "Emma"}, book{Title: "Persuasion"})
	if err != nil {
		return err
	}
	if err := lend(ctx, db, keys[0], "ada", time.Now().AddDate(0, 0, -1)); err != nil {
		return err
	}
	list, err := overdue(ctx, db, time.Now())
	fmt.Println(list, err)
	return err
}

// add inserts books in one statement and returns their keys.
func add(ctx context.Context, db *goqu.Database, books ...book) (keys []int64, err error) {
	err = db.Insert("books").Rows(books).Returning("id").Executor().ScanValsContext(ctx, &keys)
	return keys, err
}

var errOut = errors.New("the book is not there")

// lend marks a book as lent and enters the loan, both or neither. The commit fails
// with immudb.ErrConflict if the book was lent meanwhile: where it should be tried
// again, use immudb.RunTx, and goqu.NewTx in it.
func lend(ctx context.Context, db *goqu.Database, id int64, reader string, due time.Time) error {
	return db.WithTx(func(tx *goqu.TxDatabase) error {
		res, err := tx.Update("books").Set(goqu.Record{"out": true}).
			Where(goqu.Ex{"id": id, "out": false}).Executor().ExecContext(ctx)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil {
			return err
		} else if n == 0 {
			return errOut
		}
		_, err = tx.Insert("loans").Rows(goqu.Record{"book": id, "reader": reader, "due": due}).Executor().ExecContext(ctx)
		return err
	})
}

type loan struct {
	Reader string    `db:"reader"`
	Title  string    `db:"title"`
	Due    time.Time `db:"due"`
}

// overdue returns the loans that were due before a time. The columns are picked by
// hand, because only three of them are wanted.
func overdue(ctx context.Context, db *goqu.Database, at time.Time) (loans []loan, err error) {
	err = db.From("loans").
		Join(goqu.T("books"), goqu.On(goqu.I("books.id").Eq(goqu.I("loans.book")))).
		Select("loans.reader", "books.title", "loans.due").
		Where(goqu.I("loans.due").Lt(at)).
		Order(goqu.I("loans.due").Asc()).
		ScanStructsContext(ctx, &loans)
	return loans, err
}
