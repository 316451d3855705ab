package evidence

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"github.com/immudb-go/immudb/internal/proof"
)

const (
	proofHeader  = "c2sp.org/tlog-proof@v1"
	originPrefix = "immudb/"
	// signatureType tells this kind of signature line from others, as C2SP
	// signed-note wants it for types that have no number.
	signatureType = "\xffgithub.com/immudb-go/immudb/receipt/v1"
)

var b64 = base64.StdEncoding.Strict()

// Origin is the name of the log that a database is.
func Origin(database string) string { return originPrefix + database }

// KeyID is in front of the signature in a signature line of the given name.
func KeyID(name string) [4]byte {
	sum := sha256.Sum256([]byte(name + "\n" + signatureType))
	return [4]byte(sum[:4])
}

// Marshal writes the receipt as a C2SP tlog-proof. Its checkpoint is one of C2SP
// tlog-checkpoint. The signature line holds the header of the anchor, which commits
// to the checkpoint, and the server's signature of the anchor.
func (r *Receipt) Marshal() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\nextra %s\nindex %d\n", proofHeader, b64.EncodeToString(r.appendExtra(nil)), r.Header.ID-1)
	for _, d := range r.Path {
		fmt.Fprintln(&b, b64.EncodeToString(d[:]))
	}
	origin := Origin(r.Database)
	id := KeyID(origin)
	line := append(appendHeader(id[:], r.Anchor), r.Signature...)
	fmt.Fprintf(&b, "\n%s\n%d\n%s\n\n\u2014 %s %s\n", origin, r.Size, b64.EncodeToString(r.Root[:]), origin, b64.EncodeToString(line))
	return b.Bytes()
}

// Parse reads what Marshal writes, and nothing else: every receipt has one form.
func Parse(text []byte) (*Receipt, error) {
	r, ok := parse(string(text))
	if !ok || !bytes.Equal(r.Marshal(), text) {
		return nil, fmt.Errorf("%w: it is damaged, or it is no receipt", ErrInvalid)
	}
	return r, nil
}

func parse(text string) (*Receipt, bool) {
	r := &Receipt{}
	head, note, ok := strings.Cut(text, "\n\n")
	lines := strings.Split(head, "\n")
	if !ok || len(lines) < 3 || lines[0] != proofHeader {
		return nil, false
	}
	extra, ok := cutBase64(lines[1], "extra ")
	if !ok || !r.readExtra(extra) {
		return nil, false
	}
	for _, line := range lines[3:] {
		d, ok := digest(line)
		if !ok {
			return nil, false
		}
		r.Path = append(r.Path, d)
	}
	return r, r.parseNote(note)
}

func (r *Receipt) parseNote(note string) bool {
	lines := strings.Split(note, "\n")
	if len(lines) != 6 {
		return false
	}
	var ok bool
	if r.Database, ok = strings.CutPrefix(lines[0], originPrefix); !ok {
		return false
	}
	var err error
	if r.Size, err = strconv.ParseUint(lines[1], 10, 64); err != nil {
		return false
	}
	if r.Root, ok = digest(lines[2]); !ok {
		return false
	}
	line, ok := cutBase64(lines[4], "\u2014 "+lines[0]+" ")
	if !ok {
		return false
	}
	in := &reader{rest: line}
	in.cut(len(KeyID("")))
	r.Anchor = in.header()
	r.Signature = in.rest
	return !in.short
}

func cutBase64(line, prefix string) ([]byte, bool) {
	text, ok := strings.CutPrefix(line, prefix)
	if !ok {
		return nil, false
	}
	b, err := b64.DecodeString(text)
	return b, err == nil
}

func digest(line string) (proof.Digest, bool) {
	b, ok := cutBase64(line, "")
	if !ok {
		return proof.Digest{}, false
	}
	d, err := proof.DigestFrom(b)
	return d, err == nil
}
