package immudb

import (
	"context"
	"fmt"

	"github.com/immudb-go/immudb/internal/proof"
	"github.com/immudb-go/immudb/internal/sqltext"
	"github.com/immudb-go/immudb/internal/wire"
)

// With verify=commits, every commit goes through the two functions below. When
// it is off they cost a comparison and a count.
//
// A commit that comes right after the trusted state, as all do while nobody
// else writes to the database, is checked without asking the server: its header
// is the proof. Any other takes one round trip more, as do all where states have
// to be signed; a state_dir adds a write to the disk.
//
// Proven is that the commit is part of the history, not what it wrote: rows and
// keys that it was answered with are the server's word until they are read.
//
// What the commit was answered with is then trusted. So a server that answers
// with one transaction and keeps another is found out by what comes next, be it a
// commit, a read or an audit.

// readyToProve makes sure, before anything is written, that there is a state to
// prove the commit against.
func (c *Conn) readyToProve(ctx context.Context) error {
	if !c.connector.trust.Commits {
		return nil
	}
	_, err := c.prover().Establish(ctx)
	return fromTrust(err)
}

// mustWrite reports a statement that cannot succeed without writing.
func mustWrite(st sqltext.Statement) bool {
	return (st.Kind == sqltext.Insert || st.Kind == sqltext.Upsert) && st.NumRows > 0 && st.OnConflict != sqltext.ConflictNothing
}

// proveCommits proves that what the server says it has committed extends the
// trusted history. wrote says that there must be something: a server that writes
// nothing answers without a transaction, and so does one that hides it.
func (c *Conn) proveCommits(ctx context.Context, wrote bool, txs ...wire.CommittedTx) error {
	c.connector.trust.writes.Add(1)
	if !c.connector.trust.Commits {
		return nil
	}
	p := c.prover()
	for i := range txs {
		if txs[i].TxID == 0 {
			wrote = wrote || txs[i].UpdatedRows > 0
			continue
		}
		wrote = false
		header, err := wire.DecodeHeader(txs[i].Header)
		if err != nil {
			return fromTrust(p.NotAProof(err))
		}
		if err := p.Commit(ctx, header); err != nil {
			return c.unproven(txs[i].TxID, fromTrust(err))
		}
	}
	if wrote {
		return fromTrust(p.Tampering(&proof.Error{Check: "a commit that wrote something is answered with its transaction"}))
	}
	return nil
}

// unproven tells the caller of a commit why it is not proven. It must never
// pass for a commit that did not happen, or somebody would run it again.
func (c *Conn) unproven(tx uint64, err error) error {
	if isVerdict(err) {
		return err
	}
	err = withoutBadConn(err)
	return &Error{
		Message:  fmt.Sprintf("the server says that it has committed this as tx %d, which could not be verified", tx),
		SQLState: "08007",
		kind:     ErrOutcomeUnknown,
		cause:    err,
	}
}
