// Squirrel keeps stock in a table with the builders of
// github.com/Masterminds/squirrel.
//
//	squirrel -dsn immudb://user:password@localhost:3322/app
package main

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"log"

	sq "github.com/Masterminds/squirrel"

	"github.com/immudb-go/immudb"
)

const schema = `
	CREATE TABLE IF NOT EXISTS items (
		id INTEGER AUTO_INCREMENT, name VARCHAR[64] NOT NULL, shelf VARCHAR[16], stock INTEGER NOT NULL,
		PRIMARY KEY id);
	CREATE TABLE IF NOT EXISTS moves (
		id INTEGER AUTO_INCREMENT, item INTEGER NOT NULL, amount INTEGER NOT NULL, at TIMESTAMP NOT NULL,
		PRIMARY KEY id)`

// build makes the statements. The driver accepts squirrel's default placeholders, question
// marks, and also sq.Dollar.
var build = sq.StatementBuilder.PlaceholderFormat(sq.Question)

func main() {
	dsn := flag.String("dsn", "", "the database")
	flag.Parse()
	if err := run(context.Background(), *dsn); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, dsn string) error {
	db, err := sql.Open("immudb", dsn)
	if err != nil {
		return err
	}
	defer db.Close()
	if _, err := db.ExecContext(ctx, schema); err != nil {
		return err
	}
	// The cache prepares each query once. Clear closes the prepared statements.
	cache := sq.NewStmtCache(db)
	defer cache.Clear()
	build := build.RunWith(cache)
	nails, err := add(ctx, build, item{Name: "nails", Shelf: shelf("a1"), Stock: 100})
	if err != nil {
		return err
	}
	if err := take(ctx, db, nails, 30); err != nil {
		return err
	}
	list, err := find(ctx, build, filter{Shelves: []string{"a1", "a2"}, AtLeast: 1})
	fmt.Println(list, err)
	return err
}

type item struct {
	ID    int64
	Name  string
	Shelf sql.Null[string]
	Stock int64
}

func shelf(name string) sql.Null[string] { return sql.Null[string]{V: name, Valid: true} }

// add inserts an item and returns its key.
func add(ctx context.Context, build sq.StatementBuilderType, it item) (id int64, err error) {
	err = build.Insert("items").Columns("name", "shelf", "stock").Values(it.Name, it.Shelf, it.Stock).
		Suffix("RETURNING id").QueryRowContext(ctx).Scan(&id)
	return id, err
}

// filter says which items to find. Fields that are not set are ignored.
type filter struct {
	Shelves []string
	Name    string // a pattern of LIKE
	AtLeast int64
	Limit   uint64
}

func find(ctx context.Context, build sq.StatementBuilderType, f filter) ([]item, error) {
	query := build.Select("id", "name", "shelf", "stock").From("items").OrderBy("id")
	if f.Shelves != nil {
		query = query.Where(sq.Eq{"shelf": f.Shelves}) // IN (…)
	}
	if f.Name != "" {
		query = query.Where(sq.Like{"name": f.Name})
	}
	if f.AtLeast > 0 {
		query = query.Where(sq.GtOrEq{"stock": f.AtLeast})
	}
	if f.Limit > 0 {
		query = query.Limit(f.Limit)
	}
	rows, err := query.QueryContext(ctx)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var items []item
	for rows.Next() {
		var it item
		if err := rows.Scan(&it.ID, &it.Name, &it.Shelf, &it.Stock); err != nil {
			return nil, err
		}
		items = append(items, it)
	}
	return items, rows.Err()
}

var errTooFew = errors.New("there are not that many")

// take takes items from stock and enters that, both or neither.
func take(ctx context.Context, db *sql.DB, id, amount int64) error {
	return immudb.RunTx(ctx, db, nil, func(tx *sql.Tx) error {
		build := build.RunWith(tx)
		res, err := build.Update("items").Set("stock", sq.Expr("stock - ?", amount)).
			Where(sq.Eq{"id": id}).Where(sq.GtOrEq{"stock": amount}).ExecContext(ctx)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil {
			return err
		} else if n == 0 {
			return errTooFew
		}
		_, err = build.Insert("moves").SetMap(map[string]any{"item": id, "amount": -amount, "at": sq.Expr("NOW()")}).ExecContext(ctx)
		return err
	})
}
