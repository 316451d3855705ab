package oracle

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/codenotary/immudb/embedded/store"

	"github.com/immudb-go/immudb/internal/proof"
)

// A small store of each header version, with all the metadata it can have.

const storeTxs = 72 // past 64, so that the linking tree has seven levels

func openStore(t testing.TB, version int) (*store.ImmuStore, []*store.Tx) {
	t.Helper()
	opts := store.DefaultOptions().WithSynced(false).WithWriteTxHeaderVersion(version).WithLogger(quiet{})
	st, err := store.Open(t.TempDir(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	r := rand.New(rand.NewPCG(uint64(version), 3))
	var txs []*store.Tx
	for id := 1; id <= storeTxs; id++ {
		otx, err := st.NewWriteOnlyTx(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if version > 0 && id%3 == 0 {
			md := store.NewTxMetadata().WithTruncatedTxID(uint64(id * (id % 2)))
			if err := md.WithExtra(randomBytes(r, r.IntN(257))); err != nil {
				t.Fatal(err)
			}
			if id%2 == 0 {
				md = store.NewTxMetadata()
				if err := md.WithExtra(randomBytes(r, 1+r.IntN(256))); err != nil {
					t.Fatal(err)
				}
			}
			otx.WithMetadata(md)
		}
		n := 1 + r.IntN(9)
		if id == 50 {
			n = 1000
		}
		for i := range n {
			md := store.NewKVMetadata()
			if version > 0 {
				if r.IntN(3) == 0 {
					_ = md.ExpiresAt(time.Unix(4_000_000_000+r.Int64N(1000), 0))
				}
				_ = md.AsNonIndexable(r.IntN(3) == 0)
				_ = md.AsDeleted(r.IntN(3) == 0)
			}
			key := append(fmt.Appendf(nil, "%d-%d-", id, i), randomBytes(r, r.IntN(40))...)
			if err := otx.Set(key, md, randomBytes(r, r.IntN(100))); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := otx.Commit(context.Background()); err != nil {
			t.Fatal(err)
		}
		tx := store.NewTx(1024, 1024)
		if err := st.ReadTx(uint64(id), false, tx); err != nil {
			t.Fatal(err)
		}
		txs = append(txs, tx)
	}
	return st, txs
}

func randomBytes(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

type quiet struct{}

func (quiet) Errorf(string, ...any)   {}
func (quiet) Warningf(string, ...any) {}
func (quiet) Infof(string, ...any)    {}
func (quiet) Debugf(string, ...any)   {}
func (quiet) Close() error            { return nil }

func TestTransactionsOfARealStoreReplay(t *testing.T) {
	for version := range 2 {
		_, txs := openStore(t, version)
		c := proof.NewChain()
		for _, tx := range txs {
			if _, err := c.Append(header(tx.Header()), entries(tx)); err != nil {
				t.Fatalf("version %d: %v", version, err)
			}
			if want := tx.Header().Alh(); c.State().Alh != want {
				t.Fatalf("version %d, tx %d: Alh %v, want %x", version, tx.Header().ID, c.State().Alh, want)
			}
		}
	}
}

func TestEntryProofsOfARealStoreHold(t *testing.T) {
	n := 0
	for version := range 2 {
		_, txs := openStore(t, version)
		for _, tx := range txs {
			h := header(tx.Header())
			for _, e := range entries(tx) {
				p, err := tx.Proof(e.Key)
				if err != nil {
					t.Fatal(err)
				}
				if err := entryProof(p).Verify(h, &e); err != nil {
					t.Fatalf("version %d, tx %d: %v", version, h.ID, err)
				}
				n++
			}
		}
	}
	t.Logf("%d proofs accepted", n)
}

func TestDualProofsOfARealStoreHold(t *testing.T) {
	n := 0
	for version := range 2 {
		st, txs := openStore(t, version)
		for s := 1; s <= storeTxs; s++ {
			for e := s; e <= storeTxs; e++ {
				p, err := st.DualProof(txs[s-1].Header(), txs[e-1].Header())
				if err != nil {
					t.Fatal(err)
				}
				source, target := state(txs[s-1]), state(txs[e-1])
				if err := dualProof(p).Verify(source, target); err != nil {
					t.Errorf("version %d, %d to %d: %v", version, s, e, err)
				}
				n++
				if s != e {
					continue
				}
				c, err := proof.ChainFrom(source, dualProof(p))
				if err != nil {
					t.Fatalf("version %d, chain from %d: %v", version, s, err)
				}
				for _, tx := range txs[s:] {
					if err := c.AppendHeader(header(tx.Header())); err != nil {
						t.Fatalf("version %d, chain from %d: %v", version, s, err)
					}
				}
			}
		}
	}
	t.Logf("%d proofs accepted", n)
}

func state(tx *store.Tx) proof.State {
	h := tx.Header()
	return proof.State{TxID: h.ID, Alh: h.Alh()}
}

// theirs is the verdict of the official verifier, called as the official client calls it: with the trusted
// hash, and the other one computed from the header in the proof. A panic counts as a refusal, because the
// official client panics on a header version that it does not know.
func theirs(p *proof.DualProof, trusted proof.State, other uint64) (ok bool) {
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	sp := storeDualProof(p)
	if trusted.TxID <= other {
		return store.VerifyDualProof(sp, trusted.TxID, other, trusted.Alh, sp.TargetTxHeader.Alh())
	}
	return store.VerifyDualProof(sp, other, trusted.TxID, sp.SourceTxHeader.Alh(), trusted.Alh)
}

// agree flips bits of p, one at a time, and gives the result to both verifiers. Ours must refuse every
// flip; if the official one accepts a flip, allowed must contain the reason.
func agree(t *testing.T, name string, p *proof.DualProof, trusted proof.State, other uint64, allowed func(field string) bool) verdicts {
	t.Helper()
	var v verdicts
	eachBit(t, p, func(field string) {
		v.flips++
		_, _, err := p.Prove(trusted, other)
		if !errors.Is(err, proof.ErrInvalid) {
			t.Errorf("%s, flip in %s: %v", name, field, err)
		}
		if theirs(p, trusted, other) {
			v.stricter++
			if !allowed(field) {
				t.Errorf("%s, flip in %s: refused (%v), but not by the official verifier", name, field, err)
			}
		}
	})
	return v
}

// verdicts counts flips, all refused, and those among them that only we refuse.
type verdicts struct{ flips, stricter int }

func (v *verdicts) add(w verdicts) { v.flips, v.stricter = v.flips+w.flips, v.stricter+w.stricter }

func (v verdicts) String() string {
	return fmt.Sprintf("%d flips refused, %d of them in fields that the official verifier does not look at", v.flips, v.stricter)
}

func TestEveryByteOfADualProofCounts(t *testing.T) {
	var all verdicts
	for version := range 2 {
		st, txs := openStore(t, version)
		for _, pair := range [][2]int{{1, 1}, {1, 2}, {1, 3}, {2, 3}, {2, 2}, {7, 7}, {4, 8}, {5, 8}, {8, 9}, {31, 33}, {32, 64}, {40, 66}, {60, 72}, {1, 72}, {71, 72}, {64, 65}} {
			p, err := st.DualProof(txs[pair[0]-1].Header(), txs[pair[1]-1].Header())
			if err != nil {
				t.Fatal(err)
			}
			allowed := func(field string) bool {
				switch field := field[:strings.IndexByte(field+"[", '[')]; {
				case version == 0 && strings.HasSuffix(field, ".NEntries"):
					return true // hashed with 16 of its 32 bits
				case version == 0 && strings.HasSuffix(field, ".TruncatedTxID"):
					return true // not hashed in a version 0 header
				case pair[1] == 1 && field == ".TargetBlAlh":
					return true // not looked at while there is no tree
				}
				return false
			}
			old, recent := state(txs[pair[0]-1]), state(txs[pair[1]-1])
			name := fmt.Sprintf("version %d, %d to %d", version, pair[0], pair[1])
			all.add(agree(t, name+" from the old one", dualProof(p), old, recent.TxID, allowed))
			all.add(agree(t, name+" from the recent one", dualProof(p), recent, old.TxID, allowed))
		}
	}
	t.Log(all)
}

func TestEveryByteOfAnEntryProofCounts(t *testing.T) {
	type answer struct {
		Proof *proof.EntryProof
		Entry *proof.Entry
		EH    *proof.Digest
	}
	var all verdicts
	for version := range 2 {
		_, txs := openStore(t, version)
		for _, tx := range append(txs[:12], txs[49]) { // the last one has 1,000 entries
			h := header(tx.Header())
			for i, e := range entries(tx) {
				if i > 8 && i%333 != 0 {
					continue
				}
				p, err := tx.Proof(e.Key)
				if err != nil {
					t.Fatal(err)
				}
				a := answer{entryProof(p), &e, &h.EH}
				eachBit(t, &a, func(field string) {
					all.flips++
					err := a.Proof.Verify(h, a.Entry)
					if !errors.Is(err, proof.ErrInvalid) {
						t.Errorf("version %d, tx %d, flip in %s: %v", version, h.ID, field, err)
					}
					shape := field == ".Proof.Leaf" || field == ".Proof.Width" // theirs takes the server's word
					unhashed := version == 0 && strings.HasPrefix(field, ".Entry.Metadata") || field == ".Entry.Metadata.ExpiresAt"
					if theirEntry(t, a.Proof, a.Entry, h) {
						all.stricter++
						if !shape && !unhashed {
							t.Errorf("version %d, tx %d, flip in %s: refused, but not by the official verifier", version, h.ID, field)
						}
					}
				})
			}
		}
	}
	t.Log(all)
}

func theirEntry(t *testing.T, p *proof.EntryProof, e *proof.Entry, h *proof.Header) bool {
	digest, err := store.EntrySpecDigestFor(int(h.Version))
	if err != nil {
		t.Fatal(err)
	}
	spec := &store.EntrySpec{Key: e.Key, Metadata: storeMetadata(e.Metadata), HashValue: e.ValueHash, IsValueTruncated: true}
	if h.Version == 0 {
		// The official digest of version 0 can not be given a hash instead of the value.
		d, err := store.TxEntryDigest_v1_1(store.NewTxEntry(e.Key, nil, 0, e.ValueHash, 0))
		return err == nil && store.VerifyInclusion(storeEntryProof(p), d, h.EH)
	}
	return store.VerifyInclusion(storeEntryProof(p), digest(spec), h.EH)
}
