package tampertest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/tamperproxy"
	"github.com/immudb-go/immudb/internal/testserver"
)

const trustFirstUse = "verify=trust-first-use"

// openAccounts makes a database with a table and a row, and opens it with trust on first
// use.
func openAccounts(t testing.TB, options ...string) *sql.DB {
	t.Helper()
	db := dbtest.Open(t, append([]string{trustFirstUse}, options...)...)
	dbtest.Exec(t, db, "CREATE TABLE accounts (id INTEGER AUTO_INCREMENT, owner VARCHAR[40] NOT NULL, balance INTEGER, PRIMARY KEY id)")
	dbtest.Exec(t, db, "CREATE INDEX ON accounts(owner)")
	dbtest.Exec(t, db, "INSERT INTO accounts (owner, balance) VALUES ('ann', 10)")
	return db
}

func TestVerifiedRowReturnsTheValuesItsTransactionAndItsTime(t *testing.T) {
	db := openAccounts(t)
	var commit immudb.CommitInfo
	if _, err := db.ExecContext(immudb.WithCommitInfo(t.Context(), &commit), "UPDATE accounts SET balance = 20 WHERE id = 1"); err != nil {
		t.Fatal(err)
	}
	row, err := immudb.VerifiedRow(t.Context(), db, "accounts", 1)
	if err != nil {
		t.Fatal(err)
	}
	if row.Table != "accounts" || !slices.Equal(row.Columns, []string{"id", "owner", "balance"}) || !reflect.DeepEqual(row.Values, []any{int64(1), "ann", int64(20)}) ||
		row.TxID != commit.TxID || !row.Time.Equal(commit.Time) || row.Deleted {
		t.Errorf("got %+v, want account 1 as tx %d of %s wrote it", row, commit.TxID, commit.Time)
	}
}

func TestEveryColumnTypeIsProvenAsAQueryGivesIt(t *testing.T) {
	db := dbtest.Open(t, trustFirstUse)
	dbtest.Exec(t, db, `CREATE TABLE t (a INTEGER, b VARCHAR[20], c BLOB[20], d UUID, e TIMESTAMP, f FLOAT, g BOOLEAN, h JSON, n INTEGER,
		PRIMARY KEY (a, b, c, d, e, f, g))`)
	at := time.Date(2024, 2, 29, 12, 30, 15, 123456000, time.UTC)
	id := "5bfd1c5a-4a3f-4b60-9c6a-f8d5c0a1b2c3"
	dbtest.Exec(t, db, "INSERT INTO t (a, b, c, d, e, f, g, h) VALUES (?, ?, ?, CAST(? AS UUID), ?, ?, ?, ?)",
		math.MinInt64, "müsli", []byte{0, 255}, id, at, -1.5, true, `{"k": [1, null]}`)
	row, err := immudb.VerifiedRow(t.Context(), db, "T", int64(math.MinInt64), "müsli", []byte{0, 255}, id, at, -1.5, true)
	if err != nil {
		t.Fatal(err)
	}
	json, _ := row.Value("h")
	if b, ok := json.([]byte); !ok || strings.ReplaceAll(string(b), " ", "") != `{"k":[1,null]}` {
		t.Errorf("JSON is %v", json)
	}
	want := []any{int64(math.MinInt64), "müsli", []byte{0, 255}, id, at, -1.5, true, json, nil}
	if !reflect.DeepEqual(row.Values, want) {
		t.Errorf("got %v, want %v", row.Values, want)
	}
	if rows, err := immudb.VerifyRows(t.Context(), db, "t", ""); err != nil || !reflect.DeepEqual(rows[0].Values, want) {
		t.Errorf("by a query: %v, %v", rows, err)
	}
}

func TestStructScanFillsFieldsByTheirDbTag(t *testing.T) {
	db := openAccounts(t)
	row, err := immudb.VerifiedRow(t.Context(), db, "accounts", 1)
	if err != nil {
		t.Fatal(err)
	}
	type Key struct{ ID uint8 }
	type Amount struct{ Balance *int32 }
	var account struct {
		Key
		*Amount
		Name  sql.NullString `db:"owner"`
		Owner string         `db:"-"`
	}
	if err := row.StructScan(&account); err != nil || account.ID != 1 || account.Name.String != "ann" || *account.Balance != 10 || account.Owner != "" {
		t.Errorf("got %+v, %v", account, err)
	}
	var node treeNode
	if err := row.StructScan(&node); err != nil || node.ID != 1 || node.treeNode != nil {
		t.Errorf("a struct that embeds itself: got %+v, %v", node, err)
	}
	var onlyID struct{ ID int }
	if err := row.StructScan(&onlyID); err == nil || !strings.Contains(err.Error(), "owner") {
		t.Errorf("err = %v, want one that names the column without a field", err)
	}
	if err := row.StructScan(account); err == nil {
		t.Error("a struct is accepted that cannot be written")
	}
}

