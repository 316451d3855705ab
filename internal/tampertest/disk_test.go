package tampertest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/testserver"
)

// Files are altered while the server is stopped. Then the server does not start, or returns
// errors, or the driver detects tampering; but an altered row or history is never proven.
func TestTamperingWithTheFilesOfAServerIsNoticed(t *testing.T) {
	t.Parallel() // it has a separate server, and mostly waits for its starts
	s := testserver.Start(t)
	states := t.TempDir()
	dsn := dbtest.WithOptions(s.DSN(), trustFirstUse, "state_dir="+states, "connect_timeout=5", "max_retries=0")
	revisions := writeHistory(t, dsn)
	dir := filepath.Join(s.Info().Dir, "defaultdb")
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}

	for _, kind := range []struct {
		files   string
		must    bool // every change alters a row or the history; the server can restore the data of the other files
		flips   int
		comment string
	}{
		{"val_0/*.val", true, 4, "the values"},
		{"tx/*.tx", true, 4, "the transactions"},
		{"commit/*.txi", false, 3, "where the transactions are"},
		{"aht/data/*.dat", false, 1, "the leaves of the linking tree"},
		{"aht/tree/*.sha", false, 4, "its nodes"},
		{"aht/commit/*.di", false, 1, "where the nodes are"},
		{"index_024d2e*/nodes/*.n", false, 4, "the index of the rows"},
		{"index_024d2e*/history/*.hx", false, 1, "its history"},
		{"index_024d2e*/commit/*.ri", false, 1, "where its root is"},
	} {
		paths, err := filepath.Glob(filepath.Join(dir, kind.files))
		if err != nil || len(paths) == 0 {
			t.Fatalf("%s: no such file (%v)", kind.files, err)
		}
		path := paths[0]
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		seen := make(map[string]int)
		for i := range kind.flips {
			// The first part of a file describes the file.
			at := len(whole)/2 + (len(whole)/2-1)*i/max(1, kind.flips-1)
			outcome := withFlip(t, s, dsn, path, at, revisions)
			seen[outcome]++
			if outcome == harmless && kind.must {
				t.Errorf("byte %d of %d of %s (%s) was changed and nobody noticed", at, len(whole), kind.files, kind.comment)
			}
		}
		t.Logf("%s: %v", kind.comment, seen)
	}

	if err := s.Restart(); err != nil {
		t.Fatal(err)
	}
	if outcome := readAll(t, dsn, revisions); outcome != harmless {
		t.Errorf("the files as they were: %s", outcome)
	}
}

// harmless: every row and the whole history is proven and unchanged.
const harmless = "harmless"

// writeHistory writes rows, some of them twice, each in its own transaction. The file of
// states trusts all of them. It returns the values that each transaction wrote.
func writeHistory(t *testing.T, dsn string) map[uint64][]any {
	t.Helper()
	db := dbtest.OpenDSN(t, dsn)
	defer db.Close()
	dbtest.Exec(t, db, "CREATE TABLE accounts (id INTEGER, owner VARCHAR[40], balance INTEGER, PRIMARY KEY id)")
	revisions := make(map[uint64][]any)
	for i := range 30 {
		id, owner := int64(i%20+1), fmt.Sprintf("owner number %d", i)
		dbtest.Exec(t, db, "UPSERT INTO accounts (id, owner, balance) VALUES (?, ?, ?)", id, owner, i)
		row, err := immudb.VerifiedRow(t.Context(), db, "accounts", id)
		if err != nil {
			t.Fatal(err)
		}
		revisions[row.TxID] = row.Values
	}
	return revisions
}

// withFlip runs the server with one bit of a file changed.
func withFlip(t *testing.T, s *testserver.Server, dsn, path string, at int, revisions map[uint64][]any) (outcome string) {
	t.Helper()
	dir := filepath.Dir(s.Info().Dir)
	backup := filepath.Join(t.TempDir(), "backup")
	if err := os.CopyFS(backup, os.DirFS(s.Info().Dir)); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := errors.Join(s.Kill(), os.RemoveAll(s.Info().Dir), os.CopyFS(s.Info().Dir, os.DirFS(backup))); err != nil {
			t.Fatal(dir, err)
		}
	}()
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	var b [1]byte
	_, err = file.ReadAt(b[:], int64(at))
	b[0] ^= 1 << (at % 8)
	if err == nil {
		_, err = file.WriteAt(b[:], int64(at))
	}
	if err := errors.Join(err, file.Close()); err != nil {
		t.Fatal(err)
	}
	if err := s.Restart(); err != nil {
		return "the server does not start"
	}
	return readAll(t, dsn, revisions)
}

// readAll reads and verifies every row and the history, and returns the outcome.
func readAll(t *testing.T, dsn string, revisions map[uint64][]any) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	db, err := sql.Open("immudb", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	before := stateFiles(t, dsn)
	var failed []error
	check := func(rows []*immudb.ProvenRow, err error) {
		for _, row := range rows {
			if !reflect.DeepEqual(row.Values, revisions[row.TxID]) {
				t.Errorf("an altered row is proven: tx %d wrote %v, got %v", row.TxID, revisions[row.TxID], row.Values)
			}
		}
		if err != nil {
			failed = append(failed, err)
		}
	}
	for id := range 20 {
		row, err := immudb.VerifiedRow(ctx, db, "accounts", id+1)
		if err != nil {
			check(nil, err)
			continue
		}
		check([]*immudb.ProvenRow{row}, nil)
	}
	check(immudb.VerifyRows(ctx, db, "accounts", ""))
	_, err = immudb.Audit(ctx, db, immudb.AuditOptions{Tables: []string{"*"}})
	check(nil, err)
	if after := stateFiles(t, dsn); after != before {
		t.Errorf("the trusted state is\n%s, was\n%s", after, before)
	}
	for _, err := range failed {
		if errors.Is(err, immudb.ErrTampered) {
			return "tampering"
		}
	}
	switch {
	case len(failed) == 0:
		return harmless
	case errors.Is(failed[0], immudb.ErrServerOlder):
		return "the server is older"
	}
	return "the server answers with an error"
}

// stateFiles returns the trusted states.
func stateFiles(t *testing.T, dsn string) string {
	t.Helper()
	cfg, err := immudb.ParseDSN(dsn)
	if err != nil {
		t.Fatal(err)
	}
	store, err := immudb.NewFileStateStore(cfg.Verify.StateDir)
	if err != nil {
		t.Fatal(err)
	}
	states, err := store.States(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, s := range states {
		fmt.Fprintln(&b, s.Database, s.Pin())
	}
	return b.String()
}
