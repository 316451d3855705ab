package tampertest

import (
	"database/sql"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/tamperproxy"
)

// A false definition at first use must not be confirmed by later calls.
func TestFalseColumnNamesAreFoundByTheNextHonestAnswer(t *testing.T) {
	p, dsn := tamperproxy.Start(t, dbtest.FreshDSN(t))
	dsn = dbtest.WithOptions(dsn, trustFirstUse, "state_dir="+t.TempDir())
	db := dbtest.OpenDSN(t, dsn)
	dbtest.Exec(t, db, "CREATE TABLE accounts (id INTEGER, debit INTEGER, money INTEGER, PRIMARY KEY id)")
	dbtest.Exec(t, db, "INSERT INTO accounts (id, debit, money) VALUES (1, 10, 20)")
	swap := strings.NewReplacer("debit", "money", "money", "debit")
	p.Tamper(nil, on("VerifiableSQLGet", func(msg []byte) []byte { return []byte(swap.Replace(string(msg))) }))
	if debit, _ := mustVerify(t, db).Value("debit"); debit != int64(20) {
		t.Fatalf("the proxy did not lie: %v", debit)
	}
	p.Tamper(nil, nil)
	for _, db := range []*sql.DB{db, dbtest.OpenDSN(t, dsn)} {
		for range 2 {
			_, err := immudb.VerifiedRow(t.Context(), db, "accounts", 1)
			mustBeTampering(t, err)
		}
		_, err := immudb.VerifyRows(t.Context(), db, "accounts", "")
		mustBeTampering(t, err)
		mustBeTampering(t, immudb.NewVerifier(db).AcceptSchema(t.Context(), "accounts"))
	}
}

// Three statements of an operator change the names of all values.
func TestRenamedColumnsAreAnErrorUntilTheyAreAccepted(t *testing.T) {
	dsn := dbtest.WithOptions(dbtest.FreshDSN(t), trustFirstUse, "state_dir="+t.TempDir())
	db, other := dbtest.OpenDSN(t, dsn), dbtest.OpenDSN(t, dsn)
	dbtest.Exec(t, db, "CREATE TABLE accounts (id INTEGER, debit INTEGER, credit INTEGER, PRIMARY KEY id)")
	dbtest.Exec(t, db, "INSERT INTO accounts (id, debit, credit) VALUES (1, 10, 20)")
	old := mustVerify(t, db)
	mustVerify(t, other)
	for _, rename := range []string{"debit TO x", "credit TO debit", "x TO credit"} {
		dbtest.Exec(t, db, "ALTER TABLE accounts RENAME COLUMN "+rename)
	}
	for _, db := range []*sql.DB{db, other, dbtest.OpenDSN(t, dsn)} {
		if row, err := immudb.VerifiedRow(t.Context(), db, "accounts", 1); !errors.Is(err, immudb.ErrSchemaChanged) {
			t.Errorf("Row: %v, %v, want ErrSchemaChanged", row, err)
		}
		if rows, err := immudb.VerifyRows(t.Context(), db, "accounts", ""); !errors.Is(err, immudb.ErrSchemaChanged) {
			t.Errorf("Rows: %v, %v, want ErrSchemaChanged", rows, err)
		}
	}
	// RowAt uses the names as of the transaction.
	if row, err := immudb.NewVerifier(other).RowAt(t.Context(), old.TxID, "accounts", 1); err != nil || !reflect.DeepEqual(row, old) {
		t.Errorf("RowAt: %+v, %v, want %+v", row, err, old)
	}
	if err := immudb.NewVerifier(db).AcceptSchema(t.Context(), "accounts"); err != nil {
		t.Fatal(err)
	}
	for _, db := range []*sql.DB{db, dbtest.OpenDSN(t, dsn)} {
		if debit, _ := mustVerify(t, db).Value("debit"); debit != int64(20) {
			t.Errorf("debit is %v, want 20 by the names that were accepted", debit)
		}
	}
}

func TestATableInThePlaceOfAnotherIsAnErrorUntilItIsAccepted(t *testing.T) {
	db := openAccounts(t)
	mustVerify(t, db)
	dbtest.Exec(t, db, "CREATE TABLE forged (id INTEGER, owner VARCHAR[20], balance INTEGER, PRIMARY KEY id)")
	dbtest.Exec(t, db, "INSERT INTO forged (id, owner, balance) VALUES (1, 'ann', 1000000)")
	dbtest.Exec(t, db, "ALTER TABLE accounts RENAME TO hidden")
	dbtest.Exec(t, db, "ALTER TABLE forged RENAME TO accounts")
	if row, err := immudb.VerifiedRow(t.Context(), db, "accounts", 1); !errors.Is(err, immudb.ErrSchemaChanged) {
		t.Errorf("%v, %v, want ErrSchemaChanged", row, err)
	}
	if err := immudb.NewVerifier(db).AcceptSchema(t.Context(), "accounts"); err != nil {
		t.Fatal(err)
	}
	if balance, _ := mustVerify(t, db).Value("balance"); balance != int64(1000000) {
		t.Errorf("balance is %v, want that of the table that was accepted", balance)
	}
}

