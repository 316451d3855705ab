package proof

import (
	"crypto/sha256"
	"errors"
	"strings"
	"testing"
)

func TestHeadersNoServerWritesAreRejected(t *testing.T) {
	good := Header{ID: 5, Version: 1, NEntries: 1, BlTxID: 4}
	if _, err := good.Alh(); err != nil {
		t.Fatal(err)
	}
	for reason, spoil := range map[string]func(*Header){
		"id 0":                          func(h *Header) { h.ID, h.BlTxID = 0, 0 },
		"a tree that holds itself":      func(h *Header) { h.BlTxID = 5 },
		"version 2":                     func(h *Header) { h.Version = 2 },
		"negative version":              func(h *Header) { h.Version = -1 },
		"negative number of entries":    func(h *Header) { h.NEntries = -1 },
		"version 0 with more entries":   func(h *Header) { h.Version, h.NEntries = 0, 1<<16 }, // would be hashed as 0
		"version 0 with a truncation":   func(h *Header) { h.Version, h.Metadata.TruncatedTxID = 0, 1 },
		"version 0 with extra":          func(h *Header) { h.Version, h.Metadata.Extra = 0, []byte("x") },
		"extra longer than it may be":   func(h *Header) { h.Metadata.Extra = make([]byte, 257) },
		"extra whose length would wrap": func(h *Header) { h.Metadata.Extra = make([]byte, 1<<16) },
	} {
		h := good
		spoil(&h)
		if alh, err := h.Alh(); !errors.Is(err, ErrInvalid) || alh != (Digest{}) {
			t.Errorf("%s: %v, %v", reason, alh, err)
		}
	}
}

// Versions 0 and 1 differ in the width of the count, so equal fields must still hash differently.
func TestEveryHeaderFieldIsCommittedTo(t *testing.T) {
	base := Header{ID: 5, Version: 1, NEntries: 1, BlTxID: 4}
	seen := map[Digest]string{}
	for name, change := range map[string]func(*Header){
		"nothing": func(*Header) {}, "id": func(h *Header) { h.ID = 6 }, "prev": func(h *Header) { h.PrevAlh[31] = 1 },
		"time": func(h *Header) { h.Time = -1 }, "version": func(h *Header) { h.Version = 0 },
		"entries": func(h *Header) { h.NEntries = 2 }, "eh": func(h *Header) { h.EH[0] = 1 },
		"tree size": func(h *Header) { h.BlTxID = 3 }, "tree root": func(h *Header) { h.BlRoot[0] = 1 },
		"truncation": func(h *Header) { h.Metadata.TruncatedTxID = 1 }, "extra": func(h *Header) { h.Metadata.Extra = []byte{0} },
	} {
		h := base
		change(&h)
		alh, err := h.Alh()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if other, ok := seen[alh]; ok {
			t.Errorf("%s and %s have the same hash", name, other)
		}
		seen[alh] = name
	}
}

func TestAnEntryProofIsBoundToTheNumberOfEntriesInTheHeader(t *testing.T) {
	h := newHistory(t, 3, noLag)
	hd, e := h.headers[2], h.entries[2][0]
	sibling, err := h.entries[2][1].Digest(1)
	if err != nil {
		t.Fatal(err)
	}
	good := EntryProof{Leaf: 0, Width: 2, Terms: []Digest{LeafHash(sibling)}}
	if err := good.Verify(hd, &e); err != nil {
		t.Fatal(err)
	}
	for reason, p := range map[string]*EntryProof{
		"no proof":         nil,
		"another width":    {Leaf: 0, Width: 3, Terms: good.Terms},
		"width 0":          {Leaf: 0, Width: 0, Terms: good.Terms}, // the shape of a tree of 2 for who does not look
		"another position": {Leaf: 1, Width: 2, Terms: good.Terms},
		"outside":          {Leaf: 2, Width: 2, Terms: good.Terms},
		"negative":         {Leaf: -2, Width: 2, Terms: good.Terms},
		"no terms":         {Leaf: 0, Width: 2},
	} {
		if err := p.Verify(hd, &e); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", reason, err)
		}
	}
	claimsMore := *hd
	claimsMore.NEntries = 3
	if err := good.Verify(&claimsMore, &e); !errors.Is(err, ErrInvalid) {
		t.Errorf("a header that counts three entries over a tree of two: %v", err)
	}
	if err := claimsMore.VerifyEntries(h.entries[2]); !errors.Is(err, ErrInvalid) {
		t.Errorf("two entries for a header that counts three: %v", err)
	}
	if err := good.Verify(nil, &e); !errors.Is(err, ErrInvalid) {
		t.Errorf("no header: %v", err)
	}
	e.Metadata.Deleted = true
	if err := good.Verify(hd, &e); !errors.Is(err, ErrInvalid) {
		t.Errorf("entry with other metadata: %v", err)
	}
}

func TestEntriesThatDoNotFitTheirDigestLayoutAreRejected(t *testing.T) {
	for reason, c := range map[string]struct {
		e       Entry
		version int32
	}{
		"no key":                        {Entry{}, 1},
		"a key whose length would wrap": {Entry{Key: make([]byte, 1<<16)}, 1},
		"metadata in version 0":         {Entry{Key: []byte("k"), Metadata: EntryMetadata{Deleted: true}}, 0},
		"unknown version":               {Entry{Key: []byte("k")}, 2},
		"a time of expiry, but none":    {Entry{Key: []byte("k"), Metadata: EntryMetadata{ExpiresAt: 1}}, 1}, // not hashed
	} {
		if _, err := c.e.Digest(c.version); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", reason, err)
		}
	}
}

func TestAValueIsCheckedAgainstItsEntry(t *testing.T) {
	e := Entry{Key: []byte("k"), ValueHash: sha256.Sum256([]byte("v")), Value: []byte("v")}
	if err := e.CheckValue(); err != nil {
		t.Error(err)
	}
	e.Value = nil
	if err := e.CheckValue(); !errors.Is(err, ErrInvalid) {
		t.Errorf("value left out: %v", err)
	}
}

func TestAFailedCheckSaysWhatWhereAndHow(t *testing.T) {
	err := differs(7, "the value is right", 1, 2)
	var e *Error
	if !errors.As(err, &e) || e.TxID != 7 || e.Expected != "1" || e.Found != "2" {
		t.Errorf("%#v", err)
	}
	if s := err.Error(); !strings.Contains(s, "the value is right (tx 7): expected 1, found 2") {
		t.Error(s)
	}
}
