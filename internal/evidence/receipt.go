// Package evidence is the content of receipts: proofs of a row that are checked
// without a server. It consists of pure functions, does no I/O and imports only the
// standard library and package proof.
package evidence

import (
	"crypto/ecdsa"
	"errors"
	"fmt"

	"github.com/immudb-go/immudb/internal/proof"
)

var (
	// ErrInvalid: the receipt does not prove what it says.
	ErrInvalid = errors.New("the receipt is not valid")
	// ErrAnchor: the receipt hangs on another transaction than the trusted one.
	ErrAnchor = errors.New("the receipt has another anchor")
	// ErrPolicy: the caller has not said what it trusts.
	ErrPolicy = errors.New("the policy is incomplete")
)

// Receipt holds everything that proves a revision of a row, except what the reader
// trusts: the hash of the anchor, or the key that the server signs it with.
type Receipt struct {
	Database string

	Anchor    *proof.Header // the transaction that the reader trusts
	Signature []byte        // the server's, of the anchor; empty if it does not sign

	// The checkpoint: the linking tree of the anchor or, if the anchor itself wrote
	// the row, that tree with the anchor as its last leaf.
	Size uint64
	Root proof.Digest

	Header    *proof.Header  // of the transaction that wrote the row
	Path      []proof.Digest // of it, in the tree of the checkpoint
	Entry     proof.Entry    // the row
	Leaf      int32          // its position in the transaction
	EntryPath []proof.Digest

	Definitions []Definition // the transactions that defined the table, ascending
}

// Definition is a transaction that changed the definition of the row's table.
type Definition struct {
	Header  *proof.Header
	Path    []proof.Digest // in the linking tree of the anchor; none if it is the anchor
	Entries []proof.Entry  // all of them, with the values of those that define tables
}

// Policy is what the reader of a receipt trusts.
type Policy struct {
	Database string
	Key      *ecdsa.PublicKey // nil: signatures are not looked at
	State    proof.State      // TxID 0: none
}

// Verify checks the receipt and returns its row.
func (r *Receipt) Verify(p Policy) (*proof.Row, error) {
	if err := r.verifyAnchor(p); err != nil {
		return nil, err
	}
	row, err := r.verifyRow()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return row, nil
}

// AnchorState is the id and the hash of the anchor.
func (r *Receipt) AnchorState() (proof.State, error) {
	alh, err := r.Anchor.Alh()
	return proof.State{TxID: r.Anchor.ID, Alh: alh}, err
}

func (r *Receipt) verifyAnchor(p Policy) error {
	switch {
	case p.Database == "":
		return fmt.Errorf("%w: it does not name the database", ErrPolicy)
	case p.Key == nil && p.State.TxID == 0:
		return fmt.Errorf("%w: it needs the public key of the server or a trusted state", ErrPolicy)
	case p.Database != r.Database:
		return fmt.Errorf("%w: it is one of database %q, not of %q", ErrInvalid, r.Database, p.Database)
	}
	anchor, err := r.AnchorState()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	switch {
	case p.State.TxID == 0:
	case p.State.TxID != anchor.TxID:
		return fmt.Errorf("%w: it is anchored at tx %d, but tx %d is trusted; extend it to an anchor that is trusted", ErrAnchor, anchor.TxID, p.State.TxID)
	case p.State != anchor:
		return fmt.Errorf("%w: its anchor is not the trusted tx %d", ErrInvalid, p.State.TxID)
	}
	if p.Key != nil {
		if err := anchor.VerifySignature(p.Key, r.Database, r.Signature); err != nil {
			return fmt.Errorf("%w: %w", ErrInvalid, err)
		}
	}
	return nil
}

// verifyRow checks everything below the anchor, which is trusted.
func (r *Receipt) verifyRow() (*proof.Row, error) {
	if err := r.verifyTx(); err != nil {
		return nil, err
	}
	table, err := r.table()
	if err != nil {
		return nil, err
	}
	p := &proof.EntryProof{Leaf: r.Leaf, Width: r.Header.NEntries, Terms: r.EntryPath}
	return p.ProvenRow(r.Header, &r.Entry, table)
}

// verifyTx checks that the checkpoint is one of the anchor, and that it holds the
// transaction of the row.
func (r *Receipt) verifyTx() error {
	if r.Header.ID != r.Anchor.ID {
		if r.Size != r.Anchor.BlTxID || r.Root != r.Anchor.BlRoot {
			return errors.New("the checkpoint is not the linking tree of its anchor")
		}
		return r.Anchor.Holds(r.Header, r.Path)
	}
	if r.Size != r.Anchor.ID {
		return errors.New("the checkpoint does not end with its anchor")
	}
	if err := r.Anchor.Holds(r.Header, nil); err != nil {
		return err
	}
	return r.Anchor.EndsTree(r.Path, r.Root)
}

// table builds the definition of the row's table.
func (r *Receipt) table() (*proof.Table, error) {
	id, ok := proof.RowTable(r.Entry.Key)
	if !ok {
		return nil, errors.New("its entry is not the row of a table")
	}
	catalog := proof.NewCatalog()
	for _, d := range r.Definitions {
		if d.Header.ID > r.Header.ID {
			return nil, errors.New("a definition is younger than the row")
		}
		if err := r.Anchor.Holds(d.Header, d.Path); err != nil {
			return nil, err
		}
		tx, err := proof.TxOf(d.Header, d.Entries)
		if err != nil {
			return nil, err
		}
		if err := catalog.Apply(tx); err != nil {
			return nil, err
		}
	}
	now := catalog.At(id, r.Header.ID)
	if now == nil {
		return nil, errors.New("it holds no definition of the table")
	}
	t, err := catalog.Table(now.Name)
	if err == nil && t.ID != id {
		err = errors.New("the name of the table is that of another one")
	}
	return t, err
}
