package proof

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"time"
)

// maxExtra is the longest TxMetadata.Extra a server writes, in bytes.
const maxExtra = 256

// State is a trusted transaction: its id and the hash that commits to the whole history up to it. The
// zero State means that nothing is trusted yet.
type State struct {
	TxID uint64
	Alh  Digest
}

// Header is the header of a transaction, field by field as the server sends it.
type Header struct {
	ID       uint64
	PrevAlh  Digest
	Time     int64 // commit time in Unix seconds, the server's clock
	Version  int32 // 0 or 1
	NEntries int32
	EH       Digest // root of the entry tree
	BlTxID   uint64 // size of the binary linking tree, below ID
	BlRoot   Digest // its root; without meaning while BlTxID is 0
	Metadata TxMetadata
}

// TxMetadata is the optional part of a version 1 header. Zero values mean "absent", on the wire and
// in the hash alike.
type TxMetadata struct {
	TruncatedTxID uint64 // values of transactions before this one may have been discarded
	Extra         []byte // at most 256 bytes
}

// When returns the commit time the header commits to.
func (h *Header) When() time.Time { return time.Unix(h.Time, 0).UTC() }

// InnerHash is the part of the Alh that does not depend on the transactions before:
//
//	sha256(time:8 version:2 nentries:2                      EH:32 BlTxID:8 BlRoot:32)   version 0
//	sha256(time:8 version:2 mdLen:2 md:mdLen nentries:4     EH:32 BlTxID:8 BlRoot:32)   version 1
//	md: [0x00 truncatedTxID:8] [0x01 len:2 extra:len]
//
// Numbers are big-endian. InnerHash returns an error for a header whose fields do not fit this layout,
// or that a correct server cannot have written.
func (h *Header) InnerHash() (Digest, error) {
	if err := h.check(); err != nil {
		return Digest{}, err
	}
	be := binary.BigEndian
	b := make([]byte, 0, 512) // the longest one takes 357 bytes; stays on the stack
	b = be.AppendUint64(b, uint64(h.Time))
	b = be.AppendUint16(b, uint16(h.Version))
	if h.Version == 0 {
		b = be.AppendUint16(b, uint16(h.NEntries))
	} else {
		n := 0
		if h.Metadata.TruncatedTxID != 0 {
			n += 1 + 8
		}
		if len(h.Metadata.Extra) > 0 {
			n += 1 + 2 + len(h.Metadata.Extra)
		}
		b = be.AppendUint16(b, uint16(n))
		if h.Metadata.TruncatedTxID != 0 {
			b = append(b, 0)
			b = be.AppendUint64(b, h.Metadata.TruncatedTxID)
		}
		if len(h.Metadata.Extra) > 0 {
			b = append(b, 1)
			b = be.AppendUint16(b, uint16(len(h.Metadata.Extra)))
			b = append(b, h.Metadata.Extra...)
		}
		b = be.AppendUint32(b, uint32(h.NEntries))
	}
	b = append(b, h.EH[:]...)
	b = be.AppendUint64(b, h.BlTxID)
	b = append(b, h.BlRoot[:]...)
	return sha256.Sum256(b), nil
}

// Alh is the accumulated linear hash: sha256(ID:8 PrevAlh:32 InnerHash:32).
func (h *Header) Alh() (Digest, error) {
	inner, err := h.InnerHash()
	if err != nil {
		return Digest{}, err
	}
	return nextAlh(h.PrevAlh, h.ID, inner), nil
}

func nextAlh(prev Digest, id uint64, inner Digest) Digest {
	var b [8 + 2*sha256.Size]byte
	binary.BigEndian.PutUint64(b[:], id)
	copy(b[8:], prev[:])
	copy(b[8+sha256.Size:], inner[:])
	return sha256.Sum256(b[:])
}

func (h *Header) check() error {
	switch {
	case h.ID == 0:
		return failed(0, "a transaction has an id above 0")
	case h.BlTxID >= h.ID:
		return failed(h.ID, "the linking tree of a header (size %d) holds only transactions before it", h.BlTxID)
	case h.Version != 0 && h.Version != 1:
		return failed(h.ID, "header version %d is 0 or 1", h.Version)
	case h.NEntries < 0:
		return failed(h.ID, "number of entries %d is not negative", h.NEntries)
	case h.Version == 0 && h.NEntries > math.MaxUint16:
		return failed(h.ID, "number of entries %d fits a version 0 header", h.NEntries)
	case h.Version == 0 && (h.Metadata.TruncatedTxID != 0 || len(h.Metadata.Extra) != 0):
		return failed(h.ID, "a version 0 header has no metadata")
	case len(h.Metadata.Extra) > maxExtra:
		return failed(h.ID, "header metadata of %d bytes has at most %d", len(h.Metadata.Extra), maxExtra)
	}
	return nil
}
