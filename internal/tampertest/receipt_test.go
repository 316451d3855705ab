package tampertest

import (
	"context"
	"crypto/ecdsa"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/proof"
	"github.com/immudb-go/immudb/internal/testserver"
	"github.com/immudb-go/immudb/receipt"
)

var updateReceipts = flag.Bool("update-receipts", false, "write the receipts of released servers to receipt/testdata")

func execTx(t *testing.T, db *sql.DB, query string, args ...any) uint64 {
	t.Helper()
	var commit immudb.CommitInfo
	if _, err := db.ExecContext(immudb.WithCommitInfo(t.Context(), &commit), query, args...); err != nil {
		t.Fatal(err)
	}
	return commit.TxID
}

func getReceipt(t *testing.T, db *sql.DB, table string, tx uint64, pk ...any) *receipt.Receipt {
	t.Helper()
	r, err := immudb.NewVerifier(db).Receipt(t.Context(), table, tx, pk...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func policyOf(t *testing.T, r *receipt.Receipt, db *sql.DB) receipt.Policy {
	t.Helper()
	s, err := immudb.NewVerifier(db).Tx(t.Context(), r.Anchor().TxID)
	if err != nil {
		t.Fatal(err)
	}
	return receipt.Policy{Database: s.Database, State: receipt.State{TxID: s.TxID, Hash: s.Hash}}
}

func TestAReceiptSaysWhatItsTransactionWrote(t *testing.T) {
	db := dbtest.Open(t, trustFirstUse)
	type written struct {
		tx      uint64
		columns []string
		values  []any
		deleted bool
	}
	var all []written
	add := func(columns []string, values []any, deleted bool, query string, args ...any) {
		t.Helper()
		all = append(all, written{execTx(t, db, query, args...), columns, values, deleted})
		// Also at once, when the anchor is the transaction of the row.
		checkReceipt(t, db, all[len(all)-1].tx, columns, values, deleted)
	}
	dbtest.Exec(t, db, "CREATE TABLE other (id INTEGER, PRIMARY KEY id)")
	add([]string{"id", "name"}, []any{int64(1), "ann"}, false,
		"CREATE TABLE t (id INTEGER, name VARCHAR[20], PRIMARY KEY id); INSERT INTO t (id, name) VALUES (0, 'other'), (1, 'ann'), (2, 'bob')")
	add([]string{"id", "name"}, []any{int64(1), "eve"}, false, "UPDATE t SET name = 'eve' WHERE id = 1")
	dbtest.Exec(t, db, "ALTER TABLE t RENAME COLUMN name TO owner")
	dbtest.Exec(t, db, "ALTER TABLE t ADD COLUMN cents INTEGER")
	add([]string{"id", "owner", "cents"}, []any{int64(1), "eve", int64(5)}, false, "UPDATE t SET cents = 5 WHERE id = 1")
	dbtest.Exec(t, db, "ALTER TABLE t DROP COLUMN owner")
	add([]string{"id", "cents"}, []any{int64(1), int64(6)}, false, "UPDATE t SET cents = 6 WHERE id = 1")
	add([]string{"id", "cents"}, []any{int64(1), int64(6)}, true, "DELETE FROM t WHERE id = 1")
	for _, w := range all {
		for range 3 { // at every place that it can have in the tree
			checkReceipt(t, db, w.tx, w.columns, w.values, w.deleted)
			dbtest.Exec(t, db, "UPSERT INTO other (id) VALUES (1)")
		}
	}
}

func checkReceipt(t *testing.T, db *sql.DB, tx uint64, columns []string, values []any, deleted bool) {
	t.Helper()
	r := getReceipt(t, db, "t", tx, 1)
	row, err := r.Verify(policyOf(t, r, db))
	if err != nil {
		t.Fatal(err)
	}
	want := &receipt.Row{Database: r.Database(), Table: "t", Columns: columns, Values: values, TxID: tx, Time: row.Time, Deleted: deleted,
		Anchor: r.Anchor(), Definition: row.Definition}
	if !reflect.DeepEqual(row, want) {
		t.Errorf("got %+v, want %+v", row, want)
	}
	if time.Since(row.Time) > time.Hour {
		t.Errorf("written at %v", row.Time)
	}
}

func TestReceiptsOfEveryPairOfTransactionsVerify(t *testing.T) {
	db := dbtest.Open(t, trustFirstUse)
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, PRIMARY KEY id)")
	var txs []uint64
	for id := range testserver.Rounds(t, 18, 70) {
		txs = append(txs, execTx(t, db, "INSERT INTO t (id) VALUES (?)", id))
		for id, tx := range txs {
			r := getReceipt(t, db, "t", tx, id)
			if row, err := r.Verify(policyOf(t, r, db)); err != nil || row.Values[0] != int64(id) || row.TxID != tx {
				t.Fatalf("tx %d at %d: %+v, %v", tx, r.Anchor().TxID, row, err)
			}
		}
	}
}

func TestAReceiptThatIsExtendedHoldsForTheNewAnchorOnly(t *testing.T) {
	db := openAccounts(t)
	tx := execTx(t, db, "UPDATE accounts SET balance = 20 WHERE id = 1")
	old := getReceipt(t, db, "accounts", tx, 1)
	for range 3 {
		dbtest.Exec(t, db, "INSERT INTO accounts (owner, balance) VALUES ('bob', 1)")
		r, err := immudb.NewVerifier(db).ExtendReceipt(t.Context(), old)
		if err != nil {
			t.Fatal(err)
		}
		p := policyOf(t, r, db)
		row, err := r.Verify(p)
		if err != nil || row.Values[2] != int64(20) || row.TxID != tx {
			t.Errorf("extended: %+v, %v", row, err)
		}
		if _, err := old.Verify(p); !errors.Is(err, receipt.ErrAnchor) {
			t.Errorf("the older receipt with the newer state: %v", err)
		}
		old = r
	}
}

func TestAReceiptOfAnotherDatabaseIsRefused(t *testing.T) {
	// The balances differ: the hash of a transaction holds its time in seconds and no name of the database, so that equal
	// statements in the same seconds make equal states.
	make := func(balance int) (*sql.DB, *receipt.Receipt) {
		db := openAccounts(t)
		return db, getReceipt(t, db, "accounts", execTx(t, db, "UPDATE accounts SET balance = ? WHERE id = 1", balance), 1)
	}
	a, ra := make(20)
	b, rb := make(21)
	pa, pb := policyOf(t, ra, a), policyOf(t, rb, b)
	if _, err := ra.Verify(pa); err != nil {
		t.Fatal(err)
	}
	for name, p := range map[string]receipt.Policy{"both": pb, "state": {Database: pa.Database, State: pb.State}, "name": {Database: pb.Database, State: pa.State}} {
		if _, err := ra.Verify(p); !errors.Is(err, receipt.ErrInvalid) {
			t.Errorf("%s of the other: %v", name, err)
		}
	}
	if _, err := immudb.NewVerifier(a).ExtendReceipt(t.Context(), rb); err == nil {
		t.Error("the receipt of another database was extended")
	}
}

func TestAReceiptHoldsByTheServersKeyAlone(t *testing.T) {
	private, public := newKey(t)
	s := testserver.Start(t, "-synced=false", "-signing-key="+private)
	db := dbtest.OpenDSN(t, dbtest.WithOptions(s.DSN(), trustFirstUse, "server_public_key="+public))
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, PRIMARY KEY id)")
	tx := execTx(t, db, "INSERT INTO t (id) VALUES (1)")
	_, foreign := newKey(t)
	for range 2 {
		r := getReceipt(t, db, "t", tx, 1)
		if _, err := r.Verify(receipt.Policy{Database: "defaultdb", PublicKey: publicKey(t, public)}); err != nil {
			t.Error(err)
		}
		for name, p := range map[string]receipt.Policy{
			"another key":      {Database: "defaultdb", PublicKey: publicKey(t, foreign)},
			"another database": {Database: "ledger", PublicKey: publicKey(t, public)},
		} {
			if _, err := r.Verify(p); !errors.Is(err, receipt.ErrInvalid) {
				t.Errorf("%s: %v", name, err)
			}
		}
		dbtest.Exec(t, db, "INSERT INTO t (id) VALUES (2)")
		if *updateReceipts {
			keep(t, "signed", r, "")
			if err := os.WriteFile(fixture("signed.pem"), mustReadFile(t, public), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		dbtest.Exec(t, db, "DELETE FROM t WHERE id = 2")
	}
}

func TestATransactionThatWroteNoSuchRowHasNoReceipt(t *testing.T) {
	db := openAccounts(t)
	tx := execTx(t, db, "UPDATE accounts SET balance = 20 WHERE id = 1")
	v := immudb.NewVerifier(db)
	for name, want := range map[string]struct {
		table string
		tx    uint64
		pk    any
		err   error
	}{
		"no such row":        {"accounts", tx, 2, sql.ErrNoRows},
		"a table":            {"nosuch", tx, 1, immudb.ErrNoSuchTable},
		"before the table":   {"accounts", 0, 1, immudb.ErrNoSuchTable},
		"a key of no type":   {"accounts", tx, "x", immudb.ErrInvalidValue},
		"a key of no column": {"accounts", tx, struct{}{}, immudb.ErrInvalidValue},
	} {
		if _, err := v.Receipt(t.Context(), want.table, want.tx, want.pk); !errors.Is(err, want.err) {
			t.Errorf("%s: %v, want %v", name, err, want.err)
		}
	}
	if _, err := v.Receipt(t.Context(), "accounts", tx+100, 1); err == nil {
		t.Error("a transaction that does not exist has a receipt")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := v.Receipt(ctx, "accounts", tx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that ended: %v", err)
	}
}

// The receipts that this test keeps with -update-receipts are verified for ever by
// the tests of package receipt.
func TestReceiptsOfReleasedServersVerify(t *testing.T) {
	for _, version := range []string{"v1.9.5", "v1.10.0", "v1.11.1"} {
		t.Run(version, func(t *testing.T) {
			s := testserver.StartVersion(t, version)
			db := dbtest.OpenDSN(t, dbtest.WithOptions(s.DSN(), trustFirstUse))
			dbtest.Exec(t, db, "CREATE TABLE accounts (id INTEGER, holder VARCHAR[40], balance FLOAT, active BOOLEAN, at TIMESTAMP, note BLOB, PRIMARY KEY id)")
			dbtest.Exec(t, db, "ALTER TABLE accounts RENAME COLUMN holder TO owner")
			at := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
			tx := execTx(t, db, "INSERT INTO accounts (id, owner, balance, active, at, note) VALUES (42, 'ann', 12.5, TRUE, ?, ?), (43, 'bob', 0.5, FALSE, ?, NULL)",
				at, []byte{1, 2}, at)
			for _, when := range []string{"newest", "older"} {
				r := getReceipt(t, db, "accounts", tx, 42)
				p := policyOf(t, r, db)
				row, err := r.Verify(p)
				if err != nil {
					t.Fatal(err)
				}
				if want := []any{int64(42), "ann", 12.5, true, at, []byte{1, 2}}; !reflect.DeepEqual(row.Values, want) {
					t.Errorf("got %v, want %v", row.Values, want)
				}
				if *updateReceipts {
					keep(t, version+"-"+when, r, p.State.String())
				}
				for i := range 9 {
					dbtest.Exec(t, db, fmt.Sprintf("UPDATE accounts SET balance = %d.5 WHERE id = 42", i))
				}
			}
		})
	}
}

func fixture(name string) string { return filepath.Join("..", "..", "receipt", "testdata", name) }

func keep(t *testing.T, name string, r *receipt.Receipt, state string) {
	t.Helper()
	err := os.MkdirAll(fixture(""), 0o755)
	if err == nil {
		err = os.WriteFile(fixture(name+".receipt"), r.Bytes(), 0o644)
	}
	if err == nil && state != "" {
		err = os.WriteFile(fixture(name+".state"), []byte(state+"\n"), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func publicKey(t *testing.T, file string) *ecdsa.PublicKey {
	t.Helper()
	key, err := proof.ParsePublicKey(mustReadFile(t, file))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func mustReadFile(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
