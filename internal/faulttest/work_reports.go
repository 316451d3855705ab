package faulttest

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/immudb-go/immudb"
)

// reports read rows that never change, wherever they are answered.
type reports struct {
	table string
	seen  seen
	exposure
}

func newReports(table string, _ int) work { return &reports{table: table} }

const reportRows = 16

func (r *reports) prepare(ctx context.Context, db *sql.DB) error {
	if err := createTable(ctx, db, r.table, "id INTEGER, v INTEGER, PRIMARY KEY id"); err != nil {
		return err
	}
	for id := range reportRows {
		if _, err := db.ExecContext(ctx, "INSERT INTO "+r.table+" (id, v) VALUES (?, ?)", id, 7*id); err != nil {
			return err
		}
	}
	return nil
}

func (r *reports) do(ctx context.Context, db *sql.DB, worker int) error {
	rows := make(map[int]int)
	err := immudb.RunTx(ctx, db, &sql.TxOptions{ReadOnly: true}, func(tx *sql.Tx) error {
		clear(rows)
		var id, v int
		return each(ctx, tx, func() { rows[id] = v }, "SELECT id, v FROM "+r.table, &id, &v)
	})
	if err == nil {
		r.check(rows)
	}
	return err
}

func (r *reports) check(rows map[int]int) {
	for id := range reportRows {
		if v, ok := rows[id]; !ok || v != 7*id || len(rows) != reportRows {
			r.seen.addf("report of other rows than there are", "%d rows, row %d is %s", len(rows), id, fmt.Sprint(v, " ", ok))
			return
		}
	}
}

func (r *reports) judge(context.Context, *sql.DB) ([]string, error) { return r.seen.violations(), nil }
