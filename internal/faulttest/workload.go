package faulttest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/immudb-go/immudb"
)

// Workload is one kind of use of the driver, with a judge of its results.
type Workload struct {
	Name  string
	About string // for the report

	Options  []string // of the DSN, as "name=value"
	Workers  int      // if it is alone on its server
	Programs int      // the number of sql.DBs for the workers, each like a separate program. 0: one
	Server   []string // flags of the server
	Single   bool     // it needs a server for itself, because of its flags or its effect on others

	// Retried: no call is in a transaction of the caller, or RunTx runs the transaction again. Calls that the server did
	// not run because a session was lost must not fail.
	Retried bool
	// Long: it is played with several hosts only with Settings.Long.
	Long bool
	// Deadlines: the calls have short deadlines, and may fail because of them.
	Deadlines bool

	// make makes new work. The names of all its tables begin with table.
	make func(table string, workers int) work
}

// allows reports whether errors of a class are normal for the work with every fault: conflicts with other workers, and in
// transactions that only the caller can run again, an overloaded server.
func (w *Workload) allows(class string) bool {
	return class == classConflict || class == classOverloaded && !w.Retried
}

// work is a running workload.
type work interface {
	// prepare creates the tables, with a connection without faults.
	prepare(ctx context.Context, db *sql.DB) error
	// do runs one operation of a worker, with faults. It records the results for judge. Its error is that of the failed
	// call, and says whether the outcome is unknown.
	do(ctx context.Context, db *sql.DB, worker int) error
	// judge returns the violations, with a connection without faults. It is called when all workers have returned.
	judge(ctx context.Context, db *sql.DB) (violations []string, err error)
}

// Workloads are all workloads, in the order of the report.
var Workloads = []*Workload{
	{Name: "autocommit", Workers: 8, Retried: true, make: newWrites,
		About: "INSERT of keys that occur once and UPDATE … SET n = n + 1, outside transactions."},
	{Name: "group", Workers: 16, Retried: true, Options: []string{"group_commit=64"}, make: newWrites,
		About: "The same with group_commit=64."},
	{Name: "verified", Workers: 4, Retried: true, Options: []string{"verify=trust-first-use,commits"}, make: newWrites,
		About: "The same with verify=trust-first-use,commits."},
	{Name: "returning", Workers: 6, Retried: true, make: newReturning,
		About: "INSERT … RETURNING."},
	// A row inserted into a table with an AUTO_INCREMENT key is a conflict for every transaction of the database, also
	// for those that never touch the table.
	{Name: "generated", Workers: 2, Single: true, Retried: true, make: newGenerated,
		About: "INSERT … RETURNING of keys that the server generates (AUTO_INCREMENT)."},
	{Name: "bank", Workers: 8, make: newBank,
		About: "Transactions that transfer money between 16 accounts, and read-only transactions that check the total."},
	{Name: "savepoints", Workers: 4, Options: []string{"retry_commits=1"}, make: newSavepoints,
		About: "The same with a wrong transfer that ROLLBACK TO undoes in each transaction, and with retry_commits=1."},
	{Name: "runtx", Workers: 8, Retried: true, make: newCounters,
		About: "RunTx that increments one of 8 counters and inserts a row for it."},
	{Name: "own-writes", Workers: 8, Retried: true, make: newOwnWrites,
		About: "Each worker writes its own row and reads it back."},
	{Name: "registers", Workers: 8, Retried: true, make: newRegisters,
		About: "All workers read and write the same 16 rows; the history must be linearizable (checked by porcupine)."},
	{Name: "copy", Workers: 3, make: newCopies,
		About: "CopyFrom of 200 rows in batches of 40; every third call is AllOrNothing."},
	{Name: "read-only", Workers: 6, make: newSnapshots,
		About: "Read-only transactions that read all 2,300 rows of a table twice, while one worker changes them."},
	{Name: "prepared", Workers: 6, make: newPrepared,
		About: "INSERT and SELECT prepared on a sql.Conn that is kept until a call fails."},
	{Name: "deadlines", Workers: 24, Retried: true, Deadlines: true, make: newImpatient,
		About: "Many goroutines share one sql.DB; their calls have deadlines of 50 to 500 ms."},
	{Name: "programs", Workers: 48, Programs: 12, Single: true, make: newReaders,
		Options: []string{"max_sessions=2"}, Server: []string{"-max-sessions=26"},
		About: "Twelve programs with max_sessions=2 run short read-only transactions on a server that allows 26 sessions."},
}

// Groups returns the workloads in groups that share a server: first those that can share one, then each of the others
// alone.
func Groups() [][]*Workload {
	var side []*Workload
	var alone [][]*Workload
	for _, w := range Workloads {
		if w.Single {
			alone = append(alone, []*Workload{w})
		} else {
			side = append(side, w)
		}
	}
	return append([][]*Workload{side}, alone...)
}

// createTable creates a table. Its error names the table.
func createTable(ctx context.Context, db *sql.DB, name, columns string) error {
	if _, err := db.ExecContext(ctx, "CREATE TABLE "+name+" ("+columns+")"); err != nil {
		return fmt.Errorf("making table %s: %w", name, err)
	}
	return nil
}

// fate is the result of a write.
type fate int

const (
	failed  fate = iota // nothing was written
	acked               // it was written
	unknown             // it may have been written
)

func fateOf(err error) fate {
	switch {
	case err == nil:
		return acked
	case errors.Is(err, immudb.ErrOutcomeUnknown):
		return unknown
	}
	return failed
}

// each scans the rows of a query, one after the other, into dest and calls f after each.
func each(ctx context.Context, db querier, f func(), query string, dest ...any) error {
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := rows.Scan(dest...); err != nil {
			return err
		}
		f()
	}
	return rows.Err()
}

// querier is a *sql.DB, a *sql.Conn or a *sql.Tx.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}