type treeNode struct {
	*TreeNode
	*treeNode
	ID, Balance int
	Owner       string
}

type TreeNode struct{ *TreeNode }

func TestARowThatIsNotThereIsNoRows(t *testing.T) {
	db := openAccounts(t)
	if _, err := immudb.VerifiedRow(t.Context(), db, "accounts", 99); !errors.Is(err, sql.ErrNoRows) {
		t.Errorf("a row that never was: err = %v, want sql.ErrNoRows", err)
	}
	dbtest.Exec(t, db, "DELETE FROM accounts WHERE id = 1")
	if _, err := immudb.VerifiedRow(t.Context(), db, "accounts", 1); !errors.Is(err, sql.ErrNoRows) {
		t.Errorf("a deleted row: err = %v, want sql.ErrNoRows", err)
	}
}

func TestAVerifiedReadSeesWhatWasJustCommitted(t *testing.T) {
	db := openAccounts(t)
	for n := range 100 {
		dbtest.Exec(t, db, "UPDATE accounts SET balance = ? WHERE id = 1", n)
		row, err := immudb.VerifiedRow(t.Context(), db, "accounts", 1)
		if err != nil {
			t.Fatal(err)
		}
		if balance, _ := row.Value("balance"); balance != int64(n) {
			t.Fatalf("got %v, want %d", balance, n)
		}
	}
}

// The server's proofs do not wait for its index, and this client does not know about the
// write of the other one.
func TestRowIsNotBeforeTheTransactionOfAnotherClient(t *testing.T) {
	dsn := dbtest.WithOptions(dbtest.FreshDSN(t), trustFirstUse)
	db, other := dbtest.OpenDSN(t, dsn), dbtest.OpenDSN(t, dsn)
	dbtest.Exec(t, other, "CREATE TABLE accounts (id INTEGER, balance INTEGER, PRIMARY KEY id)")
	for n := range 100 {
		var commit immudb.CommitInfo
		if _, err := other.ExecContext(immudb.WithCommitInfo(t.Context(), &commit), "UPSERT INTO accounts (id, balance) VALUES (1, ?)", n); err != nil {
			t.Fatal(err)
		}
		v := immudb.NewVerifier(db)
		v.NotBefore = commit.TxID
		row, err := v.Row(t.Context(), "accounts", 1)
		if err != nil {
			t.Fatal(err)
		}
		if balance, _ := row.Value("balance"); balance != int64(n) || row.TxID != commit.TxID {
			t.Fatalf("got %v of tx %d, want %d of tx %d", balance, row.TxID, n, commit.TxID)
		}
	}
}

func TestRowAtProvesAnOlderRevision(t *testing.T) {
	db := openAccounts(t)
	v := immudb.NewVerifier(db)
	first, err := v.Row(t.Context(), "accounts", 1)
	if err != nil {
		t.Fatal(err)
	}
	var deleted immudb.CommitInfo
	dbtest.Exec(t, db, "UPDATE accounts SET balance = 20 WHERE id = 1")
	if _, err := db.ExecContext(immudb.WithCommitInfo(t.Context(), &deleted), "DELETE FROM accounts WHERE id = 1"); err != nil {
		t.Fatal(err)
	}
	if row, err := v.RowAt(t.Context(), first.TxID, "accounts", 1); err != nil || !reflect.DeepEqual(row, first) {
		t.Errorf("got %+v, %v, want %+v", row, err, first)
	}
	if row, err := v.RowAt(t.Context(), deleted.TxID, "accounts", 1); err != nil || !row.Deleted {
		t.Errorf("the deletion: got %+v, %v", row, err)
	}
}

