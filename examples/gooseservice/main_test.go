package main

import (
	"database/sql"
	"io"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/pressly/goose/v3"

	"github.com/immudb-go/immudb/examples/internal/notes"
	"github.com/immudb-go/immudb/internal/testserver"
)

func TestMain(m *testing.M) { os.Exit(testserver.Main(m, testserver.NoSessions)) }

func TestServiceMigratesOnStart(t *testing.T) {
	dsn := testserver.Shared(t).NewDatabase(t)
	var dbs [3]*sql.DB
	var starting sync.WaitGroup
	for i := range dbs {
		db, err := sql.Open("immudb", dsn)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		dbs[i] = db
		starting.Go(func() {
			if err := migrateUp(t.Context(), db); err != nil {
				t.Error(err)
			}
		})
	}
	starting.Wait()
	srv := httptest.NewServer(notes.Handler(dbs[0]))
	defer srv.Close()
	res, err := srv.Client().Get(srv.URL + "/notes?author=service")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if want := `[{"id":1,"author":"service","body":"welcome"}]`; err != nil || strings.TrimSpace(string(body)) != want {
		t.Errorf("got %s (%v), want %s", body, err, want)
	}
}

func TestMigrationsGoDownAndUpAgain(t *testing.T) {
	db, err := sql.Open("immudb", testserver.Shared(t).NewDatabase(t))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	provider, err := newProvider(db)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := provider.Up(t.Context()); err != nil {
			t.Fatal(err)
		}
		status, err := provider.Status(t.Context())
		if err != nil || len(status) != 3 || status[2].State != goose.StateApplied {
			t.Fatalf("status %v (%v), want 3 applied", status, err)
		}
		if _, err := provider.DownTo(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
	}
}