func TestColumnsThatComeAndGoChangeNoMeaning(t *testing.T) {
	db := openAccounts(t)
	old := mustVerify(t, db)
	for _, change := range []string{"ADD COLUMN note VARCHAR", "ADD COLUMN gone INTEGER", "DROP COLUMN gone", "RENAME COLUMN note TO remark"} {
		dbtest.Exec(t, db, "ALTER TABLE accounts "+change)
		if change == "RENAME COLUMN note TO remark" {
			break
		}
		mustVerify(t, db)
	}
	// The column note has been relied on by now.
	if _, err := immudb.VerifiedRow(t.Context(), db, "accounts", 1); !errors.Is(err, immudb.ErrSchemaChanged) {
		t.Errorf("err = %v, want ErrSchemaChanged", err)
	}
	if row, err := immudb.NewVerifier(db).RowAt(t.Context(), old.TxID, "accounts", 1); err != nil || slices.Contains(row.Columns, "remark") {
		t.Errorf("RowAt: %+v, %v, want the columns of its time", row, err)
	}
}

func TestAuditTellsChangesOfTheSchema(t *testing.T) {
	db := openAccounts(t)
	for _, query := range []string{
		"ALTER TABLE accounts RENAME COLUMN balance TO cents", "ALTER TABLE accounts ADD COLUMN note VARCHAR", "ALTER TABLE accounts DROP COLUMN note",
		"ALTER TABLE accounts RENAME TO books", "CREATE TABLE t (id INTEGER, PRIMARY KEY id)", "DROP TABLE t",
	} {
		dbtest.Exec(t, db, query)
	}
	report, err := immudb.Audit(t.Context(), db, immudb.AuditOptions{FromStart: true})
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, c := range report.SchemaChanges {
		told = append(told, c.Table+": "+c.What)
	}
	want := []string{"accounts: the table is created", "accounts: column balance is renamed to cents", "accounts: column note is added",
		"accounts: column note is dropped", "accounts: the table is renamed to books", "t: the table is created", "t: the table is dropped"}
	if !slices.Equal(told, want) {
		t.Errorf("got  %q\nwant %q", told, want)
	}
	if len(report.State.DroppedTables) != 1 {
		t.Errorf("dropped tables: %v, want one", report.State.DroppedTables)
	}

	// The next audit reads only the new transactions.
	dbtest.Exec(t, db, "DROP TABLE books")
	report, err = immudb.Audit(t.Context(), db, immudb.AuditOptions{})
	if err != nil || len(report.SchemaChanges) != 1 || len(report.State.DroppedTables) != 2 {
		t.Errorf("%+v, %v, want one change and two dropped tables", report, err)
	}
}

// A server that returns rows of a table whose DROP is in the history is not honest.
func TestRowsOfADroppedTableProveNothing(t *testing.T) {
	dsn := dbtest.WithOptions(dbtest.FreshDSN(t), trustFirstUse)
	db := dbtest.OpenDSN(t, dsn)
	dbtest.Exec(t, db, "CREATE TABLE accounts (id INTEGER, PRIMARY KEY id)")
	dbtest.Exec(t, db, "INSERT INTO accounts (id) VALUES (1)")
	mustVerify(t, db)
	for _, dropped := range [][]uint32{nil, {7}, {1}} {
		seen := stateOf(t, db)
		seen.DroppedTables = dropped
		store := new(immudb.MemoryStateStore)
		if ok, err := store.Swap(t.Context(), immudb.State{}, seen); !ok || err != nil {
			t.Fatal(ok, err)
		}
		cfg, err := immudb.ParseDSN(dsn)
		if err != nil {
			t.Fatal(err)
		}
		cfg.StateStore = store
		connector, err := immudb.NewConnector(cfg)
		if err != nil {
			t.Fatal(err)
		}
		knows := sql.OpenDB(connector)
		defer knows.Close()
		_, err = immudb.VerifiedRow(t.Context(), knows, "accounts", 1)
		if slices.Contains(dropped, 1) { // the first table has id 1
			mustBeTampering(t, err)
		} else if err != nil {
			t.Errorf("dropped %v: %v", dropped, err)
		}
	}
}
