package immudb_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"os"

	"github.com/immudb-go/immudb"
)

func ExampleChanges() {
	db, err := sql.Open("immudb", "immudb://reader:secret@db1/ledger?verify=trust-first-use&state_dir=/var/lib/reader")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()

	stored, err := os.ReadFile("/var/lib/reader/cursor") // of the last run
	if err != nil && !os.IsNotExist(err) {
		log.Fatal(err)
	}
	after, err := immudb.ParseCursor(string(stored))
	if err != nil {
		log.Fatal(err)
	}
	opts := immudb.ChangesOptions{After: after, Tables: []string{"accounts"}, Follow: true}
	for change, err := range immudb.Changes(context.Background(), db, opts) {
		if err != nil {
			log.Fatal(err) // ErrTampered if the server has left out or altered something
		}
		switch change.Kind {
		case immudb.ChangeUpsert:
			fmt.Println("account", change.Key(), "is now", change.Row.Values)
		case immudb.ChangeDelete:
			fmt.Println("account", change.Key(), "is gone")
		case immudb.ChangeSchema:
			fmt.Println(change.Table, change.Schema)
		}
		// A database stores the cursor together with the change; a file may repeat the last one.
		if err := os.WriteFile("/var/lib/reader/cursor", []byte(change.Cursor.String()), 0o600); err != nil {
			log.Fatal(err)
		}
	}
}
