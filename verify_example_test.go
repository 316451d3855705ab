package immudb_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"

	"github.com/immudb-go/immudb"
)

func ExampleVerifiedRow() {
	db, err := sql.Open("immudb", "immudb://auditor:secret@db1/ledger?verify=trust-first-use&state_dir=/var/lib/auditor")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()

	row, err := immudb.VerifiedRow(context.Background(), db, "accounts", 42)
	var found *immudb.Tampering
	switch {
	case errors.As(err, &found):
		log.Fatalf("account 42 was altered: %s, in transaction %d", found.Check, found.TxID)
	case errors.Is(err, sql.ErrNoRows):
		log.Fatal("no such account, says the server")
	case err != nil:
		log.Fatal(err) // not verified: no connection, no trusted state, or another reason
	}
	var account struct {
		ID      int64
		Owner   string
		Balance int64 `db:"cents"`
	}
	if err := row.StructScan(&account); err != nil {
		log.Fatal(err)
	}
	fmt.Println(account.Owner, "since", row.Time, "in transaction", row.TxID)
}