// A proof does not hold the number of the revision, and the history does not commit to it.
// The server's number needs a query.
func TestTheNumberOfARevisionIsNotInTheProof(t *testing.T) {
	p, dsn := tamperproxy.Start(t, dbtest.FreshDSN(t))
	db := dbtest.OpenDSN(t, dbtest.WithOptions(dsn, trustFirstUse))
	dbtest.Exec(t, db, "CREATE TABLE accounts (id INTEGER, balance INTEGER, PRIMARY KEY id)")
	for n := range 3 {
		dbtest.Exec(t, db, "UPSERT INTO accounts (id, balance) VALUES (1, ?)", n)
	}
	fields := func(msg []byte) (numbers []protowire.Number, first []byte) {
		for len(msg) > 0 {
			num, typ, tag := protowire.ConsumeTag(msg)
			size := protowire.ConsumeFieldValue(num, typ, msg[tag:])
			if numbers = append(numbers, num); num == 1 && typ == protowire.BytesType {
				first, _ = protowire.ConsumeBytes(msg[tag:])
			}
			msg = msg[tag+size:]
		}
		return numbers, first
	}
	p.Tamper(nil, on("VerifiableSQLGet", func(msg []byte) []byte {
		_, entry := fields(msg)
		if numbers, _ := fields(entry); !slices.Equal(numbers, []protowire.Number{1, 2, 3}) { // tx, key, value
			t.Errorf("the row comes with fields %v", numbers)
		}
		return msg
	}))
	row := mustVerify(t, db)
	if balance, _ := row.Value("balance"); balance != int64(2) {
		t.Errorf("got %+v", row)
	}
	if revs := dbtest.List[int](t, db, "SELECT _rev FROM (HISTORY OF accounts) WHERE id = 1"); !slices.Equal(slices.Sorted(slices.Values(revs)), []int{1, 2, 3}) {
		t.Errorf("the history has the revisions %v", revs)
	}
}

// As documented at VerifyRows, the transaction of a row is one that wrote these values.
func TestARowOfAQueryMayNameTheFirstOfTwoEqualRevisions(t *testing.T) {
	db := openAccounts(t)
	dbtest.Exec(t, db, "INSERT INTO accounts (owner, balance) VALUES ('bob', 1), ('cat', 1)")
	for _, balance := range []int{2, 1} {
		dbtest.Exec(t, db, "UPDATE accounts SET balance = ? WHERE owner = 'cat'", balance)
	}
	rows, err := immudb.VerifyRows(t.Context(), db, "accounts", "WHERE id > 1 ORDER BY id")
	if err != nil || len(rows) != 2 {
		t.Fatal(rows, err)
	}
	last, err := immudb.VerifiedRow(t.Context(), db, "accounts", 3)
	if err != nil || !reflect.DeepEqual(last.Values, rows[1].Values) || rows[1].TxID > last.TxID {
		t.Errorf("by a query %+v, by key %+v, %v", rows[1], last, err)
	}
	at, err := immudb.NewVerifier(db).RowAt(t.Context(), rows[1].TxID, "accounts", 3)
	if err != nil || !reflect.DeepEqual(at, rows[1]) {
		t.Errorf("in tx %d: %+v, %v, want %+v", rows[1].TxID, at, err, rows[1])
	}
}

func TestVerifyRowsProvesWhatAQueryGives(t *testing.T) {
	db := openAccounts(t)
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		dbtest.Exec(t, tx, "INSERT INTO accounts (owner, balance) VALUES (?, ?)", fmt.Sprint("o", i), i)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		dbtest.Exec(t, db, "UPDATE accounts SET balance = ? WHERE id = ?", -i, 3*i+2)
	}
	rows, err := immudb.VerifyRows(t.Context(), db, "accounts", "WHERE id > ? ORDER BY id DESC", 1)
	if err != nil {
		t.Fatal(err)
	}
	var ids, want []int64
	for _, r := range rows {
		var id int64
		var owner string
		var balance int64
		if err := r.Scan(&id, &owner, &balance); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	for id := int64(51); id > 1; id-- {
		want = append(want, id)
	}
	if !slices.Equal(ids, want) {
		t.Errorf("got %v, want %v", ids, want)
	}
	if rows, err := immudb.VerifyRows(t.Context(), db, "accounts", "WHERE id < 0"); err != nil || len(rows) != 0 {
		t.Errorf("no rows: got %v, %v", rows, err)
	}
}

