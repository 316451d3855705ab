package tampertest

import (
	"database/sql"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/testserver"
)

// openBench makes a database with 1,000 rows, written in one transaction each or together.
func openBench(b *testing.B, together bool) (db *sql.DB, dsn string) {
	b.Helper()
	dsn = dbtest.WithOptions(dbtest.FreshDSN(b), verifyReads)
	db = dbtest.OpenDSN(b, dsn)
	dbtest.Exec(b, db, "CREATE TABLE accounts (id INTEGER, owner VARCHAR[40], balance INTEGER, PRIMARY KEY id)")
	if !together {
		for id := range 1000 {
			dbtest.Exec(b, db, "INSERT INTO accounts (id, owner, balance) VALUES (?, 'somebody', ?)", id, id)
		}
		return db, dsn
	}
	for first := 0; first < 1000; first += 500 { // a transaction holds 1,024 entries
		tx, err := db.Begin()
		if err != nil {
			b.Fatal(err)
		}
		for id := first; id < first+500; id++ {
			dbtest.Exec(b, tx, "INSERT INTO accounts (id, owner, balance) VALUES (?, 'somebody', ?)", id, id)
		}
		if err := tx.Commit(); err != nil {
			b.Fatal(err)
		}
	}
	return db, dsn
}

// knowsTable opens the database again, with a connector that knows the table and no row.
func knowsTable(b *testing.B, dsn string) *sql.DB {
	b.Helper()
	db := dbtest.OpenDSN(b, dsn)
	if _, err := immudb.VerifiedRow(b.Context(), db, "accounts", 1); err != nil {
		b.Fatal(err)
	}
	return db
}

func BenchmarkVerifiedRow(b *testing.B) {
	db, _ := openBench(b, false)
	v := immudb.NewVerifier(db)
	id := 0
	for b.Loop() {
		if _, err := v.Row(b.Context(), "accounts", id%1000); err != nil {
			b.Fatal(err)
		}
		id += 7
	}
}

func BenchmarkVerify1000Rows(b *testing.B) {
	for _, together := range []bool{true, false} {
		name := "of1000Transactions"
		if together {
			name = "of2Transactions"
		}
		b.Run(name, func(b *testing.B) {
			_, dsn := openBench(b, together)
			for b.Loop() {
				b.StopTimer()
				db := knowsTable(b, dsn)
				b.StartTimer()
				if rows, err := immudb.VerifyRows(b.Context(), db, "accounts", ""); err != nil || len(rows) != 1000 {
					b.Fatal(len(rows), err)
				}
			}
		})
	}
}

func BenchmarkCommit(b *testing.B) {
	for _, mode := range []struct {
		name    string
		options []string
		others  bool // another client commits in between
	}{
		{"unverified", nil, false},
		{"verified", []string{proveCommits}, false},
		{"verifiedBesideAnother", []string{proveCommits}, true},
		{"verifiedInFiles", []string{proveCommits, "state_dir=" + b.TempDir()}, false},
	} {
		b.Run(mode.name, func(b *testing.B) {
			dsn := dbtest.FreshDSN(b)
			db, other := dbtest.OpenDSN(b, dbtest.WithOptions(dsn, mode.options...)), dbtest.OpenDSN(b, dsn)
			dbtest.Exec(b, db, "CREATE TABLE t (id INTEGER AUTO_INCREMENT, v VARCHAR, PRIMARY KEY id)")
			for n := 0; b.Loop(); n++ {
				if mode.others {
					b.StopTimer()
					dbtest.Exec(b, other, "INSERT INTO t (v) VALUES ('x')")
					b.StartTimer()
				}
				dbtest.Exec(b, db, "INSERT INTO t (v) VALUES (?)", fmt.Sprint(n))
			}
		})
	}
}

