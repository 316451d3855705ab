package tampertest

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/tamperproxy"
	"github.com/immudb-go/immudb/internal/testserver"
)

// A failed verification changes no trusted state. It does not keep the definition of a new
// table either.
func TestFailedFirstUseDoesNotKeepTheTableDefinition(t *testing.T) {
	p, dsn := tamperproxy.Start(t, dbtest.FreshDSN(t))
	db := dbtest.OpenDSN(t, dbtest.WithOptions(dsn, trustFirstUse))
	dbtest.Exec(t, db, "CREATE TABLE accounts (id INTEGER, debit INTEGER, money INTEGER, PRIMARY KEY id)")
	dbtest.Exec(t, db, "INSERT INTO accounts (id, debit, money) VALUES (1, 10, 20)")
	before := stateOf(t, db)
	swap := strings.NewReplacer("debit", "money", "money", "debit")
	p.Tamper(nil, on("VerifiableSQLGet", func(msg []byte) []byte {
		msg = []byte(swap.Replace(string(msg)))
		return bytes.ReplaceAll(msg, binary64(20), binary64(21)) // a value that is not the proven one
	}))
	for range 2 {
		_, err := immudb.VerifiedRow(t.Context(), db, "accounts", 1)
		mustBeTampering(t, err)
	}
	if after := stateOf(t, db); !reflect.DeepEqual(after, before) {
		t.Errorf("the trusted state is %+v, was %+v", after, before)
	}
	p.Tamper(nil, nil)
	if debit, _ := mustVerify(t, db).Value("debit"); debit != int64(10) {
		t.Errorf("debit is %v, want 10", debit)
	}
	if _, err := immudb.Audit(t.Context(), db, immudb.AuditOptions{FromStart: true}); err != nil {
		t.Errorf("audit: %v", err)
	}
}

func binary64(n byte) []byte { return []byte{0, 0, 0, 0, 0, 0, 0, n} }

func TestATableThatIsAnotherEachTimeIsTampering(t *testing.T) {
	p, dsn := tamperproxy.Start(t, dbtest.FreshDSN(t))
	db := dbtest.OpenDSN(t, dbtest.WithOptions(dsn, trustFirstUse))
	dbtest.Exec(t, db, "CREATE TABLE accounts (id INTEGER, debit INTEGER, money INTEGER, PRIMARY KEY id)")
	dbtest.Exec(t, db, "INSERT INTO accounts (id, debit, money) VALUES (1, 10, 20)")
	swap, swapped := strings.NewReplacer("debit", "money", "money", "debit"), false
	p.Tamper(nil, on("VerifiableSQLGet", func(msg []byte) []byte {
		if swapped = !swapped; swapped {
			return []byte(swap.Replace(string(msg)))
		}
		return msg
	}))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, err := immudb.VerifiedRow(ctx, db, "accounts", 1)
	mustBeTampering(t, err)
}

// If two processes use a table for the first time at once, they must not trust different
// definitions of it.
func TestOnlyOneDefinitionOfATableIsTrusted(t *testing.T) {
	p, dsn := tamperproxy.Start(t, dbtest.FreshDSN(t))
	dsn = dbtest.WithOptions(dsn, trustFirstUse, "state_dir="+t.TempDir())
	first, second := dbtest.OpenDSN(t, dsn), dbtest.OpenDSN(t, dsn)
	dbtest.Exec(t, first, "CREATE TABLE accounts (id INTEGER, debit INTEGER, money INTEGER, PRIMARY KEY id)")
	dbtest.Exec(t, first, "INSERT INTO accounts (id, debit, money) VALUES (1, 10, 20)")
	stateOf(t, first)
	stateOf(t, second)
	mustVerify(t, first)
	pinned := stateOf(t, first).Tables["accounts"]

	swap := strings.NewReplacer("debit", "money", "money", "debit")
	p.Tamper(nil, on("VerifiableSQLGet", func(msg []byte) []byte { return []byte(swap.Replace(string(msg))) }))
	_, err := immudb.VerifiedRow(t.Context(), second, "accounts", 1)
	mustBeTampering(t, err)
	p.Tamper(nil, nil)
	if debit, _ := mustVerify(t, second).Value("debit"); debit != int64(10) || stateOf(t, second).Tables["accounts"] != pinned {
		t.Errorf("debit is %v, want 10, by the definition that was pinned", debit)
	}
}

