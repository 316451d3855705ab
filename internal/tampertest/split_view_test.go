package tampertest

import (
	"bytes"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/proof"
	"github.com/immudb-go/immudb/internal/tamperproxy"
	"github.com/immudb-go/immudb/internal/testserver"
)

func TestTwoClientsThatAreShownDifferentHistoriesFindIt(t *testing.T) {
	private, public := newKey(t)
	// A server with two histories, both signed with its key, which the proxies show.
	var clients []*sql.DB
	var dsns []string
	for _, owner := range []string{"ann", "eve"} {
		s := testserver.Start(t, "-synced=false", "-signing-key="+private)
		withAccount(t, s.DSN(), owner)
		_, dsn := tamperproxy.Start(t, s.DSN())
		dsns = append(dsns, dbtest.WithOptions(dsn, trustFirstUse, "server_public_key="+public))
		clients = append(clients, dbtest.OpenDSN(t, dsns[len(dsns)-1]))
	}
	a, b := immudb.NewVerifier(clients[0]), immudb.NewVerifier(clients[1])
	theirs := stateOf(t, clients[1])
	mine := stateOf(t, clients[0])
	if err := a.Confirm(t.Context(), mine); err != nil {
		t.Errorf("the own state: %v", err)
	}
	for range 2 { // also when the own history has gone on
		err := a.Confirm(t.Context(), mine, theirs)
		var split *immudb.SplitView
		if !errors.Is(err, immudb.ErrSplitView) || !errors.Is(err, immudb.ErrTampered) || !errors.As(err, &split) {
			t.Fatalf("the state of the other client: %v", err)
		}
		if split.Own.TxID != theirs.TxID || split.Other.TxID != theirs.TxID || split.Own.Hash == split.Other.Hash {
			t.Errorf("the evidence is %+v", split)
		}
		for _, s := range []immudb.State{split.Own, split.Other} {
			signed := proof.State{TxID: s.TxID, Alh: proof.Digest(s.Hash)}
			if err := signed.VerifySignature(publicKey(t, public), s.Database, s.Signature); err != nil {
				t.Errorf("the server can deny %s: %v", s.Pin(), err)
			}
		}
		dbtest.Exec(t, clients[0], "UPSERT INTO accounts (id, owner, balance) VALUES (1, 'ann', 11)")
		if _, err := immudb.VerifiedRow(t.Context(), clients[0], "accounts", 1); err != nil {
			t.Errorf("what is trusted has moved: %v", err)
		}
	}
	newer, err := a.Checkpoint(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Confirm(t.Context(), newer.State); !errors.Is(err, immudb.ErrServerOlder) {
		t.Errorf("a transaction that this server does not have: %v", err)
	}
	forged := theirs
	forged.Hash[0] ^= 1
	if err := b.Confirm(t.Context(), forged); !errors.Is(err, immudb.ErrSignature) {
		t.Errorf("a state that somebody altered: %v", err)
	}
}

func TestStatesOfOneHistoryAreConfirmed(t *testing.T) {
	dsn := dbtest.FreshDSN(t, trustFirstUse)
	db := dbtest.OpenDSN(t, dsn)
	var states []immudb.State
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, PRIMARY KEY id)")
	for id := range 9 {
		states = append(states, stateOf(t, dbtest.OpenDSN(t, dsn)))
		dbtest.Exec(t, db, "INSERT INTO t (id) VALUES (?)", id)
	}
	if err := immudb.NewVerifier(db).Confirm(t.Context(), states...); err != nil {
		t.Error(err)
	}
	if err := immudb.NewVerifier(dbtest.OpenDSN(t, dbtest.WithOptions(dsn, "trusted_state="+states[0].Pin()))).Confirm(t.Context(), states...); err != nil {
		t.Errorf("states that are newer than the trusted one: %v", err)
	}
	other := states[1]
	other.Database = "another"
	for _, s := range []immudb.State{{}, other} {
		if err := immudb.NewVerifier(db).Confirm(t.Context(), s); !errors.Is(err, immudb.ErrInvalidValue) {
			t.Errorf("%+v: %v", s, err)
		}
	}
}