// Values that are not equal to themselves (NaN), or that a query formats differently (JSON),
// are not tampering.
func TestOddValuesAreProven(t *testing.T) {
	for what, row := range map[string]struct{ typ, value string }{
		"NaN":                      {"FLOAT", "CAST('NaN' AS FLOAT)"},
		"an infinity":              {"FLOAT", "CAST('-Inf' AS FLOAT)"},
		"minus zero":               {"FLOAT", "CAST('-0' AS FLOAT)"},
		"an empty string":          {"VARCHAR", "''"},
		"no string":                {"VARCHAR", "NULL"},
		"an empty blob":            {"BLOB", "x''"},
		"a JSON key that repeats":  {"JSON", `'{"a":9007199254740993,"a":2}'`},
		"a time before nanosecond": {"TIMESTAMP", "CAST('0001-01-01 00:00:00' AS TIMESTAMP)"},
		"a time after nanoseconds": {"TIMESTAMP", "CAST('3000-01-01 00:00:00' AS TIMESTAMP)"},
	} {
		db := dbtest.Open(t, trustFirstUse)
		dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, v "+row.typ+", PRIMARY KEY id)")
		dbtest.Exec(t, db, "INSERT INTO t (id, v) VALUES (1, "+row.value+")")
		rows, err := immudb.VerifyRows(t.Context(), db, "t", "")
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		one, err := immudb.VerifiedRow(t.Context(), db, "t", 1)
		if err != nil || fmt.Sprintf("%#v", one) != fmt.Sprintf("%#v", rows[0]) {
			t.Errorf("%s: by key %#v, by a query %#v, %v", what, one, rows[0], err)
		}
	}
}

func TestAnEmptyDatabaseHasNoSuchTable(t *testing.T) {
	db := dbtest.Open(t, trustFirstUse)
	if _, err := immudb.VerifyRows(t.Context(), db, "t", ""); !errors.Is(err, immudb.ErrNoSuchTable) {
		t.Errorf("VerifyRows: err = %v, want ErrNoSuchTable", err)
	}
	if _, err := immudb.VerifiedRow(t.Context(), db, "t", 1); !errors.Is(err, immudb.ErrNoSuchTable) {
		t.Errorf("VerifiedRow: err = %v, want ErrNoSuchTable", err)
	}
}

func TestATailThatBringsOtherRowsIsRefused(t *testing.T) {
	db := openAccounts(t)
	if _, err := immudb.VerifyRows(t.Context(), db, "accounts", "BEFORE TX 1"); !errors.Is(err, immudb.ErrSyntax) {
		t.Errorf("err = %v, want ErrSyntax", err)
	}
}

