package proof

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/bits"
)

// Digest is a SHA-256 digest.
type Digest [sha256.Size]byte

func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// MarshalText returns 64 hex digits.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads 64 hex digits.
func (d *Digest) UnmarshalText(text []byte) error {
	if len(text) != hex.EncodedLen(len(d)) {
		return fmt.Errorf("%w: a hash has %d hex digits, not %d", ErrArgument, hex.EncodedLen(len(d)), len(text))
	}
	if _, err := hex.Decode(d[:], text); err != nil {
		return fmt.Errorf("%w: a hash holds a character that is not a hex digit", ErrArgument)
	}
	return nil
}

// DigestFrom converts bytes from the server to a digest. They must be 32 bytes: with padding or
// cutting, two different messages would give the same digest.
func DigestFrom(b []byte) (Digest, error) {
	if len(b) != sha256.Size {
		return Digest{}, differs(0, "a digest has 32 bytes", sha256.Size, len(b))
	}
	return Digest(b), nil
}

// DigestsFrom is [DigestFrom] for a list.
func DigestsFrom(list [][]byte) ([]Digest, error) {
	ds := make([]Digest, len(list))
	for i, b := range list {
		d, err := DigestFrom(b)
		if err != nil {
			return nil, err
		}
		ds[i] = d
	}
	return ds, nil
}

// Prefixes of RFC 9162 section 2.1.1: a leaf can never be read as an inner node.
const (
	leafPrefix = 0x00
	nodePrefix = 0x01
)

// LeafHash is the hash of a leaf: an entry digest in the entry tree, an Alh in the linking tree.
func LeafHash(d Digest) Digest {
	var b [1 + sha256.Size]byte
	b[0] = leafPrefix
	copy(b[1:], d[:])
	return sha256.Sum256(b[:])
}

func nodeHash(left, right Digest) Digest {
	var b [1 + 2*sha256.Size]byte
	b[0] = nodePrefix
	copy(b[1:], left[:])
	copy(b[1+sha256.Size:], right[:])
	return sha256.Sum256(b[:])
}

// VerifyInclusion checks an inclusion proof (RFC 9162 section 2.1.3.2): that the tree of size leaves
// with the given root holds leaf, a [LeafHash], at index (from 0). The path must have exactly the
// length that follows from index and size. Without that check, two different leaves could be proven
// for one root and index, one at the right depth and one at another.
func VerifyInclusion(path []Digest, index, size uint64, leaf, root Digest) bool {
	if index >= size {
		return false
	}
	node, last := index, size-1
	hash := leaf
	for _, p := range path {
		if last == 0 {
			return false // longer than the tree is high
		}
		if node&1 == 1 || node == last {
			hash = nodeHash(p, hash)
			// On the right edge the levels without a sibling have no term.
			if node&1 == 0 {
				skip := bits.TrailingZeros64(node)
				node >>= skip
				last >>= skip
			}
		} else {
			hash = nodeHash(hash, p)
		}
		node >>= 1
		last >>= 1
	}
	return last == 0 && hash == root
}

// VerifyConsistency checks a consistency proof (RFC 9162 section 2.1.4.2): that the tree of newSize
// leaves begins with the tree of oldSize leaves. Unlike the RFC's, the path of immudb starts
// with the old root also when oldSize is a power of two, and equal sizes may come with a path.
// The length of the path must be exactly what the sizes demand.
func VerifyConsistency(path []Digest, oldSize, newSize uint64, oldRoot, newRoot Digest) bool {
	if oldSize == 0 || oldSize > newSize {
		return false
	}
	if oldSize == newSize {
		return oldRoot == newRoot && (len(path) == 0 || rightFold(path[0], path[1:]) == oldRoot)
	}
	if len(path) == 0 {
		return false
	}
	node, last := oldSize-1, newSize-1
	skip := bits.TrailingZeros64(^node)
	node >>= skip
	last >>= skip

	oldHash, newHash := path[0], path[0]
	for _, p := range path[1:] {
		if last == 0 {
			return false
		}
		if node&1 == 1 || node == last {
			oldHash = nodeHash(p, oldHash)
			newHash = nodeHash(p, newHash)
			if node&1 == 0 {
				skip := bits.TrailingZeros64(node)
				node >>= skip
				last >>= skip
			}
		} else {
			newHash = nodeHash(newHash, p)
		}
		node >>= 1
		last >>= 1
	}
	return last == 0 && oldHash == oldRoot && newHash == newRoot
}

// rightFold hashes d with terms that all stand to its left, lowest first.
func rightFold(d Digest, terms []Digest) Digest {
	for _, t := range terms {
		d = nodeHash(t, d)
	}
	return d
}

// frontier is a history tree reduced to the roots of its full subtrees, largest first: all that is
// needed to append leaves and to know the root. Its memory is one digest per bit of size.
type frontier struct {
	size  uint64
	peaks []Digest
}

func (f *frontier) append(leaf Digest) {
	for n := f.size; n&1 == 1; n >>= 1 {
		leaf = nodeHash(f.peaks[len(f.peaks)-1], leaf)
		f.peaks = f.peaks[:len(f.peaks)-1]
	}
	f.peaks = append(f.peaks, leaf)
	f.size++
}

// root of the empty tree is the hash of nothing (RFC 9162 section 2.1.1).
func (f *frontier) root() Digest {
	if f.size == 0 {
		return sha256.Sum256(nil)
	}
	d := f.peaks[len(f.peaks)-1]
	for i := len(f.peaks) - 2; i >= 0; i-- {
		d = nodeHash(f.peaks[i], d)
	}
	return d
}

// frontierFrom rebuilds the frontier of a tree out of its last leaf and that leaf's inclusion
// path, whose terms are the subtrees to the left of it, lowest first. The path must have been verified.
func frontierFrom(size uint64, leaf Digest, path []Digest) frontier {
	inPeak := bits.TrailingZeros64(size)
	last := rightFold(leaf, path[:inPeak])
	rest := path[inPeak:]
	peaks := make([]Digest, 0, len(rest)+2)
	for i := len(rest) - 1; i >= 0; i-- {
		peaks = append(peaks, rest[i])
	}
	return frontier{size: size, peaks: append(peaks, last)}
}
