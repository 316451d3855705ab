package feedtest

import (
	"errors"
	"testing"
	"time"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
)

// A feed may begin before there is anything, and its reader may use the same sql.DB, of one connection.
func TestAFeedOfAnEmptyDatabaseWaitsForTheFirstTransaction(t *testing.T) {
	db := dbtest.Open(t, trustFirstUse)
	db.SetMaxOpenConns(1)
	made, n := false, 0
	failed := make(chan error, 1)
	opts := immudb.ChangesOptions{Follow: true, PollInterval: 50 * time.Millisecond}
	opts.Progress = func(immudb.Cursor) {
		if made {
			return
		}
		made = true
		for _, statement := range []string{"CREATE TABLE t (id INTEGER, PRIMARY KEY id)", "INSERT INTO t (id) VALUES (1)"} {
			if _, err := db.ExecContext(t.Context(), statement); err != nil {
				failed <- err
			}
		}
	}
	for c, err := range immudb.Changes(t.Context(), db, opts) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n == 2 {
			if got := dbtest.Get[int64](t, db, "SELECT id FROM t"); got != c.Key()[0] {
				t.Errorf("row %d, the change is of %v", got, c.Key())
			}
			break
		}
	}
	if len(failed) > 0 {
		t.Fatal(<-failed)
	}
}

// A text that is no cursor is refused, whatever part of it is wrong.
func TestADamagedCursorIsRefused(t *testing.T) {
	db := dbtest.Open(t, trustFirstUse)
	dbtest.Exec(t, db, "CREATE TABLE accounts (id INTEGER, owner VARCHAR[40], PRIMARY KEY id)")
	text := all(t, db, immudb.ChangesOptions{})[0].Cursor.String()
	for i := range text {
		damaged := []byte(text)
		if damaged[i]++; damaged[i]%2 == 0 {
			damaged[i] += 2
		}
		for _, text := range []string{string(damaged), text[:i] + text[i+1:]} {
			if c, err := immudb.ParseCursor(text); err == nil || !errors.Is(err, immudb.ErrInvalidValue) {
				t.Errorf("%q is read as %q, %v", text, c, err)
			}
		}
		if c, err := immudb.ParseCursor(text[:i]); i > 0 && (err == nil && c.String() != text[:i] || err != nil && !errors.Is(err, immudb.ErrInvalidValue)) {
			t.Errorf("%q is read as %q, %v", text[:i], c, err)
		}
	}
}
