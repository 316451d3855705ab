package oracle

import (
	"crypto/sha256"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/codenotary/immudb/embedded/ahtree"
	"github.com/codenotary/immudb/embedded/htree"
	"github.com/codenotary/immudb/embedded/store"

	"github.com/immudb-go/immudb/internal/evidence"
	"github.com/immudb-go/immudb/internal/proof"
)

// The receipts that released servers were asked for hold by the server's own functions.
func TestReceiptsHoldByTheOfficialVerifier(t *testing.T) {
	files, err := filepath.Glob("../../../receipt/testdata/*.receipt")
	if err != nil || len(files) < 6 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".receipt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			r, err := evidence.Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			if !receiptHolds(t, r) {
				t.Error("the official functions refuse it")
			}
			r.Entry.Value = append([]byte(nil), r.Entry.Value...)
			r.Entry.Value[len(r.Entry.Value)-1] ^= 1
			if receiptHolds(t, r) {
				t.Error("the official functions accept another value")
			}
			r.Entry.Value[len(r.Entry.Value)-1] ^= 1
			r.Root[0] ^= 1
			if receiptHolds(t, r) {
				t.Error("the official functions accept another tree")
			}
		})
	}
}

// receiptHolds verifies the row's entry in its transaction, and the transactions in the
// tree of the checkpoint.
func receiptHolds(t *testing.T, r *evidence.Receipt) bool {
	t.Helper()
	holds := func(h *proof.Header, path []proof.Digest, size uint64, root proof.Digest) bool {
		alh := storeHeader(h).Alh()
		leaf := sha256.Sum256(append([]byte{ahtree.LeafPrefix}, alh[:]...))
		return ahtree.VerifyInclusion(raw(path), h.ID, size, leaf, root)
	}
	digest, err := store.EntrySpecDigestFor(int(r.Header.Version))
	if err != nil {
		t.Fatal(err)
	}
	spec := &store.EntrySpec{Key: r.Entry.Key, Metadata: storeMetadata(r.Entry.Metadata), Value: r.Entry.Value}
	in := &htree.InclusionProof{Leaf: int(r.Leaf), Width: int(r.Header.NEntries), Terms: raw(r.EntryPath)}
	if !store.VerifyInclusion(in, digest(spec), r.Header.EH) || !holds(r.Header, r.Path, r.Size, r.Root) {
		return false
	}
	for _, d := range r.Definitions {
		if d.Header.ID != r.Anchor.ID && !holds(d.Header, d.Path, r.Anchor.BlTxID, r.Anchor.BlRoot) {
			return false
		}
	}
	return true
}
