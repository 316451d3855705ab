// Sqlc is a small HTTP service on queries that github.com/sqlc-dev/sqlc has
// compiled: query.sql becomes package store. See sqlc.yaml for the SQL that sqlc and immudb
// both accept.
//
//	sqlc -dsn immudb://user:password@localhost:3322/app -listen localhost:8080
//	curl localhost:8080/contacts -d '{"name": "ada", "email": "ada@example.com"}'
//	curl localhost:8080/contacts?id=1
//	curl localhost:8080/merge -d '{"keep": 1, "drop": 2}'
package main

import (
	"context"
	"database/sql"
	_ "embed"
	"encoding/json"
	"errors"
	"flag"
	"log"
	"net/http"
	"strconv"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/examples/sqlc/store"
)

//go:generate go run github.com/sqlc-dev/sqlc/cmd/sqlc@v1.31.1 generate

//go:embed schema.sql
var schema string

//go:embed index.sql
var index string

func main() {
	dsn := flag.String("dsn", "", "the database")
	listen := flag.String("listen", "localhost:8080", "the address to serve on")
	flag.Parse()
	db, err := sql.Open("immudb", *dsn)
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(schema + index); err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.ListenAndServe(*listen, handler(db)))
}

// handler serves POST /contacts, GET /contacts?id=…&id=… and POST /merge.
func handler(db *sql.DB) http.Handler {
	queries := store.New(db)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /contacts", func(w http.ResponseWriter, r *http.Request) {
		var c struct{ Name, Email string }
		if !decode(w, r, &c) {
			return
		}
		id, err := queries.CreateContact(r.Context(), store.CreateContactParams{Name: c.Name, Email: optional(c.Email)})
		answer(w, id, err)
	})
	mux.HandleFunc("GET /contacts", func(w http.ResponseWriter, r *http.Request) {
		var ids []int64
		for _, text := range r.URL.Query()["id"] {
			id, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			ids = append(ids, id)
		}
		list, err := queries.ListContacts(r.Context(), ids)
		answer(w, list, err)
	})
	mux.HandleFunc("POST /merge", func(w http.ResponseWriter, r *http.Request) {
		var pair struct{ Keep, Drop int64 }
		if !decode(w, r, &pair) {
			return
		}
		answer(w, pair.Keep, merge(r.Context(), db, queries, pair.Keep, pair.Drop))
	})
	return mux
}

// merge deletes a contact and copies the fields that only it had to another, both or neither.
func merge(ctx context.Context, db *sql.DB, queries *store.Queries, keep, drop int64) error {
	return immudb.RunTx(ctx, db, nil, func(tx *sql.Tx) error {
		q := queries.WithTx(tx)
		dropped, err := q.GetContact(ctx, drop)
		if err != nil {
			return err
		}
		if err := q.DeleteContact(ctx, drop); err != nil {
			return err
		}
		kept, err := q.GetContact(ctx, keep)
		if err != nil {
			return err
		}
		if kept.Email.Valid {
			return nil
		}
		_, err = q.UpdateContact(ctx, store.UpdateContactParams{ID: keep, Email: dropped.Email})
		return err
	})
}

func optional(s string) sql.NullString { return sql.NullString{String: s, Valid: s != ""} }

func decode(w http.ResponseWriter, r *http.Request, v any) bool {
	err := json.NewDecoder(r.Body).Decode(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
	}
	return err == nil
}

func answer(w http.ResponseWriter, v any, err error) {
	switch {
	case errors.Is(err, sql.ErrNoRows):
		http.Error(w, "no such contact", http.StatusNotFound)
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	default:
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v) // fails only when the client has gone
	}
}
