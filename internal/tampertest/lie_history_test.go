package tampertest

import (
	"bytes"
	"database/sql"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/tamperproxy"
	"github.com/immudb-go/immudb/internal/testserver"
)

// withAccount creates one account on the server of a DSN.
func withAccount(t *testing.T, dsn, owner string) {
	t.Helper()
	db := dbtest.OpenDSN(t, dsn)
	dbtest.Exec(t, db, "CREATE TABLE accounts (id INTEGER, owner VARCHAR[40], balance INTEGER, PRIMARY KEY id)")
	dbtest.Exec(t, db, "INSERT INTO accounts (id, owner, balance) VALUES (1, ?, 10)", owner)
}

func hostOf(t *testing.T, dsn string) string {
	t.Helper()
	cfg, err := immudb.ParseDSN(dsn)
	if err != nil {
		t.Fatal(err)
	}
	return cfg.Hosts[0]
}

// withHost returns the DSN with other hosts.
func withHost(t *testing.T, dsn string, hosts ...string) string {
	t.Helper()
	cfg, err := immudb.ParseDSN(dsn)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Hosts = hosts
	return cfg.FormatDSN()
}

// If two servers have databases with the same name, they must have the same history, or one
// of them is refused: at another host of the DSN, with another spelling of the host, and
// with each UUID of the server.
func TestAnotherHistoryIsRefusedAtEveryHost(t *testing.T) {
	one, two := testserver.Start(t, "-synced=false"), testserver.Start(t, "-synced=false")
	withAccount(t, one.DSN(), "ann")
	withAccount(t, two.DSN(), "eve")
	dir := "state_dir=" + t.TempDir()
	mustVerify(t, dbtest.OpenDSN(t, dbtest.WithOptions(one.DSN(), trustFirstUse, dir)))

	_, err := immudb.VerifiedRow(t.Context(), dbtest.OpenDSN(t, dbtest.WithOptions(two.DSN(), trustFirstUse, dir)), "accounts", 1)
	mustBeTampering(t, err)
	if err != nil && !strings.Contains(err.Error(), "history=") {
		t.Errorf("err = %v, want one that names the option history", err)
	}
	hosts := withHost(t, two.DSN(), hostOf(t, two.DSN()), hostOf(t, one.DSN()))
	_, err = immudb.VerifiedRow(t.Context(), dbtest.OpenDSN(t, dbtest.WithOptions(hosts, trustFirstUse, dir)), "accounts", 1)
	mustBeTampering(t, err)

	// Honest cases that must be accepted: the same server with another host name, and another
	// database with another name.
	local := withHost(t, one.DSN(), strings.Replace(hostOf(t, one.DSN()), "127.0.0.1", "localhost", 1))
	mustVerify(t, dbtest.OpenDSN(t, dbtest.WithOptions(local, dir)))
	named := dbtest.OpenDSN(t, dbtest.WithOptions(two.DSN(), trustFirstUse, dir, "history=two"))
	if owner, _ := mustVerify(t, named).Value("owner"); owner != "eve" || stateOf(t, named).History != "two" {
		t.Errorf("owner is %v, trusted is %+v", owner, stateOf(t, named))
	}
	mustVerify(t, dbtest.OpenDSN(t, dbtest.WithOptions(one.DSN(), dir)))
}

// If a server shows two processes different histories and UUIDs at their first use, only one
// of them trusts it.
func TestSplitViewAtFirstUseIsTrustedOnce(t *testing.T) {
	one, two := testserver.Start(t, "-synced=false"), testserver.Start(t, "-synced=false")
	withAccount(t, one.DSN(), "ann")
	withAccount(t, two.DSN(), "eve")
	dir := "state_dir=" + t.TempDir()
	var asked sync.WaitGroup
	asked.Add(2)
	var dbs []*sql.DB
	for _, s := range []*testserver.Server{one, two} {
		p, dsn := tamperproxy.Start(t, s.DSN())
		var once sync.Once
		p.Tamper(nil, on("CurrentState", func(msg []byte) []byte {
			once.Do(func() { asked.Done(); asked.Wait() }) // the server answers when both have asked for the first state
			return msg
		}))
		dbs = append(dbs, dbtest.OpenDSN(t, dbtest.WithOptions(dsn, trustFirstUse, dir)))
	}
	errs := make([]error, len(dbs))
	var wg sync.WaitGroup
	for i, db := range dbs {
		wg.Go(func() { _, errs[i] = immudb.VerifiedRow(t.Context(), db, "accounts", 1) })
	}
	wg.Wait()
	if (errs[0] == nil) == (errs[1] == nil) {
		t.Fatalf("the two histories: %v and %v, want one believed", errs[0], errs[1])
	}
	for i, db := range dbs {
		if errs[i] == nil {
			mustVerify(t, db)
			continue
		}
		mustBeTampering(t, errs[i])
		_, err := immudb.VerifiedRow(t.Context(), db, "accounts", 1)
		mustBeTampering(t, err)
	}
}