// The root of a checkpoint is that of the tree built from all transactions, as RFC
// 9162 defines it.
func TestACheckpointIsTheTreeOfAllTransactions(t *testing.T) {
	db := dbtest.Open(t, trustFirstUse)
	v := immudb.NewVerifier(db)
	if _, err := v.Checkpoint(t.Context(), "x"); err == nil {
		t.Error("an empty database has a checkpoint")
	}
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, PRIMARY KEY id)")
	var leaves [][]byte
	var roots []immudb.Hash
	for n := uint64(1); n <= 18; n++ {
		c, err := v.Checkpoint(t.Context(), "db1.example.com/ledger")
		if err != nil {
			t.Fatal(err)
		}
		s, err := v.Tx(t.Context(), n)
		if err != nil {
			t.Fatal(err)
		}
		leaf := sha256.Sum256(append([]byte{0}, s.Hash[:]...))
		leaves = append(leaves, leaf[:])
		if c.Size != n || c.State.Hash != s.Hash || !bytes.Equal(c.Root[:], treeHash(leaves)) {
			t.Errorf("the checkpoint at tx %d is %+v", n, c)
		}
		if want := fmt.Sprintf("db1.example.com/ledger\n%d\n", n); !strings.HasPrefix(c.String(), want) {
			t.Errorf("it is written as %q", c)
		}
		for i, root := range roots {
			if old, _, err := v.Consistency(t.Context(), uint64(i)+1, c); err != nil || old != root {
				t.Errorf("consistency of size %d with %d: root %v, want %v (%v)", i+1, n, old, root, err)
			}
		}
		roots = append(roots, c.Root)
		for _, old := range []uint64{0, n, n + 1} {
			if _, _, err := v.Consistency(t.Context(), old, c); !errors.Is(err, immudb.ErrInvalidValue) {
				t.Errorf("consistency of size %d with %d: %v", old, n, err)
			}
		}
		dbtest.Exec(t, db, "UPSERT INTO t (id) VALUES (1)")
	}
	for _, origin := range []string{"", "a b", "a\nb", "a+b"} {
		if _, err := v.Checkpoint(t.Context(), origin); !errors.Is(err, immudb.ErrInvalidValue) {
			t.Errorf("origin %q: %v", origin, err)
		}
	}
}

func treeHash(leaves [][]byte) []byte {
	if len(leaves) == 1 {
		return leaves[0]
	}
	half := 1
	for 2*half < len(leaves) {
		half *= 2
	}
	sum := sha256.Sum256(bytes.Join([][]byte{{1}, treeHash(leaves[:half]), treeHash(leaves[half:])}, nil))
	return sum[:]
}

func TestTamperingWithAnyBitOfACheckpointIsNoticed(t *testing.T) {
	p, db := lyingServer(t)
	v := immudb.NewVerifier(db)
	honest, err := v.Checkpoint(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	root, path, err := v.Consistency(t.Context(), honest.Size/2, honest)
	if err != nil {
		t.Fatal(err)
	}
	const method = "VerifiableTxById"
	size := 0
	p.Tamper(nil, on(method, func(msg []byte) []byte { size = max(size, len(msg)); return msg }))
	if _, _, err := v.Consistency(t.Context(), honest.Size/2, honest); err != nil {
		t.Fatal(err)
	}
	refused := 0
	for at := range size {
		p.Tamper(nil, on(method, func(msg []byte) []byte {
			if at < len(msg) {
				msg[at] ^= 1 << (at * 5 % 8)
			}
			return msg
		}))
		c, err := v.Checkpoint(t.Context(), "x")
		if err == nil && !reflect.DeepEqual(c, honest) {
			t.Errorf("byte %d: a false checkpoint is accepted: %+v", at, c)
		}
		gotRoot, got, err := v.Consistency(t.Context(), honest.Size/2, honest)
		switch {
		case err != nil:
			refused++
			if !errors.Is(err, immudb.ErrTampered) {
				t.Errorf("byte %d: err = %v, want ErrTampered", at, err)
			}
		case gotRoot != root || !reflect.DeepEqual(got, path):
			t.Errorf("byte %d: a false proof of consistency is accepted", at)
		}
	}
	if refused < size/2 {
		t.Errorf("only %d of %d flips are refused", refused, size)
	}
}
