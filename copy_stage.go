package immudb

import (
	"context"
	"errors"

	"github.com/immudb-go/immudb/internal/wire"
)

// maxClashes is how many staged batches may turn out to be of no use until no
// more are staged: then the batches are in each other's way.
const maxClashes = 3

// stage runs a batch's statement in a transaction that is not committed yet, and
// returns the bytes sent, or 0 if that failed, for whatever reason: then the
// batch is written when its turn has come.
func (w *copyWriter) stage(b *batch) int {
	if w.clashes.Load() >= maxClashes || w.failed.Load() {
		return 0
	}
	req := b.appendRequest(w.request[:0], w.head, 0, len(b.rows))
	w.request = nil // until it is known to have arrived
	if w.conn.useOnce(w.ctx, func(c *Conn) error { return c.stageBatch(w.ctx, req) }) == nil {
		w.request = req
		return len(req)
	}
	w.clashes.Add(1)
	return 0
}

// commitStaged commits what stage has run. It reports false if that was not
// possible, and nothing was committed.
func (w *copyWriter) commitStaged(b *batch, bytes int) bool {
	var tx wire.CommittedTx
	err := w.conn.useOnce(w.ctx, func(c *Conn) (err error) {
		tx, err = c.commitStaged(w.ctx)
		return err
	})
	switch {
	case err == nil:
		b.committed, b.bytes, b.tx = len(b.rows), int64(bytes), tx
		return true
	case errors.Is(err, ErrOutcomeUnknown):
		b.err, b.unknown = withoutBadConn(err), len(b.rows)
		return true
	}
	w.clashes.Add(1)
	w.conn.release() // it may be of no use
	return false
}

// unstage undoes what stage has run, if anything. Nobody waits for that.
func (w *copyWriter) unstage() {
	if w.conn.conn == nil {
		return
	}
	_ = w.conn.useOnce(w.ctx, func(c *Conn) error {
		if c.tx != nil {
			c.tx.giveUp(errNotSent)
		}
		return nil
	})
}

// stageBatch runs a request in a transaction that it leaves open. After an error
// there is none.
func (c *Conn) stageBatch(ctx context.Context, req []byte) error {
	tx, err := c.begin(ctx, false)
	if err != nil {
		return err
	}
	tx.report = nil // CopyFrom tells of all batches itself
	if f := tx.server.Call(ctx, wire.MethodTxSQLExec, req, wire.Empty); f != nil {
		err := tx.failed(writesInTx, "", f)
		tx.leave()
		return err
	}
	tx.wrote = true
	return nil
}

func (c *Conn) commitStaged(ctx context.Context) (wire.CommittedTx, error) {
	committed, err := c.tx.commit(ctx)
	if committed.TxID != 0 || isVerdict(err) {
		err = unprovenBatch(err)
	}
	return committed, err
}

// unprovenBatch says of a batch, with an error of its proof, that nobody knows
// what became of it.
func unprovenBatch(err error) error {
	if err == nil {
		return nil
	}
	return &Error{Message: "the commit of a batch could not be verified: the server reports it as committed", SQLState: "08007",
		kind: ErrOutcomeUnknown, cause: err}
}