func TestChangeOfServerUUIDIsLogged(t *testing.T) {
	p, dsn := tamperproxy.Start(t, dbtest.FreshDSN(t))
	withAccount(t, dsn, "ann")
	dsn = dbtest.WithOptions(dsn, trustFirstUse, "state_dir="+t.TempDir())
	open := func() (*sql.DB, *bytes.Buffer) {
		cfg, err := immudb.ParseDSN(dsn)
		if err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
		connector, err := immudb.NewConnector(cfg)
		if err != nil {
			t.Fatal(err)
		}
		db := sql.OpenDB(connector)
		t.Cleanup(func() { _ = db.Close() })
		return db, &log
	}
	db, log := open()
	mustVerify(t, db)
	uuid := stateOf(t, db).ServerUUID
	if strings.Contains(log.String(), "another server") || strings.Count(log.String(), "first trust") != 1 {
		t.Errorf("at first use the log is %q, want one record, of the first trust", log)
	}
	other := strings.Repeat("x", len(uuid))
	p.Tamper(nil, on("OpenSession", func(msg []byte) []byte { return bytes.ReplaceAll(msg, []byte(uuid), []byte(other)) }))
	db, log = open()
	mustVerify(t, db)
	if !strings.Contains(log.String(), other) {
		t.Errorf("the log is %q, want one that names %s", log, other)
	}
}

// fork is a server whose history was restored to an earlier state and then continued
// differently.
type fork struct {
	*testserver.Server
	t      *testing.T
	backup string
}

func newFork(t *testing.T) *fork {
	t.Helper()
	return &fork{testserver.Start(t, "-synced=false"), t, t.TempDir()}
}

func (f *fork) mark() {
	f.t.Helper()
	if err := errors.Join(f.Stop(), os.CopyFS(f.backup, os.DirFS(f.Info().Dir)), f.Restart()); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fork) putBack() {
	f.t.Helper()
	dir := filepath.Join(f.Info().Dir, "defaultdb")
	if err := errors.Join(f.Stop(), os.RemoveAll(dir), os.CopyFS(dir, os.DirFS(filepath.Join(f.backup, "defaultdb"))), f.Restart()); err != nil {
		f.t.Fatal(err)
	}
}

// A pinned state is the minimum for every process that shares the directory, not only for
// the process with the option.
func TestNewerPinIsStoredForAllProcesses(t *testing.T) {
	s := newFork(t)
	dir := "state_dir=" + t.TempDir()
	withAccount(t, s.DSN(), "ann")
	mustVerify(t, dbtest.OpenDSN(t, dbtest.WithOptions(s.DSN(), trustFirstUse, dir)))
	s.mark()
	plain := dbtest.OpenDSN(t, s.DSN())
	dbtest.Exec(t, plain, "UPDATE accounts SET balance = 20 WHERE id = 1")
	dbtest.Exec(t, plain, "UPDATE accounts SET balance = 30 WHERE id = 1")
	pin := stateOf(t, dbtest.OpenDSN(t, dbtest.WithOptions(s.DSN(), trustFirstUse)))

	pinned := dbtest.OpenDSN(t, dbtest.WithOptions(s.DSN(), dir, "trusted_state="+pin.Pin()))
	if got := stateOf(t, pinned); got.Pin() != pin.Pin() {
		t.Errorf("with the pin tx %d is trusted, want %d", got.TxID, pin.TxID)
	}
	mustVerify(t, dbtest.OpenDSN(t, dbtest.WithOptions(s.DSN(), dir))) // an honest server is accepted without the pin
	_ = pinned.Close()

	s.putBack()
	plain = dbtest.OpenDSN(t, s.DSN())
	if _, err := immudb.VerifiedRow(t.Context(), dbtest.OpenDSN(t, dbtest.WithOptions(s.DSN(), dir)), "accounts", 1); !errors.Is(err, immudb.ErrServerOlder) {
		t.Errorf("a server put back below the pin: err = %v, want ErrServerOlder", err)
	}
	for range 3 {
		dbtest.Exec(t, plain, "UPDATE accounts SET balance = balance + 1 WHERE id = 1")
	}
	_, err := immudb.VerifiedRow(t.Context(), dbtest.OpenDSN(t, dbtest.WithOptions(s.DSN(), dir)), "accounts", 1)
	mustBeTampering(t, err)
}

// The stored state and the pin must be of the same history, whichever of them is newer.
func TestPinOfAnotherHistoryIsRefused(t *testing.T) {
	s := newFork(t)
	dir := "state_dir=" + t.TempDir()
	withAccount(t, s.DSN(), "ann")
	s.mark()
	update := func(balance int) {
		t.Helper()
		dbtest.Exec(t, dbtest.OpenDSN(t, s.DSN()), "UPDATE accounts SET balance = ? WHERE id = 1", balance)
	}
	update(1)
	lost := stateOf(t, dbtest.OpenDSN(t, dbtest.WithOptions(s.DSN(), trustFirstUse)))
	s.putBack()
	update(2)
	stateOf(t, dbtest.OpenDSN(t, dbtest.WithOptions(s.DSN(), trustFirstUse, dir)))
	update(3)
	update(4)
	newer := stateOf(t, dbtest.OpenDSN(t, dbtest.WithOptions(s.DSN(), trustFirstUse)))
	forged := newer
	forged.Hash[0] ^= 1
	for what, pin := range map[string]immudb.State{"one that was lost": lost, "one that never was": forged} {
		_, err := immudb.VerifiedRow(t.Context(), dbtest.OpenDSN(t, dbtest.WithOptions(s.DSN(), dir, "trusted_state="+pin.Pin())), "accounts", 1)
		if mustBeTampering(t, err); t.Failed() {
			t.Fatal(what)
		}
	}
	mustVerify(t, dbtest.OpenDSN(t, dbtest.WithOptions(s.DSN(), dir, "trusted_state="+newer.Pin())))
}