// Another process has relied on the table's definition from before a change. That is not
// tampering.
func TestATableThatChangesBetweenTwoFirstUsesIsProven(t *testing.T) {
	dsn := dbtest.WithOptions(dbtest.FreshDSN(t), trustFirstUse, "state_dir="+t.TempDir())
	first, second := dbtest.OpenDSN(t, dsn), dbtest.OpenDSN(t, dsn)
	dbtest.Exec(t, first, "CREATE TABLE accounts (id INTEGER, balance INTEGER, PRIMARY KEY id); INSERT INTO accounts (id, balance) VALUES (1, 10)")
	stateOf(t, second)
	mustVerify(t, first)
	dbtest.Exec(t, first, "ALTER TABLE accounts RENAME COLUMN balance TO cents")
	if err := immudb.NewVerifier(first).AcceptSchema(t.Context(), "accounts"); err != nil {
		t.Fatal(err)
	}
	for _, db := range []*sql.DB{second, first} {
		if cents, _ := mustVerify(t, db).Value("cents"); cents != int64(10) {
			t.Errorf("cents is %v, want 10", cents)
		}
	}
}

func TestADatabaseThatOnlySaysThatItIsEmptyIsTampering(t *testing.T) {
	p, dsn := tamperproxy.Start(t, dbtest.FreshDSN(t))
	dbtest.Exec(t, dbtest.OpenDSN(t, dsn), "CREATE TABLE accounts (id INTEGER, PRIMARY KEY id); INSERT INTO accounts (id) VALUES (1)")
	p.Tamper(nil, on("CurrentState", func([]byte) []byte { return nil }))
	db := dbtest.OpenDSN(t, dbtest.WithOptions(dsn, trustFirstUse))
	_, err := immudb.VerifiedRow(t.Context(), db, "accounts", 1)
	mustBeTampering(t, err)
	_, err = immudb.VerifyRows(t.Context(), db, "accounts", "")
	mustBeTampering(t, err)
	p.Tamper(nil, nil)
	mustVerify(t, db)
}

