package main

import (
	"context"
	"database/sql"
	"fmt"
	"iter"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/immudb-go/immudb"
)

// scale holds the sizes of the tables. They do not depend on the machine.
type scale struct {
	Accounts  int `json:"accounts"`   // rows of accounts
	Unions    int `json:"unions"`     // how often accounts is read by the longest scan
	Documents int `json:"documents"`  // rows of documents
	CopyRows  int `json:"copy_rows"`  // rows of a bulk load
	CopyTries int `json:"copy_tries"` // rows of a try of a way to load by hand
}

var (
	fullScale  = scale{Accounts: 100_000, Unions: 10, Documents: 5_000, CopyRows: 100_000, CopyTries: 10_000}
	quickScale = scale{Accounts: 4_096, Unions: 2, Documents: 2_048, CopyRows: 2_048, CopyTries: 1_024}
)

// table is a table for workloads.
type table struct {
	name   string
	create string
	rows   func(s scale) iter.Seq2[[]any, error] // its rows; nil: none
}

// accountColumns have the seven types that every contender can read.
const accountColumns = "id INTEGER, name VARCHAR[64], balance FLOAT, active BOOLEAN, created TIMESTAMP, token BLOB[16], ref UUID, PRIMARY KEY id"

var (
	accounts = table{
		name:   "accounts",
		create: "CREATE TABLE accounts (" + accountColumns + ")",
		rows:   func(s scale) iter.Seq2[[]any, error] { return accountRows(s.Accounts) },
	}
	documents = table{
		name:   "documents",
		create: "CREATE TABLE documents (id INTEGER, body VARCHAR[3000], PRIMARY KEY id)",
		rows: func(s scale) iter.Seq2[[]any, error] {
			return func(yield func([]any, error) bool) {
				for id := range s.Documents {
					if !yield([]any{id, strings.Repeat(string(rune('a'+id%26)), 3000)}, nil) {
						return
					}
				}
			}
		},
	}
	ledger = table{
		name:   "ledger",
		create: "CREATE TABLE ledger (id INTEGER AUTO_INCREMENT, account INTEGER, amount FLOAT, note VARCHAR[64], PRIMARY KEY id)",
	}
	copied = table{
		name:   "copied",
		create: "CREATE TABLE copied (" + accountColumns + ")",
	}
)

// accountRows are the first n rows of accounts, the same in every process.
func accountRows(n int) iter.Seq2[[]any, error] {
	return func(yield func([]any, error) bool) {
		random := rand.New(rand.NewPCG(1, 2))
		row := make([]any, 7)
		token := make([]byte, 16)
		for id := range n {
			for i := range token {
				token[i] = byte(random.Uint32())
			}
			row[0] = int64(id)
			row[1] = fmt.Sprintf("Account holder %d", id)
			row[2] = float64(random.IntN(1_000_000)) / 128
			row[3] = id%3 == 0
			row[4] = time.Date(2026, 1, 1, 0, 0, id, 0, time.UTC)
			row[5] = token
			row[6] = fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", random.Uint32(), random.IntN(1<<16), random.IntN(1<<12), random.IntN(1<<12), id)
			if !yield(row, nil) {
				return
			}
		}
	}
}

// makeTables creates and fills the tables that the workloads need.
func makeTables(ctx context.Context, s *server, sc scale, ws []*workload) error {
	db, err := sql.Open(immudb.DriverName, s.dsn())
	if err != nil {
		return err
	}
	defer db.Close()
	made := map[string]bool{}
	for _, w := range ws {
		if w.table.name == "" || made[w.table.name] {
			continue
		}
		made[w.table.name] = true
		if _, err := db.ExecContext(ctx, w.table.create); err != nil {
			return fmt.Errorf("table %s: %w", w.table.name, err)
		}
		if w.table.rows == nil {
			continue
		}
		if _, err := immudb.CopyFrom(ctx, db, w.table.name, nil, w.table.rows(sc), nil); err != nil {
			return fmt.Errorf("table %s: %w", w.table.name, err)
		}
	}
	return nil
}
