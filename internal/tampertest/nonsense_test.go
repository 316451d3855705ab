package tampertest

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"reflect"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/tamperproxy"
	"github.com/immudb-go/immudb/internal/testserver"
)

// Every invalid answer of a server is refused or has no effect. The driver does not panic,
// and the trusted state stays right.
func TestNonsenseIsRefused(t *testing.T) {
	p, db := lyingServer(t)
	honest := mustVerify(t, db)
	noise := rand.New(rand.NewPCG(7, 7))
	answers := make(map[string][]byte)
	p.Tamper(nil, func(method string, msg []byte) []byte {
		answers[method] = bytes.Clone(msg)
		return msg
	})
	all := func() []error {
		row, err := immudb.VerifiedRow(t.Context(), db, "accounts", 1)
		if err == nil && !reflect.DeepEqual(row, honest) {
			t.Errorf("an altered row is accepted: %+v", row)
		}
		_, rows := immudb.VerifyRows(t.Context(), db, "accounts", "")
		_, tx := immudb.NewVerifier(db).Tx(t.Context(), 2)
		_, audit := immudb.Audit(t.Context(), db, immudb.AuditOptions{Tables: []string{"*"}})
		return []error{err, rows, tx, audit}
	}
	if err := errors.Join(all()...); err != nil {
		t.Fatal(err)
	}
	lies := map[string]func(msg []byte) []byte{
		"nothing":              func([]byte) []byte { return nil },
		"the first half":       func(msg []byte) []byte { return msg[:len(msg)/2] },
		"all of it twice":      func(msg []byte) []byte { return append(msg, msg...) },
		"noise":                func(msg []byte) []byte { return scramble(noise, msg) },
		"fields that are huge": func([]byte) []byte { return hugeFields() },
	}
	for method, answer := range answers {
		lies["the answer to "+method] = func([]byte) []byte { return answer }
	}
	for _, method := range []string{"CurrentState", "VerifiableSQLGet", "VerifiableTxById", "TxScan", "TxById"} {
		for lie, change := range lies {
			p.Tamper(nil, on(method, change))
			for i, err := range all() {
				if err != nil && !errors.Is(err, immudb.ErrTampered) && !errors.Is(err, immudb.ErrServerOlder) {
					t.Errorf("%s answers with %s, call %d: err = %v", method, lie, i, err)
				}
			}
		}
	}
	p.Tamper(nil, nil)
	if err := errors.Join(all()...); err != nil {
		t.Errorf("after that, the truth: %v", err)
	}
}

func scramble(noise *rand.Rand, msg []byte) []byte {
	for i := range msg {
		msg[i] = byte(noise.Uint32())
	}
	return msg
}

// hugeFields is a message with each field as the largest number and as missing bytes.
func hugeFields() []byte {
	var b []byte
	for num := protowire.Number(1); num < 17; num++ {
		b = protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), 1<<64-1)
	}
	return protowire.AppendVarint(protowire.AppendTag(b, 2, protowire.BytesType), 1<<40)
}

// A server may answer with fewer transactions than it was asked for.
func TestAuditReadsOnWhereAnAnswerEnds(t *testing.T) {
	p, db := lyingServer(t)
	p.Tamper(nil, on("TxScan", func(msg []byte) []byte {
		_, tag := protowire.ConsumeVarint(msg)
		_, first := protowire.ConsumeBytes(msg[tag:])
		return msg[:tag+first]
	}))
	r, err := immudb.Audit(t.Context(), db, immudb.AuditOptions{Tables: []string{"*"}})
	if err != nil || r.Transactions != 3 || r.Rows["accounts"] != 3 || p.Count("TxScan") != 3 {
		t.Errorf("in %d answers: got %+v, %v", p.Count("TxScan"), r, err)
	}
}

// Each answer that moves the trusted state must have a signature of the new state.
func TestEachProofNeedsASignature(t *testing.T) {
	private, public := newKey(t)
	s := testserver.Start(t, "-synced=false", "-signing-key="+private)
	p, dsn := tamperproxy.Start(t, s.DSN())
	db := dbtest.OpenDSN(t, dbtest.WithOptions(dsn, proveCommits, "server_public_key="+public))
	dbtest.Exec(t, db, "CREATE TABLE accounts (id INTEGER, PRIMARY KEY id)")
	dbtest.Exec(t, db, "INSERT INTO accounts (id) VALUES (1)")
	mustVerify(t, db)
	before := stateOf(t, db)
	for method, call := range map[string]func() error{
		"VerifiableSQLGet": func() error { _, err := immudb.VerifiedRow(t.Context(), db, "accounts", 1); return err },
		"VerifiableTxById": func() error { _, err := db.Exec("UPSERT INTO accounts (id) VALUES (1)"); return err },
		"CurrentState":     func() error { _, err := immudb.Audit(t.Context(), db, immudb.AuditOptions{}); return err },
	} {
		p.Tamper(nil, on(method, func(msg []byte) []byte { return spoilSignature(t, msg) }))
		if err := call(); !errors.Is(err, immudb.ErrSignature) {
			t.Errorf("%s: err = %v, want ErrSignature", method, err)
		}
		p.Tamper(nil, nil)
		if now := stateOf(t, db); now.Pin() != before.Pin() {
			t.Errorf("%s: the trusted state is %s, was %s", method, now.Pin(), before.Pin())
		}
	}
	mustVerify(t, db)
}

// spoilSignature flips a bit of the signature in a message: field 2 of a
// Signature, in DER.
func spoilSignature(t *testing.T, msg []byte) []byte {
	for i := 0; i+10 < len(msg); i++ {
		if n := msg[i+1]; msg[i] == 2<<3|2 && n >= 66 && n <= 73 && msg[i+2] == 0x30 && msg[i+3] == n-2 && msg[i+4] == 2 {
			msg[i+10] ^= 1
			return msg
		}
	}
	t.Error("there is no signature in the message")
	return msg
}
