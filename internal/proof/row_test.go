package proof

import (
	"crypto/sha256"
	"errors"
	"reflect"
	"testing"
)

// rowHistory is a model database with the table all: transaction 2 writes a row, 3 deletes it, 4 writes
// another one, and more follow.
func rowHistory(t testing.TB) *history {
	h := newHistory(t, 1, noLag)
	key := func(v string, i int64) []byte {
		k, err := all.RowKey(v, i)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	first := entry(key("ab", 1), string(stored(1, "\x00\x00\x00\x00\x00\x00\x00\x01", 2, "ab", 3, "\x01")))
	deleted := first
	deleted.Metadata.Deleted = true
	second := entry(key("", 2), string(stored(1, "\x00\x00\x00\x00\x00\x00\x00\x02", 2, "")))
	h.add(t, 1, []Entry{first})
	h.add(t, 2, []Entry{deleted})
	h.add(t, 3, []Entry{entry([]byte("x"), ""), second, entry([]byte("y"), "")})
	for id := 4; id < 9; id++ {
		h.add(t, id, []Entry{entry([]byte("x"), "")})
	}
	return h
}

func (h *history) row(t testing.TB, trusted, tx, leaf int) *RowProof {
	es := h.entries[tx-1]
	leaves := make([]Digest, len(es))
	for i := range es {
		d, err := es[i].Digest(1)
		if err != nil {
			t.Fatal(err)
		}
		leaves[i] = LeafHash(d)
	}
	return &RowProof{
		TxID: uint64(tx), Value: es[leaf].Value, Metadata: es[leaf].Metadata,
		Inclusion: &EntryProof{Leaf: int32(leaf), Width: int32(len(es)), Terms: refPath(leaf, leaves)},
		Dual:      h.dual(t, min(trusted, tx), max(trusted, tx)),
	}
}

func TestARowProofGivesTheRowAndTheNewestState(t *testing.T) {
	h := rowHistory(t)
	for _, c := range []struct{ trusted, newest int }{{1, 4}, {4, 4}, {9, 9}} {
		row, next, err := h.row(t, c.trusted, 4, 1).Verify(h.state(c.trusted), all, "", int64(2))
		if err != nil || next != h.state(c.newest) {
			t.Errorf("from %d: %v, %v", c.trusted, next, err)
			continue
		}
		want := &Row{Table: all, Key: h.entries[3][1].Key, TxID: 4, Time: h.headers[3].When(), Values: []any{int64(2), "", nil, nil, nil, nil, nil, nil, nil}}
		if !reflect.DeepEqual(row, want) {
			t.Errorf("from %d: %+v, want %+v", c.trusted, row, want)
		}
	}
	row, _, err := h.row(t, 9, 3, 0).Verify(h.state(9), all, "ab", int64(1))
	if err != nil || !row.Deleted || row.Values[1] != "ab" {
		t.Errorf("the deletion: %+v, %v", row, err)
	}
}

func TestAForgedRowProofIsRejectedAndGivesNothing(t *testing.T) {
	h := rowHistory(t)
	for reason, forge := range map[string]func(*RowProof){
		"altered value":       func(p *RowProof) { p.Value = stored(1, "\x00\x00\x00\x00\x00\x00\x00\x02", 2, "", 3, "\x01") },
		"no value":            func(p *RowProof) { p.Value = nil },
		"a deletion hidden":   func(p *RowProof) { *p = *h.row(t, 9, 3, 0); p.Metadata.Deleted = false },
		"a deletion made up":  func(p *RowProof) { p.Metadata.Deleted = true },
		"another transaction": func(p *RowProof) { p.TxID = 5 },
		"another entry":       func(p *RowProof) { *p = *h.row(t, 9, 4, 0) },
		"no inclusion":        func(p *RowProof) { p.Inclusion = nil },
		"no dual proof":       func(p *RowProof) { p.Dual = nil },
		"no headers":          func(p *RowProof) { p.Dual = &DualProof{} },
	} {
		p := h.row(t, 9, 4, 1)
		forge(p)
		if row, next, err := p.Verify(h.state(9), all, "", int64(2)); !errors.Is(err, ErrInvalid) || row != nil || next != (State{}) {
			t.Errorf("%s: %v, %v, %v", reason, row, next, err)
		}
	}
	if _, err := h.row(t, 9, 4, 1).VerifyIn(h.headers[4], all, "", int64(2)); !errors.Is(err, ErrInvalid) {
		t.Errorf("header of another transaction: %v", err)
	}
	var none *RowProof
	if _, _, err := none.Verify(h.state(9), all, "", int64(2)); !errors.Is(err, ErrInvalid) {
		t.Errorf("no answer: %v", err)
	}
	p := h.row(t, 9, 4, 1)
	if _, _, err := p.Verify(State{}, all, "", int64(2)); !errors.Is(err, ErrNoState) {
		t.Errorf("nothing trusted: %v", err)
	}
	if _, _, err := p.Verify(h.state(9), nil, "", int64(2)); !errors.Is(err, ErrSchema) {
		t.Errorf("no table: %v", err)
	}
	if _, _, err := p.Verify(h.state(9), all, int64(2)); !errors.Is(err, ErrArgument) {
		t.Errorf("half a key: %v", err)
	}
}

// A server that may write anything can still not have one row read as another.
func TestARowUnderAForeignKeyIsRejected(t *testing.T) {
	h := rowHistory(t)
	key, err := all.RowKey("ab", int64(1))
	if err != nil {
		t.Fatal(err)
	}
	foreign := entry(key, string(stored(1, "\x00\x00\x00\x00\x00\x00\x00\x07", 2, "ab")))
	hidden := entry(key, string(stored(1, "\x00\x00\x00\x00\x00\x00\x00\x01", 2, "ab")))
	hidden.Metadata.NonIndexable = true // no query would ever return it
	h.add(t, 9, []Entry{foreign})
	h.add(t, 10, []Entry{hidden})
	for _, tx := range []int{10, 11} {
		if row, _, err := h.row(t, 1, tx, 0).Verify(h.state(1), all, "ab", int64(1)); !errors.Is(err, ErrInvalid) {
			t.Errorf("tx %d: %v, %v", tx, row, err)
		}
	}
}

func TestAVerifiedTransactionListsItsRows(t *testing.T) {
	h := rowHistory(t)
	tx, next, err := VerifyTx(h.state(1), h.dual(t, 1, 4), 4, h.entries[3])
	if err != nil || next != h.state(4) || tx.Header().ID != 4 || len(tx.Entries()) != 3 {
		t.Fatalf("%v, %v", next, err)
	}
	rows, err := tx.Rows(all)
	if err != nil || len(rows) != 1 || rows[0].Values[0] != int64(2) || rows[0].TxID != 4 {
		t.Errorf("%v, %v", rows, err)
	}
	withoutValue := append([]Entry(nil), h.entries[3]...)
	withoutValue[1].Value = nil
	if tx, _, err = VerifyTx(h.state(1), h.dual(t, 1, 4), 4, withoutValue); err != nil {
		t.Fatalf("values are not part of a transaction's proof: %v", err)
	}
	if _, err := tx.Rows(all); !errors.Is(err, ErrInvalid) {
		t.Errorf("value left out: %v", err)
	}
	withoutValue[1].Value = stored(1, "\x00\x00\x00\x00\x00\x00\x00\x02", 2, "", 3, "\x01")
	if _, err := tx.Rows(all); !errors.Is(err, ErrInvalid) {
		t.Errorf("another value: %v", err)
	}
	if _, _, err := VerifyTx(h.state(1), h.dual(t, 1, 4), 4, h.entries[3][1:]); !errors.Is(err, ErrInvalid) {
		t.Errorf("entry left out: %v", err)
	}
	if _, err := tx.Rows(&Table{}); !errors.Is(err, ErrSchema) {
		t.Errorf("no table: %v", err)
	}
	if Digest(sha256.Sum256(nil)) != NewChain().State().Alh {
		t.Error("history does not start at the hash of nothing")
	}
}

// What a client computes per row, next to a round trip of some hundred microseconds.
func BenchmarkRowProof(b *testing.B) {
	h := rowHistory(b)
	p, trusted := h.row(b, 9, 4, 1), h.state(9)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := p.Verify(trusted, all, "", int64(2)); err != nil {
			b.Fatal(err)
		}
	}
}
