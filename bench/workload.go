package main

import (
	"context"
	"slices"
	"time"
)

// workload is one kind of work, done by every contender in its own way.
type workload struct {
	name  string // for -only, and in the results
	title string
	unit  string // what one operation is
	table table  // what it reads or writes

	n, quick int  // operations of a run, without and with -quick
	rounds   int  // the most that are measured; 0: as many as asked for
	times    int  // so many rounds for each one asked for, as one of them is short and says little; 0: 1
	counted  bool // the calls are of interest: for pgx, its round trips
	far      bool // the server is reached over a TCP proxy, which delays all by distance each way
	distance time.Duration
	writes   int // rows that each operation adds to the table; they are counted afterwards

	database func(ctx context.Context, e *env) (*task, error) // with a sql.DB
	ours     func(ctx context.Context, e *env) (*task, error) // with functions that only this driver has, or nil
	floor    func(ctx context.Context, f *floorConn) (*task, error)
}

// goroutines is how many take part in the workloads with many.
const goroutines = 32

// window is how long writers compete. Writes that succeed in it count as operations.
const window, quickWindow = 3 * time.Second, 300 * time.Millisecond

var workloads = []*workload{
	{
		name: "point-adhoc", title: "point SELECT, one goroutine, ad hoc", unit: "query", table: accounts,
		n: 2000, quick: 50, times: 5,
		database: pointAdhoc, floor: floorPoint(1),
	},
	{
		name: "point-prepared", title: "point SELECT, one goroutine, prepared", unit: "query", table: accounts,
		n: 2000, quick: 50, times: 5,
		database: pointPrepared, floor: floorPoint(1),
	},
	{
		name: "point-32", title: "point SELECT, 32 goroutines, pool of 32", unit: "query", table: accounts,
		n: 6400, quick: 320, times: 5,
		database: pointParallel, floor: floorPoint(goroutines),
	},
	{
		name: "scan-100k", title: "scan of 100,000 rows × 7 columns", unit: "row", table: accounts,
		n: 1, quick: 1,
		database: scanAccounts, floor: floorScanAccounts,
	},
	{
		name: "scan-1m", title: "scan of 1,000,000 rows × 7 columns", unit: "row", table: accounts,
		n: 1, quick: 1, rounds: 3,
		database: scanUnion, floor: floorScanUnion,
	},
	{
		name: "scan-3kb", title: "scan of 5,000 rows of 3 kB", unit: "row", table: documents,
		n: 1, quick: 1, rounds: 7,
		database: scanDocuments, floor: floorScanDocuments,
	},
	{
		name: "burst", title: "32 goroutines × 20 queries on a new sql.DB, default pool", unit: "burst", table: accounts,
		n: 1, quick: 1, rounds: 7, counted: true,
		database: burst, floor: floorBurst,
	},
	{
		name: "first-query", title: "first query of a new sql.DB", unit: "query", table: accounts,
		n: 5, quick: 2, counted: true,
		database: firstQuery, floor: floorFirstQuery,
	},
	{
		name: "insert", title: "autocommit INSERT, one goroutine", unit: "insert", table: ledger,
		n: 50, quick: 5, times: 5, writes: 1,
		database: insert, floor: floorInsert,
	},
	{
		name: "tx-10", title: "transaction of 10 INSERTs", unit: "transaction", table: ledger,
		n: 20, quick: 2, times: 15, writes: txRows,
		database: txInserts, floor: floorTxInserts,
	},
	{
		name: "tx-0ms", title: "transaction of 3 statements, through a proxy", unit: "transaction", table: ledger,
		n: 20, quick: 2, times: 3, writes: 2, counted: true, far: true,
		database: txOfThree, floor: floorTxOfThree,
	},
	{
		name: "tx-1ms", title: "transaction of 3 statements, through a proxy that adds 1 ms each way", unit: "transaction", table: ledger,
		n: 10, quick: 2, writes: 2, counted: true, far: true, distance: time.Millisecond,
		database: txOfThree, floor: floorTxOfThree,
	},
	{
		name: "tx-5ms", title: "transaction of 3 statements, through a proxy that adds 5 ms each way", unit: "transaction", table: ledger,
		n: 5, quick: 2, writes: 2, counted: true, far: true, distance: 5 * time.Millisecond,
		database: txOfThree, floor: floorTxOfThree,
	},
	{
		name: "insert-32", title: "INSERT into one AUTO_INCREMENT table, 32 writers", unit: "insert", table: ledger,
		n: int(window), quick: int(quickWindow), rounds: 5, writes: 1,
		database: retriedInserts, ours: groupedInserts, floor: floorGroupedInserts,
	},
	{
		name: "copy", title: "bulk load of 100,000 rows × 7 columns", unit: "row", table: copied,
		n: 1, quick: 1, rounds: 9,
		database: handBatched, ours: copyFrom, floor: floorCopy,
	},
	{
		name: "verified-row", title: "row read by primary key and proven", unit: "row", table: accounts,
		n: 500, quick: 20,
		database: verifiedRow, floor: noFloor,
	},
}

func findWorkload(name string) *workload {
	i := slices.IndexFunc(workloads, func(w *workload) bool { return w.name == name })
	if i < 0 {
		return nil
	}
	return workloads[i]
}
