package proof

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"strings"
	"testing"
)

func TestAStateSignatureIsBoundToKeyDatabaseAndState(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s := State{TxID: 9, Alh: sha256.Sum256([]byte("alh"))}
	payload := binary.BigEndian.AppendUint32(nil, 2)
	payload = append(payload, "db"...)
	payload = binary.BigEndian.AppendUint64(payload, 9)
	hash := sha256.Sum256(append(payload, s.Alh[:]...))
	sig, err := ecdsa.SignASN1(rand.Reader, key, hash[:])
	if err != nil {
		t.Fatal(err)
	}
	if err := s.VerifySignature(&key.PublicKey, "db", sig); err != nil {
		t.Fatal(err)
	}
	for reason, err := range map[string]error{
		"another key":         s.VerifySignature(&other.PublicKey, "db", sig),
		"another database":    s.VerifySignature(&key.PublicKey, "dc", sig),
		"another transaction": State{8, s.Alh}.VerifySignature(&key.PublicKey, "db", sig),
		"another hash":        State{9, Digest{}}.VerifySignature(&key.PublicKey, "db", sig),
		"no signature":        s.VerifySignature(&key.PublicKey, "db", nil),
		"half a signature":    s.VerifySignature(&key.PublicKey, "db", sig[:len(sig)/2]),
		"a longer signature":  s.VerifySignature(&key.PublicKey, "db", append(sig[:len(sig):len(sig)], 0)),
		"not ASN.1":           s.VerifySignature(&key.PublicKey, "db", []byte("signature")),
	} {
		if !errors.Is(err, ErrSignature) {
			t.Errorf("%s: %v", reason, err)
		}
	}
	if err := s.VerifySignature(&key.PublicKey, "db", nil); !strings.Contains(err.Error(), "not signed") {
		t.Errorf("an operator can not tell a missing signature from a wrong one: %v", err)
	}
	if err := s.VerifySignature(nil, "db", sig); !errors.Is(err, ErrArgument) {
		t.Errorf("no key: %v", err)
	}
}

func TestOnlyECDSAPublicKeysInPEMAreRead(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ed, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	encode := func(key any) []byte {
		der, err := x509.MarshalPKIXPublicKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	}
	if got, err := ParsePublicKey(encode(&ec.PublicKey)); err != nil || !got.Equal(&ec.PublicKey) {
		t.Errorf("ECDSA: %v", err)
	}
	for reason, b := range map[string][]byte{
		"another kind of key": encode(ed),
		"no PEM":              []byte("key"),
		"no key in the PEM":   pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte("key")}),
	} {
		if _, err := ParsePublicKey(b); !errors.Is(err, ErrArgument) {
			t.Errorf("%s: %v", reason, err)
		}
	}
}
