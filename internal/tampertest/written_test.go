package tampertest

import (
	"bytes"
	"fmt"
	"reflect"
	"testing"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
)

func TestWhatATransactionWroteIsProven(t *testing.T) {
	p, db := lyingServer(t)
	dbtest.Exec(t, db, "CREATE TABLE log (id INTEGER AUTO_INCREMENT, text VARCHAR[20], PRIMARY KEY id)")
	dbtest.Exec(t, db, "CREATE INDEX ON log (text)")
	var commit immudb.CommitInfo
	tx, err := db.BeginTx(immudb.WithCommitInfo(t.Context(), &commit), nil)
	if err != nil {
		t.Fatal(err)
	}
	dbtest.Exec(t, tx, "UPDATE accounts SET balance = balance + 5 WHERE balance < 25")
	dbtest.Exec(t, tx, "DELETE FROM accounts WHERE owner = 'eve'")
	dbtest.Exec(t, tx, "INSERT INTO log (text) VALUES ('first'), ('second')")
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	dbtest.Exec(t, db, "ALTER TABLE accounts RENAME COLUMN balance TO cents")
	dbtest.Exec(t, db, "UPDATE accounts SET cents = 0 WHERE id = 1")

	written, err := immudb.NewVerifier(db).Written(t.Context(), commit.TxID)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, row := range written {
		got = append(got, fmt.Sprint(row.Table, row.Columns, row.Values, row.Deleted, row.TxID == commit.TxID))
	}
	want := []string{
		"accounts[id owner balance] [1 ann 15] false true", "accounts[id owner balance] [2 bob 25] false true",
		"accounts[id owner balance] [3 eve 30] true true", "log[id text] [1 first] false true", "log[id text] [2 second] false true",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}

	for what, lie := range map[string]func(msg []byte) []byte{
		"another value":       func(msg []byte) []byte { return bytes.ReplaceAll(msg, []byte("second"), []byte("third!")) },
		"another transaction": func(msg []byte) []byte { return bytes.ReplaceAll(msg, []byte("ann"), []byte("bob")) },
	} {
		p.Tamper(nil, on("VerifiableTxById", lie))
		if rows, err := immudb.NewVerifier(db).Written(t.Context(), commit.TxID); err == nil {
			t.Errorf("%s: %d rows are accepted", what, len(rows))
		} else {
			mustBeTampering(t, err)
		}
	}
}

func TestATransactionThatIsNotThereWroteNothingThatIsProven(t *testing.T) {
	_, db := lyingServer(t)
	if rows, err := immudb.NewVerifier(db).Written(t.Context(), 4711); err == nil {
		t.Errorf("%d rows of a transaction that is not there", len(rows))
	}
}
