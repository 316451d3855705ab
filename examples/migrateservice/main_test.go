package main

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

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
	res, err := srv.Client().Post(srv.URL+"/notes", "application/json", strings.NewReader(`{"author": "ada", "body": "hello"}`))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res, err = srv.Client().Get(srv.URL + "/notes?author=ada"); err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if want := `[{"id":1,"author":"ada","body":"hello"}]`; err != nil || strings.TrimSpace(string(body)) != want {
		t.Errorf("got %s (%v), want %s", body, err, want)
	}

	stopped, stop := context.WithCancel(t.Context())
	stop()
	if err := migrateUp(stopped, dbs[0]); !errors.Is(err, context.Canceled) {
		t.Errorf("a service that is told to stop: %v", err)
	}
}
