// Package receipt checks receipts of rows of an immudb database: files that prove,
// without a server, that a row was written. It imports neither gRPC nor database/sql.
// [github.com/immudb-go/immudb.Verifier.Receipt] makes them.
//
//	r, err := receipt.Parse(file)
//	row, err := r.Verify(receipt.Policy{Database: "ledger", PublicKey: key})
//
// A receipt is a proof of a transparency log, as https://c2sp.org/tlog-proof
// describes it, whose log are the transactions of the database. docs/receipts.md
// describes the format.
//
// # What a receipt says
//
// That transaction [Row.TxID] wrote (or deleted, see [Row.Deleted]) the row of
// [Row.Table] with exactly these values, and that the history of the anchor, the
// transaction that the [Policy] trusts, holds that transaction.
//
// # What it does not say
//
//   - That the revision is the latest: the row may have been changed since.
//   - That another row does not exist, or that these are all rows.
//   - When it was written: [Row.Time] is the server's clock.
//   - That the server shows everybody the same history. A server that signs two
//     histories can give receipts of both; clients that compare their states find it.
//   - That table and columns had no other names: the receipt holds the transactions
//     that defined the table, but whoever made it may have left out one that renamed
//     a column. Verifier.Receipt leaves out none.
package receipt

import (
	"crypto/ecdsa"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/immudb-go/immudb/internal/evidence"
	"github.com/immudb-go/immudb/internal/proof"
)

var (
	// ErrInvalid: the receipt is damaged or forged, or belongs to another database.
	ErrInvalid = evidence.ErrInvalid
	// ErrAnchor: the receipt is anchored at another transaction than [Policy.State].
	// Verifier.ExtendReceipt moves it to a newer one.
	ErrAnchor = evidence.ErrAnchor
	// ErrPolicy: the [Policy] does not name the database or trusts nothing.
	ErrPolicy = evidence.ErrPolicy
)

// Receipt is a receipt that was read. What it says is only claimed until
// [Receipt.Verify] has checked it.
type Receipt struct {
	content *evidence.Receipt
	text    []byte
}

// Parse reads a receipt. A receipt has one form only: each other one is
// [ErrInvalid], even if it differs in a space.
func Parse(text []byte) (*Receipt, error) {
	r, err := evidence.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("immudb: %w", err)
	}
	return &Receipt{content: r, text: r.Marshal()}, nil
}

// Bytes returns the receipt as [Parse] reads it, not to be changed.
func (r *Receipt) Bytes() []byte { return r.text }

// Database returns the name of the database, as claimed.
func (r *Receipt) Database() string { return r.content.Database }

// Anchor returns the transaction that the receipt is to be checked against, as
// claimed. Compare it with a state that you trust; do not take it for one.
func (r *Receipt) Anchor() State {
	s, err := r.content.AnchorState()
	if err != nil {
		return State{}
	}
	return State{s.TxID, s.Alh}
}

// Signed reports whether the receipt holds a signature of the server, right or wrong.
func (r *Receipt) Signed() bool { return len(r.content.Signature) > 0 }

// State is a transaction and the hash of the history up to it.
type State struct {
	TxID uint64
	Hash [32]byte
}

// ParseState reads tx:hash, as State.Pin of package immudb writes it.
func ParseState(pin string) (State, error) {
	s, err := proof.ParseState(pin)
	return State{s.TxID, s.Alh}, err
}

// String writes the state as [ParseState] reads it.
func (s State) String() string { return proof.State{TxID: s.TxID, Alh: s.Hash}.Pin() }

// Policy is what is trusted. Database is needed, and one of PublicKey and State; with
// both, both must hold.
type Policy struct {
	// Database is the name of the database. Only the server's signature covers it: with
	// a State alone, it is the caller who says that the state is one of this database.
	Database string
	// PublicKey is the key that the server signs its states with.
	PublicKey *ecdsa.PublicKey
	// State must be the anchor of the receipt.
	State State
}

// Row is a proven row.
type Row struct {
	Database string
	Table    string   // its name when the row was written
	Columns  []string // likewise
	Values   []any    // one for each column: int64, float64, bool, string, []byte, time.Time or nil

	TxID    uint64
	Time    time.Time // of the transaction, by the server's clock, UTC, in whole seconds
	Deleted bool      // the transaction deleted the row; Values are those it had

	Anchor State
	// Definition is the digest of the table's definition, as State.Tables of package
	// immudb keeps it. Compare the two where a name that is left out would matter.
	Definition [32]byte
}

// Verify checks the receipt against what is trusted, and returns the row that it
// proves. It needs no connection. Errors match [ErrInvalid], [ErrAnchor] or
// [ErrPolicy].
func (r *Receipt) Verify(p Policy) (*Row, error) {
	row, err := r.content.Verify(evidence.Policy{
		Database: p.Database, Key: p.PublicKey, State: proof.State{TxID: p.State.TxID, Alh: p.State.Hash},
	})
	if err != nil {
		return nil, fmt.Errorf("immudb: %w", err)
	}
	out := &Row{Database: p.Database, Table: row.Table.Name, TxID: row.TxID, Time: row.Time, Deleted: row.Deleted,
		Anchor: r.Anchor(), Definition: row.Table.Fingerprint()}
	for i, c := range row.Table.Columns {
		out.Columns = append(out.Columns, c.Name)
		out.Values = append(out.Values, plain(row.Values[i]))
	}
	return out, nil
}

// plain gives a value the type that a query would give it.
func plain(v any) any {
	switch v := v.(type) {
	case [16]byte:
		h := hex.EncodeToString(v[:])
		return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
	case proof.RawJSON:
		return []byte(v)
	}
	return v
}
