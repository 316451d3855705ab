package proof

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// ParseState reads a pinned state, tx:hash.
func ParseState(pin string) (State, error) {
	id, digits, ok := strings.Cut(pin, ":")
	tx, err := strconv.ParseUint(id, 10, 64)
	var hash Digest
	if !ok || err != nil || tx == 0 || hash.UnmarshalText([]byte(digits)) != nil {
		return State{}, errors.New("immudb: a pinned state is tx:hash, a transaction id above 0 and 64 hex digits")
	}
	return State{TxID: tx, Alh: hash}, nil
}

// Pin writes what [ParseState] reads.
func (s State) Pin() string { return fmt.Sprintf("%d:%s", s.TxID, s.Alh) }

// Holds checks that the linking tree of the trusted header h holds transaction old, or that old is h itself.
// It shows no more than that: the chain between the two is not looked at, see [DualProof.Verify].
func (h *Header) Holds(old *Header, path []Digest) error {
	alh, err := old.Alh()
	if err != nil {
		return err
	}
	if old.ID == h.ID {
		if len(path) != 0 {
			return failed(old.ID, "a transaction needs no path to itself")
		}
		return h.matches(State{old.ID, alh})
	}
	if !VerifyInclusion(path, old.ID-1, h.BlTxID, LeafHash(alh), h.BlRoot) {
		return failed(old.ID, "the linking tree of tx %d holds the transaction", h.ID)
	}
	return nil
}

// PathFromNewest returns the inclusion path of a trusted transaction in the tree that ends with it, and the root of
// that tree. p is a dual proof with the transaction as its target, see [ChainFrom].
func PathFromNewest(trusted State, p *DualProof) (path []Digest, root Digest, err error) {
	c, err := ChainFrom(trusted, p)
	if err != nil {
		return nil, Digest{}, err
	}
	path = slices.Clone(c.tree.peaks)
	slices.Reverse(path)
	c.tree.append(LeafHash(trusted.Alh))
	return path, c.tree.root(), nil
}

// EndsTree checks that a tree with the given root ends with the trusted transaction h, and that the rest of it is the
// linking tree of h. The path is that of [PathFromNewest].
func (h *Header) EndsTree(path []Digest, root Digest) error {
	alh, err := h.Alh()
	if err != nil {
		return err
	}
	if h.BlTxID != h.ID-1 {
		return ErrUnlinked
	}
	if !VerifyInclusion(path, h.ID-1, h.ID, LeafHash(alh), root) {
		return failed(h.ID, "the tree ends with the transaction")
	}
	if h.BlTxID > 0 && rightFold(path[0], path[1:]) != h.BlRoot {
		return failed(h.ID, "the tree continues the linking tree of the transaction")
	}
	return nil
}

// TxOf checks that entries are all entries of the transaction with the trusted header h.
func TxOf(h *Header, entries []Entry) (*Tx, error) {
	if err := h.VerifyEntries(entries); err != nil {
		return nil, err
	}
	return &Tx{header: h, entries: entries}, nil
}

// ProveEntry makes the proof that the transaction holds the entry at index i.
func (tx *Tx) ProveEntry(i int) (*EntryProof, error) {
	leaves := make([]Digest, len(tx.entries))
	for k := range tx.entries {
		d, err := tx.entries[k].Digest(tx.header.Version)
		if err != nil {
			return nil, err
		}
		leaves[k] = LeafHash(d)
	}
	return &EntryProof{Leaf: int32(i), Width: int32(len(leaves)), Terms: inclusionPath(leaves, i)}, nil
}

// inclusionPath is PATH of RFC 9162 section 2.1.3.1.
func inclusionPath(leaves []Digest, i int) []Digest {
	if len(leaves) == 1 {
		return nil
	}
	half := 1
	for 2*half < len(leaves) {
		half *= 2
	}
	if i < half {
		return append(inclusionPath(leaves[:half], i), treeRoot(leaves[half:]))
	}
	return append(inclusionPath(leaves[half:], i-half), treeRoot(leaves[:half]))
}

func treeRoot(leaves []Digest) Digest {
	var f frontier
	for _, l := range leaves {
		f.append(l)
	}
	return f.root()
}

// ProvenRow checks that the transaction of the trusted header h holds e, and reads the row that e is.
func (p *EntryProof) ProvenRow(h *Header, e *Entry, table *Table) (*Row, error) {
	if err := p.Verify(h, e); err != nil {
		return nil, err
	}
	if err := e.CheckValue(); err != nil {
		return nil, err
	}
	return table.readRow(h, e)
}

// RowTable returns the id of the table whose row has the key.
func RowTable(key []byte) (id uint32, ok bool) {
	n := len(rowKeyPrefix(0))
	if len(key) < n {
		return 0, false
	}
	id = binary.BigEndian.Uint32(key[n-8:])
	return id, bytes.HasPrefix(key, rowKeyPrefix(id))
}

// DefinedBy returns the transactions that made the definition which the table with an id had once transaction tx was
// committed, ascending.
func (c *Catalog) DefinedBy(id uint32, tx uint64) []uint64 {
	t := c.tables[id]
	if t == nil {
		return nil
	}
	var ids []uint64
	for _, v := range t.versions {
		if v.tx <= tx {
			ids = append(ids, v.tx)
		}
	}
	return ids
}

// WithoutValues returns the entries without their values, except those of the catalog, which [Catalog.Apply] needs.
func (tx *Tx) WithoutValues() []Entry {
	entries := slices.Clone(tx.entries)
	for i := range entries {
		e := &entries[i]
		if !HasDefinition(e) {
			e.Value = nil
		}
	}
	return entries
}

// HasDefinition reports whether the value of an entry is part of a definition.
func HasDefinition(e *Entry) bool { return IsCatalogKey(e.Key) && !e.Metadata.Deleted }

// NewEntry returns an entry with the hash of its value.
func NewEntry(key []byte, m EntryMetadata, value []byte) Entry {
	return Entry{Key: key, Metadata: m, Value: value, ValueHash: sha256.Sum256(value)}
}