func BenchmarkAudit(b *testing.B) {
	db, _ := openBench(b, false)
	for b.Loop() {
		if _, err := immudb.Audit(b.Context(), db, immudb.AuditOptions{FromStart: true}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(1001*b.N)/b.Elapsed().Seconds(), "tx/s")
}

// An audit of 100,000 rows with their values, without and with a comparison of what is served, and the query alone.
func BenchmarkLiveAudit(b *testing.B) {
	db := dbtest.Open(b, verifyReads)
	dbtest.Exec(b, db, "CREATE TABLE accounts (id INTEGER, owner VARCHAR[40], balance INTEGER, PRIMARY KEY id)")
	rows := make([][]any, 100_000)
	for id := range rows {
		rows[id] = []any{int64(id), "somebody", int64(id)}
	}
	if _, err := immudb.CopyFrom(b.Context(), db, "accounts", []string{"id", "owner", "balance"}, dbtest.Rows(rows...), nil); err != nil {
		b.Fatal(err)
	}
	for _, live := range []bool{false, true} {
		b.Run(fmt.Sprint("live=", live), func(b *testing.B) {
			for b.Loop() {
				r, err := immudb.Audit(b.Context(), db, immudb.AuditOptions{Tables: []string{"*"}, Live: live})
				if err != nil || live && r.Served["accounts"] != int64(len(rows)) {
					b.Fatal(err, r.Served)
				}
			}
		})
	}
	b.Run("query", func(b *testing.B) {
		for b.Loop() {
			list, err := db.QueryContext(immudb.WithoutProof(b.Context()), "SELECT * FROM accounts")
			if err != nil {
				b.Fatal(err)
			}
			for list.Next() {
			}
			if err := list.Err(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// One writer's INSERTs: without a proof, with that of the commit, and with that of what
// it wrote.
func BenchmarkWrites(b *testing.B) {
	dsn := dbtest.FreshDSN(b)
	db := dbtest.OpenDSN(b, dsn)
	dbtest.Exec(b, db, "CREATE TABLE accounts (id INTEGER AUTO_INCREMENT, owner VARCHAR[40], balance INTEGER, PRIMARY KEY id)")
	for _, mode := range []string{"plain", "commits", "writes"} {
		b.Run(mode, func(b *testing.B) {
			db := db
			if mode != "plain" {
				db = dbtest.OpenDSN(b, dbtest.WithOptions(dsn, "verify=trust-first-use,"+mode))
			}
			for n := 0; b.Loop(); n++ {
				dbtest.Exec(b, db, "INSERT INTO accounts (owner, balance) VALUES (?, ?)", "somebody", n)
			}
		})
	}
}

// The cost of proving commits on a server that waits for its disk, as in production: the modes take turns, one INSERT
// each, and the ratios are medians of the turns' own.
func BenchmarkSyncedWrites(b *testing.B) {
	server := testserver.Start(b)
	modes := []string{"plain", "commits", "writes"}
	dbs := map[string]*sql.DB{}
	for _, mode := range modes { // each is the only writer of its database
		dsn := server.NewDatabase(b)
		if mode != "plain" {
			dsn = dbtest.WithOptions(dsn, "verify=trust-first-use,"+mode)
		}
		dbs[mode] = dbtest.OpenDSN(b, dsn)
		dbtest.Exec(b, dbs[mode], "CREATE TABLE accounts (id INTEGER AUTO_INCREMENT, owner VARCHAR[40], balance INTEGER, PRIMARY KEY id)")
	}
	ratios := map[string][]float64{}
	for turn := 0; b.Loop(); turn++ {
		took := map[string]float64{}
		for i := range modes {
			mode := modes[(turn+i)%len(modes)]
			began := time.Now()
			dbtest.Exec(b, dbs[mode], "INSERT INTO accounts (owner, balance) VALUES (?, ?)", "somebody", turn)
			took[mode] = time.Since(began).Seconds()
		}
		for _, mode := range modes[1:] {
			ratios[mode] = append(ratios[mode], took[mode]/took["plain"])
		}
	}
	for _, mode := range modes[1:] {
		slices.Sort(ratios[mode])
		b.ReportMetric(ratios[mode][len(ratios[mode])/2], mode+"/plain")
	}
}
