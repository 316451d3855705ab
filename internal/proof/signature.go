package proof

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"fmt"
)

// ParsePublicKey reads an ECDSA public key in PEM (SubjectPublicKeyInfo), as a server's operator hands it out.
func ParsePublicKey(pemBytes []byte) (*ecdsa.PublicKey, error) {
	block, _ := pem.Decode(pemBytes)
	if block == nil {
		return nil, fmt.Errorf("%w: server public key is not PEM", ErrArgument)
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%w: server public key: %v", ErrArgument, err)
	}
	pub, ok := key.(*ecdsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("%w: server public key is %T, not ECDSA", ErrArgument, key)
	}
	return pub, nil
}

// VerifySignature checks the server's signature of a state: ECDSA, ASN.1 DER, over
// sha256(len(database):4 database txID:8 Alh:32). key must be the one that the user configured, never the
// one that the server sends with a signature. The signature does not cover the server's UUID, the
// precommitted state or the time.
func (s State) VerifySignature(key *ecdsa.PublicKey, database string, signature []byte) error {
	if key == nil {
		return fmt.Errorf("%w: no server public key", ErrArgument)
	}
	if len(signature) == 0 {
		return fmt.Errorf("%w: tx %d of database %q is not signed", ErrSignature, s.TxID, database)
	}
	b := make([]byte, 0, 4+len(database)+8+sha256.Size)
	b = binary.BigEndian.AppendUint32(b, uint32(len(database)))
	b = append(b, database...)
	b = binary.BigEndian.AppendUint64(b, s.TxID)
	b = append(b, s.Alh[:]...)
	hash := sha256.Sum256(b)
	if !ecdsa.VerifyASN1(key, hash[:], signature) {
		return fmt.Errorf("%w: tx %d of database %q", ErrSignature, s.TxID, database)
	}
	return nil
}
