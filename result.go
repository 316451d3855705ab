package immudb

import (
	"context"
	"database/sql/driver"
	"slices"
	"sync"
	"time"

	"github.com/immudb-go/immudb/internal/sqltext"
	"github.com/immudb-go/immudb/internal/wire"
)

var _ driver.Result = (*result)(nil)

// result counts what an Exec wrote.
type result struct {
	rows    int64
	rowsErr error // why rows is not known, or nil

	id    int64
	idErr error // why id is not known, or nil
}

// RowsAffected is the number of rows that all statements of the query wrote or
// deleted. It is an error, not 0, if the server does not count them: after TRUNCATE,
// and in a transaction after statements that the driver does not know.
func (r *result) RowsAffected() (int64, error) { return r.rows, r.rowsErr }

// LastInsertId is the AUTO_INCREMENT key of the last row that the last INSERT
// or UPSERT of the query wrote (the last, as in SQLite, not the first as in
// MySQL: with n rows in one VALUES the first is n-1 lower). It is an error, not
// 0, if no such key was written or the server does not report it.
func (r *result) LastInsertId() (int64, error) { return r.id, r.idErr }

var (
	errNoInsert           = newError(nil, "", "no last insert id: the text wrote no row of a table with an AUTO_INCREMENT key")
	errIDUnknown          = newError(nil, "", "no last insert id: ON CONFLICT DO NOTHING may have skipped the row the server names; use RETURNING")
	errTableChanged       = newError(nil, "", "no last insert id: the table was changed by another client")
	errKeysNotConsecutive = newError(nil, "", "no last insert id: the server generated other keys than expected for a group; use RETURNING")
	errNotCounted         = newError(nil, "", "the server does not count the rows of this statement")
)

// There are three ways to write, and each has its source for the last insert id:
// committedResult takes the key from the answer of SQLExec, returned the one of a
// RETURNING clause in a transaction, and generated the one that is computed for a
// statement of a group, whose keys are consecutive.

// returned takes the AUTO_INCREMENT key of the last row written. ok is false if
// there is none any more.
func (r *result) returned(key driver.Value) (ok bool) {
	if r.id, ok = key.(int64); ok {
		r.idErr = nil
	} else {
		r.idErr = errTableChanged
	}
	return ok
}

// generated takes the last of the keys that the server generated, if they are
// known.
func (r *result) generated(key int64, known bool) {
	if r.id, r.idErr = key, nil; !known {
		r.id, r.idErr = 0, errKeysNotConsecutive
	}
}

// committedResult is the result of the statements, which committed as txs.
func committedResult(statements []sqltext.Statement, txs []wire.CommittedTx) *result {
	r := &result{idErr: errNoInsert}
	for i := range txs {
		r.rows += txs[i].UpdatedRows
	}
	if slices.ContainsFunc(statements, func(st sqltext.Statement) bool { return st.Kind == sqltext.Truncate }) {
		r.rows, r.rowsErr = 0, errNotCounted
	}
	last := lastInsert(statements)
	if last == nil || r.rows == 0 || len(txs) == 0 {
		return r
	}
	for _, key := range txs[len(txs)-1].Last {
		if key.Table != last.Table {
			continue
		}
		// For a row that it skipped, the server reports the key as if it had inserted
		// the row. If it wrote all rows, it has skipped none.
		if last.OnConflict == sqltext.ConflictNothing && (len(statements) > 1 || r.rows != int64(last.NumRows)) {
			r.idErr = errIDUnknown
		} else {
			r.id, r.idErr = key.Key, nil
		}
	}
	return r
}

// lastInsert returns the last INSERT or UPSERT, or nil.
func lastInsert(statements []sqltext.Statement) *sqltext.Statement {
	for i := range slices.Backward(statements) {
		if st := &statements[i]; st.Kind == sqltext.Insert || st.Kind == sqltext.Upsert {
			return st
		}
	}
	return nil
}

// CommitInfo describes a committed transaction. Time travel takes its id.
type CommitInfo struct {
	TxID uint64    // of the last transaction committed; 0 if nothing was written
	Time time.Time // when the server committed it, UTC, in whole seconds
}

// commitReport is a CommitInfo that several goroutines may describe commits in.
type commitReport struct {
	mu   sync.Mutex
	info *CommitInfo
}

type commitReportKey struct{}

// WithCommitInfo returns a context that makes the driver fill info: with the commit
// of an Exec or Query outside a transaction that is called with the context, or of a
// transaction that is begun with it. info is filled before the call that commits
// returns, and only if the transaction wrote something. If several goroutines commit
// with one such context, info holds the commit that was answered last; it must not
// be read before all have returned.
//
//	var commit immudb.CommitInfo
//	_, err := db.ExecContext(immudb.WithCommitInfo(ctx, &commit), "UPDATE …")
//	…
//	db.QueryContext(ctx, fmt.Sprintf("SELECT … FROM t BEFORE TX %d", commit.TxID))
func WithCommitInfo(ctx context.Context, info *CommitInfo) context.Context {
	return context.WithValue(ctx, commitReportKey{}, &commitReport{info: info})
}

// reportOf returns the commitReport of WithCommitInfo in ctx, or nil.
func reportOf(ctx context.Context) *commitReport {
	report, _ := ctx.Value(commitReportKey{}).(*commitReport)
	return report
}

// add describes transactions; r may be nil.
func (r *commitReport) add(txs ...wire.CommittedTx) {
	if r == nil || r.info == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range txs {
		if txs[i].TxID != 0 {
			r.info.TxID, r.info.Time = txs[i].TxID, txs[i].Time
		}
	}
}
