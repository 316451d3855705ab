// Sqlx keeps a list of tasks with github.com/jmoiron/sqlx.
//
//	sqlx -dsn immudb://user:password@localhost:3322/app
//
// No bind type need be registered. sqlx does not know this driver and so does not change ?,
// which the driver accepts. After
//
//	sqlx.BindDriver("immudb", sqlx.DOLLAR)
//
// sqlx writes $1, which the driver accepts too.
package main

import (
	"context"
	"database/sql"
	"flag"
	"fmt"
	"log"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/immudb-go/immudb"
)

// Task is a row of the table tasks. A column that may be NULL is a pointer or a sql.Null.
type Task struct {
	ID    int64               `db:"id"`
	Title string              `db:"title"`
	Owner *string             `db:"owner"`
	Due   sql.Null[time.Time] `db:"due"`
	Done  bool                `db:"done"`
}

const schema = `CREATE TABLE IF NOT EXISTS tasks (
	id INTEGER AUTO_INCREMENT, title VARCHAR NOT NULL, owner VARCHAR[64],
	due TIMESTAMP, done BOOLEAN NOT NULL DEFAULT FALSE,
	PRIMARY KEY id)`

func main() {
	dsn := flag.String("dsn", "", "the database")
	flag.Parse()
	if err := run(context.Background(), *dsn); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, dsn string) error {
	db, err := sqlx.Open("immudb", dsn)
	if err != nil {
		return err
	}
	defer db.Close()
	if _, err := db.ExecContext(ctx, schema); err != nil {
		return err
	}
	ada := "ada"
	tasks := []Task{{Title: "write", Owner: &ada}, {Title: "print", Due: sql.Null[time.Time]{V: time.Now().Add(time.Hour), Valid: true}}}
	if err := addAll(ctx, db, tasks); err != nil {
		return err
	}
	last := Task{Title: "send", Owner: &ada}
	if err := add(ctx, db, &last); err != nil {
		return err
	}
	if err := handOver(ctx, db, "ada", "bob", last.ID); err != nil {
		return err
	}
	tasks, err = owned(ctx, db, "bob", "eve")
	fmt.Println(tasks, err)
	return err
}

// add inserts a task and sets its generated key.
func add(ctx context.Context, db *sqlx.DB, t *Task) error {
	insert, err := db.PrepareNamedContext(ctx, `INSERT INTO tasks (title, owner, due, done)
		VALUES (:title, :owner, :due, :done) RETURNING id`)
	if err != nil {
		return err
	}
	defer insert.Close()
	return insert.GetContext(ctx, t, t)
}

// addAll inserts tasks in one statement. A transaction holds 1,024 rows:
// immudb.CopyFrom takes any number.
func addAll(ctx context.Context, db *sqlx.DB, tasks []Task) error {
	_, err := db.NamedExecContext(ctx, `INSERT INTO tasks (title, owner, due, done)
		VALUES (:title, :owner, :due, :done)`, tasks)
	return err
}

// owned returns the tasks of some owners.
func owned(ctx context.Context, db *sqlx.DB, owners ...string) ([]Task, error) {
	query, args, err := sqlx.In("SELECT * FROM tasks WHERE owner IN (?) ORDER BY id", owners)
	if err != nil {
		return nil, err
	}
	var tasks []Task
	err = db.SelectContext(ctx, &tasks, db.Rebind(query), args...)
	return tasks, err
}

// handOver gives tasks to another owner, all or none. RunTx runs it again after a conflict
// with another transaction; use db.BeginTxx if that is not wanted.
func handOver(ctx context.Context, db *sqlx.DB, from, to string, ids ...int64) error {
	return immudb.RunTx(ctx, db.DB, nil, func(stdTx *sql.Tx) error {
		tx := &sqlx.Tx{Tx: stdTx, Mapper: db.Mapper}
		for _, id := range ids {
			res, err := tx.NamedExecContext(ctx, "UPDATE tasks SET owner = :to WHERE id = :id AND owner = :from",
				map[string]any{"id": id, "from": from, "to": to})
			if err != nil {
				return err
			}
			n, err := res.RowsAffected()
			if err != nil {
				return err
			}
			if n == 0 {
				return fmt.Errorf("task %d is not one of %s: %w", id, from, sql.ErrNoRows)
			}
		}
		return nil
	})
}
