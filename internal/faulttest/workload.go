package faulttest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/immudb-go/immudb"
)

// Workload is one kind of use of the driver, and how to judge what came of it.
type Workload struct {
	Name  string
	About string // for the report

	Options  []string // of the DSN, as "name=value"
	Workers  int      // when it has the server for itself
	Programs int      // sql.DBs among which the workers are divided, as if each were a program. 0: one
	Server   []string // flags of the server
	Single   bool     // it needs the server for itself, for its flags or because others would suffer

	// Retried: no call is in a transaction of the caller's, or RunTx runs it again. Calls that the server did not
	// run because a session was lost must not fail.
	Retried bool
	// Deadlines: the calls have short deadlines of their own, and may fail by them.
	Deadlines bool

	// make makes the work anew. All its tables bear the name given or begin with it.
	make func(table string, workers int) work
}

// allows reports whether errors of a class belong to the work, whatever the fault: a conflict with another worker, and
// in transactions that only the caller can run again a server that has too many commits under way.
func (w *Workload) allows(class string) bool {
	return class == classConflict || class == classOverloaded && !w.Retried
}

// work is a workload under way.
type work interface {
	// prepare makes the tables, through a connection that nothing happens to.
	prepare(ctx context.Context, db *sql.DB) error
	// do is one operation of a worker, through the fault. What it was told it keeps for judge. Its error is one
	// of the call that failed, and says whether the outcome is unknown.
	do(ctx context.Context, db *sql.DB, worker int) error
	// judge returns what must not be, looking through a connection that nothing happens to. It is called when all
	// workers have returned.
	judge(ctx context.Context, db *sql.DB) (violations []string, err error)
}

// Workloads are all kinds, in the order in which they are shown.
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
		About: "INSERT … RETURNING of keys that the server makes (AUTO_INCREMENT)."},
	{Name: "bank", Workers: 8, make: newBank,
		About: "Transactions that move money between 16 accounts, and read-only ones that add it up."},
	{Name: "runtx", Workers: 8, Retried: true, make: newCounters,
		About: "RunTx that reads one of 8 counters, writes one more, and logs it."},
	{Name: "own-writes", Workers: 8, Retried: true, make: newOwnWrites,
		About: "Each worker writes its row and reads it back."},
	{Name: "registers", Workers: 8, Retried: true, make: newRegisters,
		About: "Reads and writes of 16 rows by all workers, whose history must be linearizable (porcupine)."},
	{Name: "copy", Workers: 3, make: newCopies,
		About: "CopyFrom of 200 rows in batches of 40, every third AllOrNothing."},
	{Name: "read-only", Workers: 6, make: newSnapshots,
		About: "Read-only transactions that read all 2,300 rows of a table twice, while one worker changes them."},
	{Name: "prepared", Workers: 6, make: newPrepared,
		About: "INSERT and SELECT prepared on a sql.Conn that is kept until a call fails."},
	{Name: "deadlines", Workers: 24, Retried: true, Deadlines: true, make: newImpatient,
		About: "One sql.DB shared by many goroutines whose calls have 50 to 500 ms."},
	{Name: "programs", Workers: 48, Programs: 12, Single: true, make: newReaders,
		Options: []string{"max_sessions=2"}, Server: []string{"-max-sessions=26"},
		About: "Short read-only transactions of a dozen programs with max_sessions=2, on a server for 26 sessions."},
}

// Groups returns the workloads as they are played: first those that can share a server, then each of the others with a
// server of its own.
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

// createTable makes a table and says which one could not be made.
func createTable(ctx context.Context, db *sql.DB, name, columns string) error {
	if _, err := db.ExecContext(ctx, "CREATE TABLE "+name+" ("+columns+")"); err != nil {
		return fmt.Errorf("making table %s: %w", name, err)
	}
	return nil
}

// fate is what a caller was told of a write.
type fate int

const (
	failed  fate = iota // nothing was written
	acked               // it was written
	unknown             // one or the other
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

// querier is what a *sql.DB, *sql.Conn and *sql.Tx have in common.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}
