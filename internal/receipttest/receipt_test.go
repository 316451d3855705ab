package receipttest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/transparency-dev/formats/log"
	tproof "github.com/transparency-dev/formats/proof"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// anchorVerifier checks the signature lines of receipts, from docs/receipts.md alone.
type anchorVerifier struct {
	name, database string
	key            *ecdsa.PublicKey // nil: the hash of the anchor is trusted
	hash           [32]byte
}

func (v anchorVerifier) Name() string { return v.name }

func (v anchorVerifier) KeyHash() uint32 {
	sum := sha256.Sum256([]byte(v.name + "\n\xffgithub.com/immudb-go/immudb/receipt/v1"))
	return binary.BigEndian.Uint32(sum[:])
}

// headerLen is the length of a header without extra.
const headerLen = 8 + 32 + 8 + 1 + 4 + 32 + 8 + 32 + 8 + 4

// txHash is the Alh of a version 1 header without metadata, as written in a receipt.
func txHash(h []byte) [32]byte {
	id, prev, time, version, entries, eh, bl := h[:8], h[8:40], h[40:48], h[48:49], h[49:53], h[53:85], h[85:125]
	inner := sha256.Sum256(bytes.Join([][]byte{time, {0}, version, {0, 0}, entries, eh, bl}, nil))
	return sha256.Sum256(bytes.Join([][]byte{id, prev, inner[:]}, nil))
}

func (v anchorVerifier) Verify(msg, sig []byte) bool {
	if len(sig) < headerLen {
		return false
	}
	header, signature := sig[:headerLen], sig[headerLen:]
	hash := txHash(header)
	if v.key == nil {
		if hash != v.hash {
			return false
		}
	} else {
		signed := binary.BigEndian.AppendUint32(nil, uint32(len(v.database)))
		signed = append(signed, v.database...)
		signed = append(signed, header[:8]...)
		sum := sha256.Sum256(append(signed, hash[:]...))
		if !ecdsa.VerifyASN1(v.key, sum[:], signature) {
			return false
		}
	}
	size := binary.BigEndian.Uint64(header[85:])
	checkpoint := log.Checkpoint{Origin: v.name, Size: size, Hash: header[93:125]}
	return string(msg) == string(checkpoint.Marshal())
}

func TestOtherLibrariesAcceptReceipts(t *testing.T) {
	dir := filepath.Join("..", "..", "receipt", "testdata")
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, name := range []string{"signed", "v1.9.5-older", "v1.10.0-older", "v1.11.1-older"} {
		v := anchorVerifier{name: "immudb/defaultdb", database: "defaultdb"}
		if name == "signed" {
			block, _ := pem.Decode(read("signed.pem"))
			key, err := x509.ParsePKIXPublicKey(block.Bytes)
			if err != nil {
				t.Fatal(err)
			}
			v.key = key.(*ecdsa.PublicKey)
		} else {
			var tx uint64
			var hash []byte
			if _, err := fmt.Sscanf(string(read(name+".state")), "%d:%x", &tx, &hash); err != nil {
				t.Fatal(err)
			}
			v.hash = [32]byte(hash)
		}
		if err := verify(read(name+".receipt"), v); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		v.database, v.hash = "other", [32]byte{}
		if err := verify(read(name+".receipt"), v); err == nil {
			t.Errorf("%s: accepted by who trusts something else", name)
		}
	}
}

func verify(text []byte, v note.Verifier) error {
	var p tproof.TLogProof
	if err := p.Unmarshal(text); err != nil {
		return err
	}
	checkpoint, _, _, err := log.ParseCheckpoint(p.Checkpoint, v.Name(), v)
	if err != nil {
		return err
	}
	leaf := txHash(p.ExtraData[1 : 1+headerLen])
	var path [][]byte
	var record tlog.RecordProof
	for _, h := range p.Hashes {
		path = append(path, h[:])
		record = append(record, tlog.Hash(h))
	}
	if err := proof.VerifyInclusion(rfc6962.DefaultHasher, p.Index, checkpoint.Size, rfc6962.DefaultHasher.HashLeaf(leaf[:]), path, checkpoint.Hash); err != nil {
		return err
	}
	return tlog.CheckRecord(record, int64(checkpoint.Size), tlog.Hash(checkpoint.Hash), int64(p.Index), tlog.RecordHash(leaf[:]))
}
