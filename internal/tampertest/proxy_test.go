package tampertest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"database/sql"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/tamperproxy"
	"github.com/immudb-go/immudb/internal/testserver"
)

// lyingServer makes a table accounts with three rows behind a proxy, with a trusted state.
func lyingServer(t *testing.T, options ...string) (*tamperproxy.Proxy, *sql.DB) {
	t.Helper()
	p, dsn := tamperproxy.Start(t, dbtest.FreshDSN(t))
	db := dbtest.OpenDSN(t, dbtest.WithOptions(dsn, append([]string{trustFirstUse}, options...)...))
	dbtest.Exec(t, db, "CREATE TABLE accounts (id INTEGER, owner VARCHAR[40], balance INTEGER, PRIMARY KEY id)")
	dbtest.Exec(t, db, "INSERT INTO accounts (id, owner, balance) VALUES (1, 'ann', 10), (2, 'bob', 20)")
	dbtest.Exec(t, db, "INSERT INTO accounts (id, owner, balance) VALUES (3, 'eve', 30)")
	mustVerify(t, db)
	return p, db
}

// mustVerify proves row 1 and returns it.
func mustVerify(t testing.TB, db *sql.DB) *immudb.ProvenRow {
	t.Helper()
	row, err := immudb.VerifiedRow(t.Context(), db, "accounts", 1)
	if err != nil {
		t.Fatal(err)
	}
	return row
}

