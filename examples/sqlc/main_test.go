package main

import (
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/immudb-go/immudb/examples/sqlc/store"
	"github.com/immudb-go/immudb/internal/testserver"
)

func TestMain(m *testing.M) { os.Exit(testserver.Main(m, testserver.NoSessions)) }

func open(t *testing.T) (*sql.DB, *store.Queries) {
	t.Helper()
	db, err := sql.Open("immudb", testserver.Shared(t).NewDatabase(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	if _, err := db.Exec(schema + index); err != nil {
		t.Fatal(err)
	}
	return db, store.New(db)
}

func text(s string) sql.NullString { return sql.NullString{String: s, Valid: true} }

func create(t *testing.T, q *store.Queries, c store.CreateContactParams) int64 {
	t.Helper()
	id, err := q.CreateContact(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestServerReadsTheSchemaAsSqlcDoes(t *testing.T) {
	db, _ := open(t)
	if _, err := db.Exec(schema + index); err != nil {
		t.Errorf("a second time: %v", err)
	}
	rows, err := db.Query("SELECT name, type, nullable, max_length FROM COLUMNS('contacts')")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var got []string
	for rows.Next() {
		var name, kind string
		var nullable bool
		var length int
		if err := rows.Scan(&name, &kind, &nullable, &length); err != nil {
			t.Fatal(err)
		}
		if kind == "VARCHAR" {
			kind = fmt.Sprint(kind, length)
		}
		got = append(got, fmt.Sprint(name, " ", kind, " ", nullable))
	}
	want := []string{"id INTEGER false", "name VARCHAR64 false", "email VARCHAR128 true", "born TIMESTAMP true",
		"photo BLOB true", "labels JSON true", "active BOOLEAN false", "created_at TIMESTAMP false"}
	if rows.Err() != nil || !slices.Equal(got, want) {
		t.Errorf("got %q (%v), want %q", got, rows.Err(), want)
	}
}

func TestContactComesBackAsItWasCreated(t *testing.T) {
	_, q := open(t)
	began := time.Now().Add(-time.Minute)
	want := store.Contact{ID: 1, Name: "ada", Email: text("ada@example.com"), Photo: []byte{0, 0xff},
		Labels: text(`{"since":1843}`), Active: true,
		Born: sql.NullTime{Time: time.Date(1815, 12, 10, 0, 0, 0, 0, time.UTC), Valid: true}}
	create(t, q, store.CreateContactParams{Name: want.Name, Email: want.Email, Born: want.Born, Photo: want.Photo, Labels: want.Labels})
	got, err := q.GetContact(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if got.CreatedAt.Before(began) || got.CreatedAt.After(time.Now().Add(time.Minute)) {
		t.Errorf("created at %s", got.CreatedAt)
	}
	if want.CreatedAt = got.CreatedAt; !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestOptionalFieldsAreNullOrLeftAlone(t *testing.T) {
	_, q := open(t)
	id := create(t, q, store.CreateContactParams{Name: "ada"})
	update := func(c store.UpdateContactParams) store.Contact {
		t.Helper()
		if n, err := q.UpdateContact(t.Context(), c); err != nil || n != 1 {
			t.Fatalf("%d rows, err = %v", n, err)
		}
		got, err := q.GetContact(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := update(store.UpdateContactParams{ID: id}); got.Name != "ada" || got.Email.Valid || got.Born.Valid || got.Photo != nil || got.Labels.Valid {
		t.Errorf("nothing was given: %+v", got)
	}
	if got := update(store.UpdateContactParams{ID: id, Email: text("a@b")}); got.Name != "ada" || got.Email != text("a@b") {
		t.Errorf("only an email was given: %+v", got)
	}
	if n, err := q.UpdateContact(t.Context(), store.UpdateContactParams{ID: 99}); err != nil || n != 0 {
		t.Errorf("no such contact: %d rows, err = %v", n, err)
	}
}

func TestListsCountsAndDeletes(t *testing.T) {
	_, q := open(t)
	for i, name := range []string{"ada", "bob", "eve"} {
		if id := create(t, q, store.CreateContactParams{Name: name, Email: text(name + "@example.com")}); id != int64(i+1) {
			t.Errorf("id %d, want %d", id, i+1)
		}
	}
	if list, err := q.ListContacts(t.Context(), []int64{3, 1, 7}); err != nil || len(list) != 2 || list[0].Name != "ada" || list[1].Name != "eve" {
		t.Errorf("%+v, err = %v", list, err)
	}
	if list, err := q.ListContacts(t.Context(), nil); err != nil || len(list) != 0 {
		t.Errorf("no ids: %+v, err = %v", list, err)
	}
	if err := q.DeleteContact(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	if _, err := q.GetContact(t.Context(), 2); !errors.Is(err, sql.ErrNoRows) {
		t.Errorf("a deleted contact: err = %v, want ErrNoRows", err)
	}
	if n, err := q.CountContacts(t.Context(), store.CountContactsParams{Email: text("%@example.com")}); err != nil || n != 2 {
		t.Errorf("%d are left (%v), want 2", n, err)
	}
}

func TestMergeIsAllOrNothing(t *testing.T) {
	db, q := open(t)
	id := create(t, q, store.CreateContactParams{Name: "ada"})
	double := create(t, q, store.CreateContactParams{Name: "Ada", Email: text("ada@example.com")})
	if err := merge(t.Context(), db, q, 99, double); !errors.Is(err, sql.ErrNoRows) {
		t.Errorf("into none: err = %v, want ErrNoRows", err)
	}
	if _, err := q.GetContact(t.Context(), double); err != nil {
		t.Errorf("after a rollback: %v", err)
	}
	if err := merge(t.Context(), db, q, id, double); err != nil {
		t.Fatal(err)
	}
	list, err := q.ListContacts(t.Context(), []int64{id, double})
	if err != nil || len(list) != 1 || list[0].Name != "ada" || list[0].Email.String != "ada@example.com" {
		t.Errorf("%+v, err = %v", list, err)
	}
}

func TestServiceAnswers(t *testing.T) {
	db, _ := open(t)
	srv := httptest.NewServer(handler(db))
	defer srv.Close()
	call := func(method, path, body string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, srv.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		res, err := srv.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		got, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, strings.TrimSpace(string(got))
	}
	for _, step := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"POST", "/contacts", `{"name": "ada"}`, 200, "1"},
		{"POST", "/contacts", `{"name": "Ada", "email": "ada@example.com"}`, 200, "2"},
		{"POST", "/contacts", `ada`, 400, "invalid character"},
		{"POST", "/merge", `{"keep": 1, "drop": 9}`, 404, "no such contact"},
		{"POST", "/merge", `{"keep": 1, "drop": 2}`, 200, "1"},
		{"GET", "/contacts?id=1&id=2", "", 200, `[{"ID":1,"Name":"ada","Email":{"String":"ada@example.com","Valid":true}}]`},
		{"GET", "/contacts?id=x", "", 400, "invalid syntax"},
	} {
		if status, got := call(step.method, step.path, step.body); status != step.status || !strings.Contains(got, step.want) {
			t.Errorf("%s %s: %d %s, want %d %s", step.method, step.path, status, got, step.status, step.want)
		}
	}
}
