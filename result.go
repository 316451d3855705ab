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

// RowsAffected is the number of rows the statements wrote or deleted, summed
// over all of the text. It is an error, not 0, where the server does not count:
// TRUNCATE, and in a transaction statements that the driver does not know.
func (r *result) RowsAffected() (int64, error) { return r.rows, r.rowsErr }

// LastInsertId is the AUTO_INCREMENT key of the last row that the last INSERT
// or UPSERT of the text wrote (the last, as in SQLite, not the first as in
// MySQL: with n rows in one VALUES the first is n-1 lower). It is an error, not
// 0, where no such key was written or the server does not tell.
func (r *result) LastInsertId() (int64, error) { return r.id, r.idErr }

var (
	errNoInsert           = newError(nil, "", "no last insert id: the text wrote no row of a table with an AUTO_INCREMENT key")
	errIDUnknown          = newError(nil, "", "no last insert id: ON CONFLICT DO NOTHING may have skipped the row the server names; use RETURNING")
	errTableChanged       = newError(nil, "", "no last insert id: the table was changed by another client")
	errKeysNotConsecutive = newError(nil, "", "no last insert id: the server generated other keys than expected for a group; use RETURNING")
	errNotCounted         = newError(nil, "", "the server does not count the rows of this statement")
)

// The last insert id is known in three ways, one for each way of writing:
// committedResult takes the one that SQLExec names, returned the one that a
// RETURNING clause gave in a transaction, and generated the one that a group's
// statement was given among consecutive keys.

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
		// The server names the key of a row that it skipped as if it had
		// inserted it. It skipped none when it wrote all there were.
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

// CommitInfo describes what was committed: the id is what time travel takes.
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

// WithCommitInfo returns a context under which commits are described in info:
// that of an Exec or Query outside a transaction run with it, and that of a
// transaction begun with it. info is written before the call that commits
// returns, and only if it wrote something. Several goroutines may commit under one
// such context: info then describes the commit that was answered last, and is to be
// read when all have returned.
//
//	var commit immudb.CommitInfo
//	_, err := db.ExecContext(immudb.WithCommitInfo(ctx, &commit), "UPDATE …")
//	…
//	db.QueryContext(ctx, fmt.Sprintf("SELECT … FROM t BEFORE TX %d", commit.TxID))
func WithCommitInfo(ctx context.Context, info *CommitInfo) context.Context {
	return context.WithValue(ctx, commitReportKey{}, &commitReport{info: info})
}

// reportOf returns where the program wants commits under ctx described, or nil.
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
