package evidence

import (
	"encoding/binary"

	"github.com/immudb-go/immudb/internal/proof"
)

// The extra data of a receipt, numbers big-endian, lists with their count:2 and
// bytes with their length:4 in front:
//
//	extra       format:1 header leaf:4 list of digest (path of the entry)
//	            metadata key value list of definition
//	definition  header list of digest (path in the tree) list of entry
//	entry       metadata key (value of a catalog entry that is not a deletion, else valueHash:32)
//	header      id:8 prevAlh:32 time:8 version:1 entries:4 eh:32 blTxID:8 blRoot:32 truncated:8 extra
//	metadata    flags:1 (1 deleted, 2 not indexed, 4 expires) expiresAt:8 with flag 4
const format = 1

func appendBytes(b, data []byte) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(data))), data...)
}

func appendDigests(b []byte, list []proof.Digest) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(list)))
	for _, d := range list {
		b = append(b, d[:]...)
	}
	return b
}

func appendHeader(b []byte, h *proof.Header) []byte {
	be := binary.BigEndian
	b = be.AppendUint64(b, h.ID)
	b = append(b, h.PrevAlh[:]...)
	b = be.AppendUint64(b, uint64(h.Time))
	b = append(b, byte(h.Version))
	b = be.AppendUint32(b, uint32(h.NEntries))
	b = append(b, h.EH[:]...)
	b = be.AppendUint64(b, h.BlTxID)
	b = append(b, h.BlRoot[:]...)
	b = be.AppendUint64(b, h.Metadata.TruncatedTxID)
	return appendBytes(b, h.Metadata.Extra)
}

const (
	flagDeleted = 1 << iota
	flagNotIndexed
	flagExpires
)

func appendMetadata(b []byte, m proof.EntryMetadata) []byte {
	var flags byte
	if m.Deleted {
		flags |= flagDeleted
	}
	if m.NonIndexable {
		flags |= flagNotIndexed
	}
	if m.Expires {
		flags |= flagExpires
	}
	b = append(b, flags)
	if m.Expires {
		b = binary.BigEndian.AppendUint64(b, uint64(m.ExpiresAt))
	}
	return b
}

func (r *Receipt) appendExtra(b []byte) []byte {
	b = append(b, format)
	b = appendHeader(b, r.Header)
	b = binary.BigEndian.AppendUint32(b, uint32(r.Leaf))
	b = appendDigests(b, r.EntryPath)
	b = appendMetadata(b, r.Entry.Metadata)
	b = appendBytes(b, r.Entry.Key)
	b = appendBytes(b, r.Entry.Value)
	b = binary.BigEndian.AppendUint16(b, uint16(len(r.Definitions)))
	for _, d := range r.Definitions {
		b = appendHeader(b, d.Header)
		b = appendDigests(b, d.Path)
		b = binary.BigEndian.AppendUint16(b, uint16(len(d.Entries)))
		for i := range d.Entries {
			e := &d.Entries[i]
			b = appendMetadata(b, e.Metadata)
			b = appendBytes(b, e.Key)
			if proof.HasDefinition(e) {
				b = appendBytes(b, e.Value)
			} else {
				b = append(b, e.ValueHash[:]...)
			}
		}
	}
	return b
}

// reader cuts fields off. After the first one that is not there it returns zeros.
type reader struct {
	rest  []byte
	short bool
}

func (r *reader) cut(n int) []byte {
	if n < 0 || n > len(r.rest) {
		r.short, r.rest = true, nil
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) number(size int) (n uint64) {
	for _, c := range r.cut(size) {
		n = n<<8 | uint64(c)
	}
	return n
}

func (r *reader) bytes() []byte { return r.cut(int(r.number(4))) }

func (r *reader) digest() (d proof.Digest) {
	copy(d[:], r.cut(len(d)))
	return d
}

func (r *reader) digests() (list []proof.Digest) {
	for n := r.number(2); n > 0 && !r.short; n-- {
		list = append(list, r.digest())
	}
	return list
}

func (r *reader) header() *proof.Header {
	return &proof.Header{
		ID:       r.number(8),
		PrevAlh:  r.digest(),
		Time:     int64(r.number(8)),
		Version:  int32(r.number(1)),
		NEntries: int32(r.number(4)),
		EH:       r.digest(),
		BlTxID:   r.number(8),
		BlRoot:   r.digest(),
		Metadata: proof.TxMetadata{TruncatedTxID: r.number(8), Extra: r.bytes()},
	}
}

func (r *reader) metadata() (m proof.EntryMetadata) {
	flags := r.number(1)
	m.Deleted, m.NonIndexable, m.Expires = flags&flagDeleted != 0, flags&flagNotIndexed != 0, flags&flagExpires != 0
	if m.Expires {
		m.ExpiresAt = int64(r.number(8))
	}
	return m
}

// readExtra reads what appendExtra writes. The caller checks that writing it again
// gives the same bytes.
func (r *Receipt) readExtra(extra []byte) bool {
	in := &reader{rest: extra}
	if in.number(1) != format {
		return false
	}
	r.Header = in.header()
	r.Leaf = int32(in.number(4))
	r.EntryPath = in.digests()
	m := in.metadata()
	key := in.bytes()
	r.Entry = proof.NewEntry(key, m, in.bytes())
	for n := in.number(2); n > 0 && !in.short; n-- {
		d := Definition{Header: in.header(), Path: in.digests()}
		for n := in.number(2); n > 0 && !in.short; n-- {
			e := proof.Entry{Metadata: in.metadata(), Key: in.bytes()}
			if proof.HasDefinition(&e) {
				e = proof.NewEntry(e.Key, e.Metadata, in.bytes())
			} else {
				e.ValueHash = in.digest()
			}
			d.Entries = append(d.Entries, e)
		}
		r.Definitions = append(r.Definitions, d)
	}
	return !in.short && len(in.rest) == 0
}
