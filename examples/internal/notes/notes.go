// Package notes is the part of the example services that does not concern migrations: notes
// in a table, over HTTP.
package notes

import (
	"context"
	"database/sql"
	"encoding/json"
	"net/http"
)

// Note is a row of the table notes.
type Note struct {
	ID     int64  `json:"id"`
	Author string `json:"author"`
	Body   string `json:"body"`
}

// Handler serves POST /notes and GET /notes?author=….
func Handler(db *sql.DB) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /notes", func(w http.ResponseWriter, r *http.Request) {
		var n Note
		if err := json.NewDecoder(r.Body).Decode(&n); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		err := db.QueryRowContext(r.Context(), "INSERT INTO notes (author, body) VALUES (?, ?) RETURNING id", n.Author, n.Body).Scan(&n.ID)
		answer(w, n, err)
	})
	mux.HandleFunc("GET /notes", func(w http.ResponseWriter, r *http.Request) {
		list, err := byAuthor(r.Context(), db, r.FormValue("author"))
		answer(w, list, err)
	})
	return mux
}

func byAuthor(ctx context.Context, db *sql.DB, author string) ([]Note, error) {
	rows, err := db.QueryContext(ctx, "SELECT id, author, body FROM notes WHERE author = ? ORDER BY id", author)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	list := []Note{}
	for rows.Next() {
		var n Note
		if err := rows.Scan(&n.ID, &n.Author, &n.Body); err != nil {
			return nil, err
		}
		list = append(list, n)
	}
	return list, rows.Err()
}

func answer(w http.ResponseWriter, v any, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // fails only when the client has gone
}
