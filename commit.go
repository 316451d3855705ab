package immudb

import (
	"context"
	"time"

	"github.com/immudb-go/immudb/internal/wire"
)

// CommitInfo describes what was committed: the id is what time travel takes.
type CommitInfo struct {
	TxID uint64    // of the last transaction committed; 0 if nothing was written
	Time time.Time // when the server committed it, UTC, in whole seconds
}

type commitInfoKey struct{}

// WithCommitInfo returns a context under which commits are described in info:
// that of an Exec or Query outside a transaction run with it, and that of a
// transaction begun with it. info is written before the call that commits
// returns, and only if it wrote something.
//
//	var commit immudb.CommitInfo
//	_, err := db.ExecContext(immudb.WithCommitInfo(ctx, &commit), "UPDATE …")
//	…
//	db.QueryContext(ctx, fmt.Sprintf("SELECT … FROM t BEFORE TX %d", commit.TxID))
func WithCommitInfo(ctx context.Context, info *CommitInfo) context.Context {
	return context.WithValue(ctx, commitInfoKey{}, info)
}

// add describes tx in info, which may be nil.
func (info *CommitInfo) add(tx wire.CommittedTx) {
	if info != nil && tx.TxID != 0 {
		info.TxID, info.Time = tx.TxID, tx.Time
	}
}