func stateOf(t testing.TB, db *sql.DB) immudb.State {
	t.Helper()
	s, err := immudb.NewVerifier(db).State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// mustBeTampering checks that the error is ErrTampered and names the failed check.
func mustBeTampering(t testing.TB, err error) {
	t.Helper()
	var found *immudb.Tampering
	if !errors.Is(err, immudb.ErrTampered) || !errors.As(err, &found) || found.Check == "" {
		t.Errorf("err = %v, want ErrTampered with a Tampering that says what failed", err)
	}
}

// on changes the messages of one method.
func on(method string, change func([]byte) []byte) func(string, []byte) []byte {
	return func(m string, msg []byte) []byte {
		if m == method {
			return change(bytes.Clone(msg))
		}
		return msg
	}
}

// Each changed bit of the answer for a row is detected or has no effect on the row.
func TestTamperingWithAnyBitOfARowAnswerIsNoticed(t *testing.T) {
	p, db := lyingServer(t)
	honest, before := mustVerify(t, db), stateOf(t, db)
	size := 0
	p.Tamper(nil, on("VerifiableSQLGet", func(msg []byte) []byte { size = len(msg); return msg }))
	mustVerify(t, db)
	refused := 0
	for at := range size {
		bit := byte(1) << (at * 5 % 8)
		p.Tamper(nil, on("VerifiableSQLGet", func(msg []byte) []byte { msg[at] ^= bit; return msg }))
		row, err := immudb.VerifiedRow(t.Context(), db, "accounts", 1)
		switch {
		case err != nil:
			refused++
			if !errors.Is(err, immudb.ErrTampered) {
				t.Errorf("byte %d: err = %v, want ErrTampered", at, err)
			}
		case !reflect.DeepEqual(row, honest):
			t.Errorf("byte %d of %d, bit %08b: an altered row is accepted: %+v", at, size, bit, row)
		}
	}
	t.Logf("%d of %d flips refused", refused, size)
	if refused < size/2 {
		t.Errorf("only %d of %d flips are refused", refused, size)
	}
	p.Tamper(nil, nil)
	mustVerify(t, db)
	if after := stateOf(t, db); !reflect.DeepEqual(after, before) {
		t.Errorf("the trusted state is %+v, was %+v", after, before)
	}
}

func TestTamperingWithAValueIsNoticed(t *testing.T) {
	p, db := lyingServer(t)
	lie := func(msg []byte) []byte { return bytes.ReplaceAll(msg, []byte("ann"), []byte("eve")) }
	p.Tamper(nil, on("VerifiableSQLGet", lie))
	_, err := immudb.VerifiedRow(t.Context(), db, "accounts", 1)
	mustBeTampering(t, err)

	p.Tamper(nil, on("SQLQuery", lie))
	_, err = immudb.VerifyRows(t.Context(), db, "accounts", "")
	mustBeTampering(t, err)
	if err != nil && !strings.Contains(err.Error(), "owner") {
		t.Errorf("err = %v, want one that names the column", err)
	}

	p.Tamper(nil, on("VerifiableTxById", lie))
	_, err = immudb.VerifyRows(t.Context(), db, "accounts", "")
	mustBeTampering(t, err)
	p.Tamper(nil, nil)
	mustVerify(t, db)
}

func TestAnotherRowsProofIsTampering(t *testing.T) {
	p, db := lyingServer(t)
	var other []byte
	p.Tamper(nil, on("VerifiableSQLGet", func(msg []byte) []byte { other = msg; return msg }))
	if _, err := immudb.VerifiedRow(t.Context(), db, "accounts", 2); err != nil {
		t.Fatal(err)
	}
	p.Tamper(nil, on("VerifiableSQLGet", func([]byte) []byte { return other }))
	_, err := immudb.VerifiedRow(t.Context(), db, "accounts", 1)
	mustBeTampering(t, err)
}

func TestAStaleProofIsTampering(t *testing.T) {
	p, db := lyingServer(t)
	var stale []byte
	p.Tamper(nil, on("VerifiableSQLGet", func(msg []byte) []byte { stale = msg; return msg }))
	mustVerify(t, db)
	p.Tamper(nil, nil)
	dbtest.Exec(t, db, "UPDATE accounts SET balance = 0 WHERE id = 1")
	mustVerify(t, db)
	p.Tamper(nil, on("VerifiableSQLGet", func([]byte) []byte { return stale }))
	_, err := immudb.VerifiedRow(t.Context(), db, "accounts", 1)
	mustBeTampering(t, err)
}

// As documented at VerifiedRow, a server can return an older revision; its TxID is older.
func TestAnOlderRevisionIsToldByItsTx(t *testing.T) {
	p, db := lyingServer(t)
	old := mustVerify(t, db)
	dbtest.Exec(t, db, "UPDATE accounts SET balance = 0 WHERE id = 1")
	latest := mustVerify(t, db)
	p.Tamper(on("VerifiableSQLGet", func(msg []byte) []byte {
		// atTx, field 3 of the request within, which comes first.
		inner := append(bytes.Clone(msg[2:2+msg[1]]), 3<<3, byte(old.TxID))
		return append(append([]byte{msg[0], msg[1] + 2}, inner...), msg[2+msg[1]:]...)
	}), nil)
	row := mustVerify(t, db)
	if row.TxID != old.TxID || row.TxID >= latest.TxID {
		t.Errorf("got tx %d, want %d, older than %d", row.TxID, old.TxID, latest.TxID)
	}
}

func TestASwappedDatabaseIsTampering(t *testing.T) {
	s := testserver.Shared(t)
	one, two := s.NewDatabase(t), s.NewDatabase(t)
	for n, dsn := range []string{one, two} { // the same statements in the same second would give the same history
		db := dbtest.OpenDSN(t, dsn)
		dbtest.Exec(t, db, "CREATE TABLE accounts (id INTEGER, owner VARCHAR[40], balance INTEGER, PRIMARY KEY id)")
		dbtest.Exec(t, db, "INSERT INTO accounts (id, owner, balance) VALUES (1, 'ann', ?)", n)
	}
	dbtest.Exec(t, dbtest.OpenDSN(t, two), "UPDATE accounts SET balance = 99 WHERE id = 1")
	name := func(dsn string) []byte {
		cfg, err := immudb.ParseDSN(dsn)
		if err != nil {
			t.Fatal(err)
		}
		return []byte(cfg.Database)
	}
	p, dsn := tamperproxy.Start(t, one)
	dir := "state_dir=" + t.TempDir()
	mustVerify(t, dbtest.OpenDSN(t, dbtest.WithOptions(dsn, trustFirstUse, dir)))

	p.Tamper(on("OpenSession", func(msg []byte) []byte { return bytes.Replace(msg, name(one), name(two), 1) }), nil)
	_, err := immudb.VerifiedRow(t.Context(), dbtest.OpenDSN(t, dbtest.WithOptions(dsn, trustFirstUse, dir)), "accounts", 1)
	mustBeTampering(t, err)
}

func TestAServerReplacedUnderTheSameAddressIsTampering(t *testing.T) {
	first, second := testserver.Start(t, "-synced=false"), testserver.Start(t, "-synced=false")
	for n, s := range []*testserver.Server{first, second} {
		db := dbtest.OpenDSN(t, s.DSN())
		dbtest.Exec(t, db, "CREATE TABLE accounts (id INTEGER, owner VARCHAR[40], balance INTEGER, PRIMARY KEY id)")
		dbtest.Exec(t, db, "INSERT INTO accounts (id, owner, balance) VALUES (1, 'ann', ?)", n)
		dbtest.Exec(t, db, "UPDATE accounts SET balance = 11 WHERE id = 1")
	}
	p, dsn := tamperproxy.Start(t, first.DSN())
	dsn = dbtest.WithOptions(dsn, trustFirstUse, "state_dir="+t.TempDir())
	trusted := stateOf(t, dbtest.OpenDSN(t, dsn))

	p.Connect(t, second.DSN())
	_, err := immudb.VerifiedRow(t.Context(), dbtest.OpenDSN(t, dsn), "accounts", 1)
	mustBeTampering(t, err)
	var found *immudb.Tampering
	if errors.As(err, &found) && found.Expected != trusted.ServerUUID {
		t.Errorf("got %+v, want one that names the server %s", found, trusted.ServerUUID)
	}

	other := stateOf(t, dbtest.OpenDSN(t, dbtest.WithOptions(second.DSN(), trustFirstUse))).ServerUUID
	p.Tamper(nil, on("OpenSession", func(msg []byte) []byte {
		return bytes.ReplaceAll(msg, []byte(other), []byte(trusted.ServerUUID))
	}))
	_, err = immudb.VerifiedRow(t.Context(), dbtest.OpenDSN(t, dsn), "accounts", 1)
	if !errors.Is(err, immudb.ErrTampered) && !errors.Is(err, immudb.ErrServerOlder) {
		t.Errorf("with the UUID of the first: err = %v", err)
	}

	p.Connect(t, first.DSN())
	p.Tamper(nil, nil)
	mustVerify(t, dbtest.OpenDSN(t, dsn))
}

// A replica at the same address has another UUID and the same history.
func TestAServerWithTheSameHistoryIsTrustedUnderAnotherUUID(t *testing.T) {
	p, dsn := tamperproxy.Start(t, dbtest.FreshDSN(t))
	dsn = dbtest.WithOptions(dsn, "state_dir="+t.TempDir())
	db := dbtest.OpenDSN(t, dbtest.WithOptions(dsn, trustFirstUse))
	dbtest.Exec(t, db, "CREATE TABLE accounts (id INTEGER, PRIMARY KEY id); INSERT INTO accounts (id) VALUES (1)")
	uuid := stateOf(t, db).ServerUUID
	p.Tamper(nil, on("OpenSession", func(msg []byte) []byte {
		return bytes.ReplaceAll(msg, []byte(uuid), []byte(strings.Repeat("x", len(uuid))))
	}))
	mustVerify(t, dbtest.OpenDSN(t, dsn)) // not even by first use
}

// newKey makes a signing key and returns the files of its two halves.
func newKey(t testing.TB) (private, public string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, der []byte, err error) string {
		path := filepath.Join(t.TempDir(), name)
		if err == nil {
			err = os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	der, err := x509.MarshalECPrivateKey(key)
	private = write("key.pem", "EC PRIVATE KEY", der, err)
	der, err = x509.MarshalPKIXPublicKey(&key.PublicKey)
	return private, write("pub.pem", "PUBLIC KEY", der, err)
}

func TestOnlyTheKeyOfTheServerSigns(t *testing.T) {
	private, public := newKey(t)
	_, other := newKey(t)
	s := testserver.Start(t, "-synced=false", "-signing-key="+private)
	db := dbtest.OpenDSN(t, dbtest.WithOptions(s.DSN(), "verify=trust-first-use,commits", "server_public_key="+public))
	dbtest.Exec(t, db, "CREATE TABLE accounts (id INTEGER, PRIMARY KEY id)")
	dbtest.Exec(t, db, "INSERT INTO accounts (id) VALUES (1)")
	mustVerify(t, db)
	if r, err := immudb.Audit(t.Context(), db, immudb.AuditOptions{FromStart: true}); err != nil || !r.Signed {
		t.Errorf("audit: %+v, %v", r, err)
	}
	if len(stateOf(t, db).Signature) == 0 {
		t.Error("the state has lost its signature")
	}

	forged := dbtest.OpenDSN(t, dbtest.WithOptions(s.DSN(), trustFirstUse, "server_public_key="+other))
	if _, err := immudb.VerifiedRow(t.Context(), forged, "accounts", 1); !errors.Is(err, immudb.ErrSignature) {
		t.Errorf("the signature of another key: err = %v, want ErrSignature", err)
	}
	unsigned := dbtest.Open(t, trustFirstUse, "server_public_key="+public)
	if _, err := immudb.NewVerifier(unsigned).State(t.Context()); err != nil {
		t.Errorf("an empty database needs no signature: %v", err)
	}
	dbtest.Exec(t, unsigned, "CREATE TABLE accounts (id INTEGER, PRIMARY KEY id); INSERT INTO accounts (id) VALUES (1)")
	if _, err := immudb.VerifiedRow(t.Context(), unsigned, "accounts", 1); !errors.Is(err, immudb.ErrSignature) {
		t.Errorf("a server that does not sign: err = %v, want ErrSignature", err)
	}
}

// The server accepts a database's name in any case, and signs its own spelling.
func TestADatabaseIsTheSameHoweverItIsSpelt(t *testing.T) {
	private, public := newKey(t)
	s := testserver.Start(t, "-synced=false", "-signing-key="+private)
	dsn := dbtest.WithOptions(s.DSN(), "server_public_key="+public, "state_dir="+t.TempDir())
	first := dbtest.OpenDSN(t, dbtest.WithOptions(dsn, trustFirstUse))
	dbtest.Exec(t, first, "CREATE TABLE accounts (id INTEGER, PRIMARY KEY id); INSERT INTO accounts (id) VALUES (1)")
	mustVerify(t, first)
	cfg, err := immudb.ParseDSN(dsn)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Database = strings.ToUpper(cfg.Database)
	again := dbtest.OpenDSN(t, cfg.FormatDSN()) // which knows it, without first use
	mustVerify(t, again)
	if a, b := stateOf(t, first), stateOf(t, again); a.Database != b.Database || a.Pin() != b.Pin() {
		t.Errorf("trusted are %+v and %+v", a, b)
	}
}

func TestARestoredBackupIsOlderAndThenTampering(t *testing.T) {
	s := testserver.Start(t)
	dsn := dbtest.WithOptions(s.DSN(), trustFirstUse, "state_dir="+t.TempDir())
	db := dbtest.OpenDSN(t, dsn)
	dbtest.Exec(t, db, "CREATE TABLE accounts (id INTEGER, owner VARCHAR[40], balance INTEGER, PRIMARY KEY id)")
	dbtest.Exec(t, db, "INSERT INTO accounts (id, owner, balance) VALUES (1, 'ann', 10)")
	mustVerify(t, db)
	backup := t.TempDir()
	restart := func(between func()) {
		t.Helper()
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
		between()
		if err := s.Restart(); err != nil {
			t.Fatal(err)
		}
	}
	dir := s.Info().Dir
	restart(func() {
		if err := os.CopyFS(backup, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
	})
	db = dbtest.OpenDSN(t, dsn)
	dbtest.Exec(t, db, "UPDATE accounts SET balance = 20 WHERE id = 1")
	dbtest.Exec(t, db, "UPDATE accounts SET balance = 30 WHERE id = 1")
	mustVerify(t, db)
	trusted := stateOf(t, db)
	restart(func() {
		for _, entry := range []string{"defaultdb", "systemdb"} {
			if err := errors.Join(os.RemoveAll(filepath.Join(dir, entry)),
				os.CopyFS(filepath.Join(dir, entry), os.DirFS(filepath.Join(backup, entry)))); err != nil {
				t.Fatal(err)
			}
		}
	})
	for name, db := range map[string]*sql.DB{"the connector that knew it": db, "another": dbtest.OpenDSN(t, dsn)} {
		if _, err := immudb.VerifiedRow(t.Context(), db, "accounts", 1); !errors.Is(err, immudb.ErrServerOlder) {
			t.Errorf("%s: err = %v, want ErrServerOlder", name, err)
		}
	}
	// The server continues from there with another history.
	plain := dbtest.OpenDSN(t, s.DSN())
	for range 3 {
		dbtest.Exec(t, plain, "UPDATE accounts SET balance = balance + 1 WHERE id = 1")
	}
	for name, db := range map[string]*sql.DB{"the connector that knew it": db, "another": dbtest.OpenDSN(t, dsn)} {
		_, err := immudb.VerifiedRow(t.Context(), db, "accounts", 1)
		if mustBeTampering(t, err); t.Failed() {
			t.Error(name)
		}
	}
	if now := stateOf(t, db); now.Pin() != trusted.Pin() {
		t.Errorf("the trusted state is %s, was %s", now.Pin(), trusted.Pin())
	}
}
