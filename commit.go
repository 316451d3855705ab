package immudb

import (
	"context"
	"sync"
	"time"

	"github.com/immudb-go/immudb/internal/wire"
)

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
