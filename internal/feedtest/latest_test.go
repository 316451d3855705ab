package feedtest

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/tamperproxy"
)

func TestTheLatestRevisionIsToldFromAnOlderOne(t *testing.T) {
	p, dsn := tamperproxy.Start(t, dbtest.FreshDSN(t))
	db := dbtest.OpenDSN(t, dbtest.WithOptions(dsn, trustFirstUse))
	v := immudb.NewVerifier(db)
	dbtest.Exec(t, db, "CREATE TABLE accounts (id UUID, balance INTEGER, PRIMARY KEY id)")
	dbtest.Exec(t, db, "CREATE TABLE other (id INTEGER, PRIMARY KEY id)")
	const id = "51ad0b92-11d8-41b5-96e5-f9d9c354d479"
	dbtest.Exec(t, db, "INSERT INTO accounts (id, balance) VALUES (?, 10)", id)
	row, err := v.Row(t.Context(), "accounts", id)
	if err != nil {
		t.Fatal(err)
	}
	latest := func(row *immudb.ProvenRow) bool {
		t.Helper()
		is, asOf, err := v.Latest(t.Context(), row, 100)
		now, stateErr := v.State(t.Context())
		if err := errors.Join(err, stateErr); err != nil || asOf.Pin() != now.Pin() {
			t.Fatalf("as of %s, now is %s: %v", asOf.Pin(), now.Pin(), err)
		}
		return is
	}
	if !latest(row) {
		t.Error("the newest transaction wrote the row, which is not the latest revision")
	}
	for i := range 5 { // of other rows
		dbtest.Exec(t, db, "INSERT INTO other (id) VALUES (?)", i)
	}
	dbtest.Exec(t, db, "INSERT INTO accounts (id, balance) VALUES ('00000000-0000-0000-0000-000000000001', 1)")
	dbtest.Exec(t, db, "DROP TABLE other")
	if !latest(row) {
		t.Error("other rows were written, and the row is not the latest revision any more")
	}
	if _, _, err := v.Latest(t.Context(), row, 3); !errors.Is(err, immudb.ErrInvalidValue) {
		t.Errorf("more transactions than allowed: err = %v, want ErrInvalidValue", err)
	}
	if _, _, err := v.Latest(t.Context(), &immudb.ProvenRow{Table: "accounts"}, 3); !errors.Is(err, immudb.ErrInvalidValue) {
		t.Errorf("a row that was not proven: err = %v, want ErrInvalidValue", err)
	}
	dbtest.Exec(t, db, "UPDATE accounts SET balance = 20 WHERE id = ?", id)
	dbtest.Exec(t, db, "INSERT INTO accounts (id, balance) VALUES ('00000000-0000-0000-0000-000000000002', 1)")
	if latest(row) {
		t.Error("an older revision is taken for the latest one")
	}

	// A server that hides the transaction of the change, or its row, is found out.
	none := entries(func([][]byte) [][]byte { return nil })
	for name, lie := range map[string]func([]byte) []byte{
		"the transaction": withTxs(func(list [][]byte) [][]byte { return slices.Delete(list, len(list)-2, len(list)-1) }),
		"the row":         withTx(7, none),
		"its key": func(msg []byte) []byte {
			return bytes.ReplaceAll(msg, []byte{0x51, 0xad, 0x0b}, []byte{0x51, 0xad, 0x0c})
		},
	} {
		p.Tamper(nil, func(method string, msg []byte) []byte {
			switch method {
			case "TxScan":
				return lie(bytes.Clone(msg))
			case "TxById": // asked for where a page lacks entries
				return none(bytes.Clone(msg))
			}
			return msg
		})
		if is, _, err := v.Latest(t.Context(), row, 100); !errors.Is(err, immudb.ErrTampered) {
			t.Errorf("%s is hidden: latest = %v, err = %v, want ErrTampered", name, is, err)
		}
	}
	p.Tamper(nil, nil)

	dbtest.Exec(t, db, "DELETE FROM accounts WHERE id = ?", id)
	var changes []immudb.Change
	for _, c := range all(t, db, immudb.ChangesOptions{Tables: []string{"accounts"}}) {
		if c.Kind != immudb.ChangeSchema && c.Key()[0] == id {
			changes = append(changes, c)
		}
	}
	if len(changes) != 3 || latest(changes[0].Row) || latest(changes[1].Row) || !latest(changes[2].Row) || !changes[2].Row.Deleted {
		t.Errorf("of %d changes the last is not the latest revision, or another one is", len(changes))
	}
	dbtest.Exec(t, db, "DROP TABLE accounts")
	if latest(changes[2].Row) {
		t.Error("a row of a dropped table is taken for the latest revision")
	}
}
