package oracle

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"testing"

	"github.com/codenotary/immudb/pkg/api/schema"
	"github.com/codenotary/immudb/pkg/signer"

	"github.com/immudb-go/immudb/internal/proof"
)

func TestSignaturesOfTheServersSignerVerify(t *testing.T) {
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		s := proof.State{TxID: 77, Alh: sha256.Sum256([]byte("state"))}
		official := &schema.ImmutableState{Db: "défault", TxId: s.TxID, TxHash: s.Alh[:]}
		signature, _, err := signer.NewSignerFromPKey(rand.Reader, key).Sign(official.ToBytes())
		if err != nil {
			t.Fatal(err)
		}
		if err := s.VerifySignature(&key.PublicKey, "défault", signature); err != nil {
			t.Error(err)
		}
		eachBit(t, &s, func(field string) {
			if err := s.VerifySignature(&key.PublicKey, "défault", signature); !errors.Is(err, proof.ErrSignature) {
				t.Errorf("flip in %s: %v", field, err)
			}
		})
		eachBit(t, &signature, func(field string) {
			if err := s.VerifySignature(&key.PublicKey, "défault", signature); !errors.Is(err, proof.ErrSignature) {
				t.Errorf("flip in signature%s: %v", field, err)
			}
		})
		if err := s.VerifySignature(&key.PublicKey, "defaultdb", signature); !errors.Is(err, proof.ErrSignature) {
			t.Errorf("another database: %v", err)
		}
	}
}