// The file of states is replaced by an older one while a program runs.
func TestRestoredOlderStateFileIsNotUsed(t *testing.T) {
	dir := t.TempDir()
	dsn := dbtest.WithOptions(dbtest.FreshDSN(t), trustFirstUse, "state_dir="+dir)
	db := dbtest.OpenDSN(t, dsn)
	dbtest.Exec(t, db, "CREATE TABLE accounts (id INTEGER, balance INTEGER, PRIMARY KEY id)")
	dbtest.Exec(t, db, "INSERT INTO accounts (id, balance) VALUES (1, 10)")
	mustVerify(t, db)
	backup := filepath.Join(t.TempDir(), "states")
	if err := os.CopyFS(backup, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	dbtest.Exec(t, db, "UPDATE accounts SET balance = 20 WHERE id = 1")
	mustVerify(t, db)
	trusted := stateOf(t, db)
	files, err := filepath.Glob(filepath.Join(backup, "*.json"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	content, err := os.ReadFile(files[0])
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, filepath.Base(files[0])), content, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	dbtest.Exec(t, db, "UPDATE accounts SET balance = 30 WHERE id = 1")
	if _, err := immudb.VerifiedRow(t.Context(), db, "accounts", 1); err == nil || !strings.Contains(err.Error(), "back") {
		t.Errorf("err = %v, want one that says that the stored state went back", err)
	}
	if now := stateOf(t, db); now.Pin() != trusted.Pin() {
		t.Errorf("trusted is %s, was %s", now.Pin(), trusted.Pin())
	}
}

func TestAStateThatWasDeletedIsMissedByARunningProgram(t *testing.T) {
	dir := t.TempDir()
	db := dbtest.OpenDSN(t, dbtest.WithOptions(dbtest.FreshDSN(t), trustFirstUse, "state_dir="+dir))
	dbtest.Exec(t, db, "CREATE TABLE accounts (id INTEGER, PRIMARY KEY id); INSERT INTO accounts (id) VALUES (1)")
	mustVerify(t, db)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	dbtest.Exec(t, db, "UPSERT INTO accounts (id) VALUES (1)")
	_, err := immudb.VerifiedRow(t.Context(), db, "accounts", 1)
	if !errors.Is(err, immudb.ErrStateMissing) || !strings.Contains(err.Error(), "deleted") {
		t.Errorf("err = %v, want ErrStateMissing that says that it was deleted", err)
	}
}

// If rows are missing because the server was rolled back, the error says that the server is
// older, and not that the rows do not exist.
func TestMissingRowsOfARolledBackServerAreReportedAsOlder(t *testing.T) {
	s := testserver.Start(t, "-synced=false")
	dsn := dbtest.WithOptions(s.DSN(), trustFirstUse)
	backup, dir := t.TempDir(), s.Info().Dir
	db := dbtest.OpenDSN(t, dsn)
	dbtest.Exec(t, db, "CREATE TABLE accounts (id INTEGER, PRIMARY KEY id); INSERT INTO accounts (id) VALUES (1)")
	restart := func(between func() error) {
		t.Helper()
		if err := errors.Join(s.Stop(), between(), s.Restart()); err != nil {
			t.Fatal(err)
		}
	}
	restart(func() error { return os.CopyFS(backup, os.DirFS(dir)) })
	dbtest.Exec(t, db, "CREATE TABLE later (id INTEGER, PRIMARY KEY id)")
	dbtest.Exec(t, db, "INSERT INTO later (id) VALUES (2)")
	dbtest.Exec(t, db, "INSERT INTO accounts (id) VALUES (2)")
	if _, err := immudb.VerifiedRow(t.Context(), db, "accounts", 2); err != nil {
		t.Fatal(err)
	}
	restart(func() error {
		return errors.Join(os.RemoveAll(filepath.Join(dir, "defaultdb")),
			os.CopyFS(filepath.Join(dir, "defaultdb"), os.DirFS(filepath.Join(backup, "defaultdb"))))
	})
	ask := func() map[string]error {
		_, row := immudb.VerifiedRow(t.Context(), db, "accounts", 2)
		_, table := immudb.VerifiedRow(t.Context(), db, "later", 2)
		_, rows := immudb.VerifyRows(t.Context(), db, "later", "")
		return map[string]error{"a row": row, "a row of a table": table, "a table": rows}
	}
	for what, err := range ask() {
		if !errors.Is(err, immudb.ErrServerOlder) {
			t.Errorf("%s: err = %v, want ErrServerOlder", what, err)
		}
	}
	// The server continues with another history without these rows.
	plain := dbtest.OpenDSN(t, s.DSN())
	for range 5 {
		dbtest.Exec(t, plain, "UPSERT INTO accounts (id) VALUES (1)")
	}
	for what, err := range ask() {
		if mustBeTampering(t, err); t.Failed() {
			t.Error(what)
		}
	}
}

// A pinned state is the first trusted state. The newer trusted state still counts if another
// server takes the place of the first.
func TestPinDoesNotAllowAServerWithAnotherHistory(t *testing.T) {
	s := testserver.Start(t, "-synced=false")
	p, dsn := tamperproxy.Start(t, s.DSN())
	dsn = dbtest.WithOptions(dsn, "state_dir="+t.TempDir())
	backup, dir := t.TempDir(), s.Info().Dir
	db := dbtest.OpenDSN(t, dbtest.WithOptions(dsn, trustFirstUse))
	dbtest.Exec(t, db, "CREATE TABLE accounts (id INTEGER, PRIMARY KEY id); INSERT INTO accounts (id) VALUES (1)")
	pin, uuid := stateOf(t, db).Pin(), stateOf(t, db).ServerUUID
	if err := errors.Join(s.Stop(), os.CopyFS(backup, os.DirFS(dir)), s.Restart()); err != nil {
		t.Fatal(err)
	}
	dbtest.Exec(t, db, "UPSERT INTO accounts (id) VALUES (2)")
	mustVerify(t, db)
	catchUp(t, db)
	if err := errors.Join(s.Stop(), os.RemoveAll(filepath.Join(dir, "defaultdb")),
		os.CopyFS(filepath.Join(dir, "defaultdb"), os.DirFS(filepath.Join(backup, "defaultdb"))), s.Restart()); err != nil {
		t.Fatal(err)
	}
	for id := range 3 {
		dbtest.Exec(t, dbtest.OpenDSN(t, s.DSN()), "UPSERT INTO accounts (id) VALUES (?)", 10+id)
	}
	p.Tamper(nil, on("OpenSession", func(msg []byte) []byte {
		return bytes.ReplaceAll(msg, []byte(uuid), []byte(strings.Repeat("x", len(uuid))))
	}))
	_, err := immudb.VerifiedRow(t.Context(), dbtest.OpenDSN(t, dbtest.WithOptions(dsn, "trusted_state="+pin)), "accounts", 1)
	mustBeTampering(t, err)
}

// catchUp moves the trusted state to the newest transaction.
func catchUp(t *testing.T, db *sql.DB) {
	t.Helper()
	if _, err := immudb.VerifyRows(t.Context(), db, "accounts", ""); err != nil {
		t.Fatal(err)
	}
}

func TestAPinThatIsAheadOfAKnownServerIsOlder(t *testing.T) {
	dsn := dbtest.FreshDSN(t, "state_dir="+t.TempDir())
	db := dbtest.OpenDSN(t, dbtest.WithOptions(dsn, trustFirstUse))
	dbtest.Exec(t, db, "CREATE TABLE accounts (id INTEGER, PRIMARY KEY id); INSERT INTO accounts (id) VALUES (1)")
	mustVerify(t, db)
	ahead := stateOf(t, db)
	ahead.TxID += 100
	_, err := immudb.VerifiedRow(t.Context(), dbtest.OpenDSN(t, dbtest.WithOptions(dsn, "trusted_state="+ahead.Pin())), "accounts", 1)
	if !errors.Is(err, immudb.ErrServerOlder) {
		t.Errorf("err = %v, want ErrServerOlder", err)
	}
}

func TestAPinIsOfTheDatabaseOfItsDSN(t *testing.T) {
	dsn := dbtest.FreshDSN(t)
	db := dbtest.OpenDSN(t, dbtest.WithOptions(dsn, proveCommits))
	dbtest.Exec(t, db, "CREATE TABLE accounts (id INTEGER, PRIMARY KEY id)")
	cfg, err := immudb.ParseDSN(dbtest.FreshDSN(t))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := dbtest.OpenDSN(t, dbtest.WithOptions(dsn, proveCommits, "trusted_state="+stateOf(t, db).Pin())).Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	dbtest.Exec(t, conn, "UPSERT INTO accounts (id) VALUES (1)")
	dbtest.Exec(t, conn, "USE DATABASE "+cfg.Database)
	dbtest.Exec(t, conn, "CREATE TABLE accounts (id INTEGER, PRIMARY KEY id)")
	dbtest.Exec(t, conn, "UPSERT INTO accounts (id) VALUES (1)")
}

// A replica at the address of its primary has another UUID, and may lag a little. The same is
// true of an unrelated server.
func TestAnotherServerAtTheSameAddressThatLagsIsOlder(t *testing.T) {
	p, dsn := tamperproxy.Start(t, dbtest.FreshDSN(t))
	dsn = dbtest.WithOptions(dsn, trustFirstUse, "state_dir="+t.TempDir())
	db := dbtest.OpenDSN(t, dsn)
	dbtest.Exec(t, db, "CREATE TABLE accounts (id INTEGER, PRIMARY KEY id); INSERT INTO accounts (id) VALUES (1)")
	dbtest.Exec(t, db, "UPSERT INTO accounts (id) VALUES (1)")
	mustVerify(t, db)
	uuid := stateOf(t, db).ServerUUID
	other := strings.Repeat("x", len(uuid))
	head := func(msg []byte) []byte { // tx_id, field 2 of the state
		return bytes.Replace(msg, []byte{2 << 3, byte(stateOf(t, db).TxID)}, []byte{2 << 3, 1}, 1)
	}
	p.Tamper(nil, func(method string, msg []byte) []byte {
		switch method {
		case "OpenSession":
			return bytes.ReplaceAll(msg, []byte(uuid), []byte(other))
		case "CurrentState":
			return head(bytes.Clone(msg))
		}
		return msg
	})
	_, err := immudb.VerifiedRow(t.Context(), dbtest.OpenDSN(t, dsn), "accounts", 1)
	if !errors.Is(err, immudb.ErrServerOlder) || errors.Is(err, immudb.ErrTampered) || !strings.Contains(err.Error(), uuid) || !strings.Contains(err.Error(), other) {
		t.Errorf("err = %v, want ErrServerOlder that names both servers", err)
	}
	p.Tamper(nil, on("OpenSession", func(msg []byte) []byte { return bytes.ReplaceAll(msg, []byte(uuid), []byte(other)) }))
	mustVerify(t, dbtest.OpenDSN(t, dsn)) // it has caught up
}

func TestDatabasesAndServersThatShareADirectoryAreToldApart(t *testing.T) {
	dir := "state_dir=" + t.TempDir()
	one := testserver.Shared(t)
	two := testserver.Start(t, "-synced=false")
	var dbs []*sql.DB
	for i, dsn := range []string{one.NewDatabase(t), one.NewDatabase(t), two.DSN()} {
		db := dbtest.OpenDSN(t, dbtest.WithOptions(dsn, trustFirstUse, dir))
		dbtest.Exec(t, db, "CREATE TABLE accounts (id INTEGER, balance INTEGER, PRIMARY KEY id)")
		dbtest.Exec(t, db, "INSERT INTO accounts (id, balance) VALUES (1, ?)", i)
		for range i {
			dbtest.Exec(t, db, "UPDATE accounts SET balance = ? WHERE id = 1", i)
		}
		dbs = append(dbs, db)
	}
	for range 2 {
		seen := make(map[string]bool)
		for i, db := range dbs {
			if balance, _ := mustVerify(t, db).Value("balance"); balance != int64(i) {
				t.Errorf("database %d: balance is %v", i, balance)
			}
			s := stateOf(t, db)
			seen[s.ServerUUID+"/"+s.Database] = true
			dbtest.Exec(t, db, "UPDATE accounts SET balance = ? WHERE id = 1", i)
		}
		if len(seen) != len(dbs) {
			t.Errorf("the states are those of %v", seen)
		}
	}
	conn, err := dbs[0].Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// USE changes the database of the session, and with it the trusted state.
	other := stateOf(t, dbs[1]).Database
	dbtest.Exec(t, conn, "USE DATABASE "+other)
	dbtest.Raw(t, conn, func(c *immudb.Conn) {
		if c.Database() != other {
			t.Errorf("in %s, want %s", c.Database(), other)
		}
	})
}

func TestVerifyingEndsWithItsContext(t *testing.T) {
	p, db := lyingServer(t)
	for _, method := range []string{"CurrentState", "VerifiableTxById", "VerifiableSQLGet", "TxScan"} {
		ctx, cancel := context.WithCancel(t.Context())
		p.Tamper(on(method, func(msg []byte) []byte { cancel(); return msg }), nil)
		_, row := immudb.VerifiedRow(ctx, db, "accounts", 1)
		_, rows := immudb.VerifyRows(ctx, db, "accounts", "")
		_, audit := immudb.Audit(ctx, db, immudb.AuditOptions{FromStart: true})
		if err := errors.Join(row, rows, audit); !errors.Is(err, context.Canceled) || errors.Is(err, immudb.ErrTampered) {
			t.Errorf("%s: err = %v, want context.Canceled", method, err)
		}
		cancel()
	}
	p.Tamper(nil, nil)
	mustVerify(t, db)
	if _, err := immudb.Audit(t.Context(), db, immudb.AuditOptions{FromStart: true}); err != nil {
		t.Errorf("after that: %v", err)
	}
}