func TestRowsThatChangeWhileTheyAreVerifiedAreNoTampering(t *testing.T) {
	db := openAccounts(t)
	for range 20 {
		dbtest.Exec(t, db, "INSERT INTO accounts (owner, balance) VALUES ('x', 0)")
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		for n := 0; ctx.Err() == nil; n++ {
			if _, err := db.Exec("UPDATE accounts SET balance = ? WHERE id = ?", n, n%21+1); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for range 10 {
		if _, err := immudb.VerifyRows(t.Context(), db, "accounts", ""); err != nil && !errors.Is(err, immudb.ErrConflict) {
			t.Error(err)
		}
		if _, err := immudb.VerifiedRow(t.Context(), db, "accounts", 5); err != nil {
			t.Error(err)
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestWithoutATrustedStateNothingIsVerified(t *testing.T) {
	dsn := dbtest.FreshDSN(t)
	db := dbtest.OpenDSN(t, dsn)
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, PRIMARY KEY id); INSERT INTO t (id) VALUES (1)")
	_, err := immudb.VerifiedRow(t.Context(), db, "t", 1)
	if !errors.Is(err, immudb.ErrStateMissing) || !strings.Contains(err.Error(), "verify=trust-first-use") {
		t.Errorf("err = %v, want ErrStateMissing that names the remedy", err)
	}
}

func TestAPinnedStateIsTrustedWithoutFirstUse(t *testing.T) {
	dsn := dbtest.FreshDSN(t)
	db := dbtest.OpenDSN(t, dbtest.WithOptions(dsn, trustFirstUse))
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, PRIMARY KEY id)")
	pin, err := immudb.NewVerifier(db).State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	dbtest.Exec(t, db, "INSERT INTO t (id) VALUES (1)")
	dbtest.Exec(t, db, "ALTER TABLE t ADD COLUMN n INTEGER")
	dbtest.Exec(t, db, "UPSERT INTO t (id, n) VALUES (1, 2)")

	pinned := dbtest.OpenDSN(t, dbtest.WithOptions(dsn, "trusted_state="+pin.Pin()))
	row, err := immudb.VerifiedRow(t.Context(), pinned, "t", 1) // the definition is proven by the history
	if err != nil {
		t.Fatal(err)
	}
	if want := []any{int64(1), int64(2)}; !reflect.DeepEqual(row.Values, want) {
		t.Errorf("got %v, want %v", row.Values, want)
	}

	pin.Hash[5] ^= 1
	wrong := dbtest.OpenDSN(t, dbtest.WithOptions(dsn, "trusted_state="+pin.Pin()))
	if _, err := immudb.VerifiedRow(t.Context(), wrong, "t", 1); !errors.Is(err, immudb.ErrTampered) {
		t.Errorf("another hash: err = %v, want ErrTampered", err)
	}
	ahead := pin
	ahead.TxID += 1000
	future := dbtest.OpenDSN(t, dbtest.WithOptions(dsn, "trusted_state="+ahead.Pin()))
	if _, err := immudb.VerifiedRow(t.Context(), future, "t", 1); !errors.Is(err, immudb.ErrServerOlder) {
		t.Errorf("a state ahead of the server: err = %v, want ErrServerOlder", err)
	}
}

func TestAStateIsKeptOverConnectors(t *testing.T) {
	dsn := dbtest.WithOptions(dbtest.FreshDSN(t), "state_dir="+t.TempDir())
	db := dbtest.OpenDSN(t, dbtest.WithOptions(dsn, trustFirstUse))
	dbtest.Exec(t, db, "CREATE TABLE accounts (id INTEGER, PRIMARY KEY id); INSERT INTO accounts (id) VALUES (1)")
	mustVerify(t, db)
	again := dbtest.OpenDSN(t, dsn) // it needs no trust on first use any more
	mustVerify(t, again)
	if stateOf(t, again).Pin() != stateOf(t, db).Pin() {
		t.Error("the second connector trusts something else")
	}
}

func TestATableThatChangesIsReadByWhatTheHistorySaysOfIt(t *testing.T) {
	db := openAccounts(t)
	if _, err := immudb.VerifiedRow(t.Context(), db, "accounts", 1); err != nil {
		t.Fatal(err)
	}
	dbtest.Exec(t, db, "ALTER TABLE accounts RENAME COLUMN balance TO cents")
	if err := immudb.NewVerifier(db).AcceptSchema(t.Context(), "accounts"); err != nil {
		t.Fatal(err)
	}
	dbtest.Exec(t, db, "ALTER TABLE accounts ADD COLUMN note VARCHAR")
	for range 2 {
		row, err := immudb.VerifiedRow(t.Context(), db, "accounts", 1)
		if err != nil {
			t.Fatal(err)
		}
		if cents, ok := row.Value("cents"); !ok || cents != int64(10) {
			t.Errorf("got %+v", row)
		}
	}
	if rows, err := immudb.VerifyRows(t.Context(), db, "accounts", ""); err != nil || !slices.Contains(rows[0].Columns, "note") {
		t.Errorf("got %v, %v", rows, err)
	}
}

func TestServersOfEarlierVersionsAreVerifiedToo(t *testing.T) {
	s := testserver.StartVersion(t, "v1.9.5")
	db := dbtest.OpenDSN(t, dbtest.WithOptions(s.DSN(), proveCommits))
	dbtest.Exec(t, db, "CREATE TABLE accounts (id INTEGER, owner VARCHAR[40], PRIMARY KEY id)")
	for id := range 20 {
		dbtest.Exec(t, db, "INSERT INTO accounts (id, owner) VALUES (?, 'ann')", id)
	}
	mustVerify(t, db)
	dbtest.Exec(t, db, "ALTER TABLE accounts ADD COLUMN note VARCHAR")
	mustVerify(t, db)
	if rows, err := immudb.VerifyRows(t.Context(), db, "accounts", "WHERE id > 3"); err != nil || len(rows) != 16 {
		t.Errorf("%d rows, %v", len(rows), err)
	}
	// This server's LIKE has regular expressions. Its rows are not reported as tampering.
	if _, err := immudb.VerifyRows(t.Context(), db, "accounts", "WHERE owner LIKE 'n'"); !errors.Is(err, immudb.ErrUnsupported) || !strings.Contains(err.Error(), "1.9.5") {
		t.Errorf("LIKE: err = %v, want ErrUnsupported that names the version", err)
	}
	if r, err := immudb.Audit(t.Context(), db, immudb.AuditOptions{Tables: []string{"*"}}); err != nil || r.Rows["accounts"] != 20 {
		t.Errorf("%+v, %v", r, err)
	}
}
