package tampertest

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/tamperproxy"
)

// verifyReads proves what is read.
const verifyReads = "verify=trust-first-use,reads"

// reader opens a database behind a proxy with verify=reads, and the same database without
// proofs. Its table has a column of each type.
func reader(t *testing.T, verify string) (p *tamperproxy.Proxy, proven, plain *sql.DB) {
	t.Helper()
	p, dsn := tamperproxy.Start(t, dbtest.FreshDSN(t))
	plain = dbtest.OpenDSN(t, dsn)
	dbtest.Exec(t, plain, `CREATE TABLE accounts (id INTEGER, branch VARCHAR[8], owner VARCHAR[40], balance INTEGER, rate FLOAT, open BOOLEAN,
		born TIMESTAMP, ref UUID, mark BLOB, note JSON, PRIMARY KEY (branch, id))`)
	for _, row := range []string{
		`(1, 'ulm', 'ann', 10, 1.5, TRUE, TIMESTAMP '2020-01-01', CAST('00000000-0000-0000-0000-000000000001' AS UUID), x'01', '{"a":1}')`,
		`(2, 'ulm', 'bob', 20, 2.5, FALSE, TIMESTAMP '2021-01-01', CAST('00000000-0000-0000-0000-000000000002' AS UUID), x'02', '[1,2]'),
		(1, 'bonn', 'amy', 30, NULL, NULL, NULL, NULL, NULL, NULL)`,
	} {
		dbtest.Exec(t, plain, "INSERT INTO accounts (id, branch, owner, balance, rate, open, born, ref, mark, note) VALUES "+row)
	}
	dbtest.Exec(t, plain, "CREATE VIEW rich AS SELECT id, owner FROM accounts WHERE balance > 15")
	return p, dbtest.OpenDSN(t, dbtest.WithOptions(dsn, verify)), plain
}

// answerOf returns the names, types and values of a result.
func answerOf(t *testing.T, db *sql.DB, info *immudb.ReadProof, query string, args ...any) ([]string, error) {
	t.Helper()
	rows, err := db.QueryContext(immudb.WithReadProof(t.Context(), info), query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns, err := rows.ColumnTypes()
	if err != nil {
		t.Fatal(err)
	}
	var answer []string
	for _, c := range columns {
		answer = append(answer, fmt.Sprint(c.Name(), " ", c.DatabaseTypeName(), " ", c.ScanType()))
	}
	for rows.Next() {
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		answer = append(answer, fmt.Sprintf("%#v", values))
	}
	return answer, rows.Err()
}

var provenQueries = []struct {
	query string
	args  []any
}{
	{"SELECT * FROM accounts", nil},
	{"SELECT * FROM accounts WHERE branch = 'ulm' AND id = 1", nil},
	{"SELECT * FROM accounts WHERE id = ? AND branch = ?", []any{2, "ulm"}},
	{"SELECT * FROM accounts WHERE id = @id AND branch = @branch", []any{sql.Named("id", 1), sql.Named("branch", "bonn")}},
	{"SELECT * FROM accounts WHERE id = $1 AND branch = $2 AND balance > 15", []any{1, "ulm"}},
	{"SELECT * FROM accounts WHERE id = ? AND branch = ?", []any{9, "ulm"}},
	{"SELECT * FROM accounts WHERE (branch = 'ulm') AND 2 = id LIMIT 1", nil},
	{"SELECT owner, balance FROM accounts WHERE id = ? AND branch = ?", []any{2, "ulm"}},
	{`SELECT a.owner AS "Owner", (a.id) AS "a.Id", a.owner FROM accounts AS a WHERE a.id = 1 AND a.branch = 'ulm'`, nil},
	{"SELECT balance, id FROM accounts WHERE balance > ? ORDER BY balance DESC, id LIMIT 2", []any{5}},
	{"SELECT id FROM accounts ORDER BY branch, id LIMIT 1 OFFSET 1", nil},
	{"SELECT a.* FROM accounts a WHERE a.rate IS NULL", nil},
	{"SELECT owner FROM accounts WHERE owner LIKE 'a%' FOR UPDATE", nil},
	{"SELECT owner, note FROM accounts WHERE open = TRUE OR balance IN (20, 40)", nil},
	{"SELECT id AS balance, balance AS id FROM accounts WHERE balance = 10", nil},
}

// With proofs the program needs no change, and the names, types and values are the same.
func TestReadsAreProvenWithoutChangingALine(t *testing.T) {
	_, proven, plain := reader(t, verifyReads+",strict")
	for range 2 { // the second time the table is known
		for _, q := range provenQueries {
			var info immudb.ReadProof
			want, err := answerOf(t, plain, nil, q.query, q.args...)
			if err != nil {
				t.Fatalf("%s: %v", q.query, err)
			}
			got, err := answerOf(t, proven, &info, q.query, q.args...)
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s, proven:\n%q, %v\nwithout a proof:\n%q", q.query, got, err, want)
			}
			if info != (immudb.ReadProof{Proven: 1}) {
				t.Errorf("%s: %+v", q.query, info)
			}
		}
	}
	stmt, err := proven.Prepare("SELECT balance FROM accounts WHERE id = ? AND branch = ?")
	if err != nil {
		t.Fatal(err)
	}
	defer stmt.Close()
	var info immudb.ReadProof
	var balance int
	if err := stmt.QueryRowContext(immudb.WithReadProof(t.Context(), &info), 2, "ulm").Scan(&balance); err != nil || balance != 20 || info.Proven != 1 {
		t.Errorf("prepared: %d, %v, %+v", balance, err, info)
	}
}

func TestReadOfARowByItsKeyIsOneCall(t *testing.T) {
	p, proven, _ := reader(t, verifyReads+",strict")
	get := func() {
		dbtest.Get[string](t, proven, "SELECT owner FROM accounts WHERE branch = ? AND id = ?", "ulm", 1)
	}
	get()
	get()
	calls := func() int {
		return p.Count("SQLQuery") + p.Count("VerifiableSQLGet") + p.Count("CurrentState") + p.Count("VerifiableTxById")
	}
	before := calls()
	get()
	if n := calls() - before; n != 1 {
		t.Errorf("it took %d calls", n)
	}
}

// A program reads its own writes through the same sql.DB, for each way to write.
func TestReadsThatAreProvenSeeWhatWasWritten(t *testing.T) {
	_, proven, _ := reader(t, verifyReads+",strict")
	for n := range 50 {
		dbtest.Exec(t, proven, "UPSERT INTO accounts (branch, id, balance) VALUES ('ulm', 7, ?)", n)
		if got := dbtest.Get[int](t, proven, "SELECT balance FROM accounts WHERE branch = 'ulm' AND id = 7"); got != n {
			t.Fatalf("wrote %d, read %d by the key", n, got)
		}
		if got := dbtest.Get[int](t, proven, "SELECT balance FROM accounts WHERE id = 7"); got != n {
			t.Fatalf("wrote %d, read %d", n, got)
		}
	}
	dbtest.Exec(t, proven, "DELETE FROM accounts WHERE id = 7")
	for _, where := range []string{"branch = 'ulm' AND id = 7", "id = 7"} {
		if err := proven.QueryRow("SELECT id FROM accounts WHERE " + where).Scan(new(int)); !errors.Is(err, sql.ErrNoRows) {
			t.Errorf("a deleted row, by %s: %v", where, err)
		}
	}
}

var unprovenQueries = []string{
	"SELECT COUNT(*) FROM accounts",
	"SELECT SUM(balance) FROM accounts WHERE id = 1",
	"SELECT DISTINCT branch FROM accounts",
	"SELECT branch, COUNT(*) AS n FROM accounts GROUP BY branch",
	"SELECT balance + 1 FROM accounts WHERE id = 1",
	"SELECT 1 FROM accounts",
	"SELECT a.id FROM accounts AS a INNER JOIN accounts AS b ON a.id = b.balance",
	"SELECT id FROM accounts WHERE balance = (SELECT MAX(balance) FROM accounts)",
	"SELECT id FROM accounts WHERE LENGTH(owner) = 3",
	"SELECT id FROM (SELECT id FROM accounts)",
	"SELECT id FROM accounts UNION SELECT balance FROM accounts",
	"SELECT id FROM (HISTORY OF accounts)",
	"SELECT id FROM accounts BEFORE TX 1000",
	"SELECT balance AS b FROM accounts ORDER BY b",
	"SELECT balance FROM accounts ORDER BY 1",
	"SELECT owner FROM rich WHERE id = 2",
	"SELECT name FROM TABLES()",
	"SELECT 1",
}

func TestReadsThatCannotBeProvenSaySo(t *testing.T) {
	_, proven, plain := reader(t, verifyReads)
	_, strict, _ := reader(t, verifyReads+",strict")
	for _, query := range unprovenQueries {
		var info immudb.ReadProof
		want, wantErr := answerOf(t, plain, nil, query)
		got, err := answerOf(t, proven, &info, query)
		if fmt.Sprint(err) != fmt.Sprint(wantErr) || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %q, %v, without verify=reads %q, %v", query, got, err, want, wantErr)
		}
		if info.Proven != 0 || info.Unproven != 1 || info.Reason == "" {
			t.Errorf("%s: %+v", query, info)
		}
		if _, err := answerOf(t, strict, nil, query); !errors.Is(err, immudb.ErrUnsupported) {
			t.Errorf("%s, strict: %v, want ErrUnsupported", query, err)
		}
		rows, err := strict.QueryContext(immudb.WithoutProof(t.Context()), query)
		if err != nil {
			t.Errorf("%s, without a proof: %v", query, err)
			continue
		}
		rows.Close()
	}
}

// Each query that returns rows is counted once, so that All tells for one result whether it is proven.
func TestEachResultSaysWhetherItIsProven(t *testing.T) {
	_, proven, plain := reader(t, verifyReads)
	_, strict, _ := reader(t, verifyReads+",strict")
	const byKey = "SELECT owner FROM accounts WHERE branch = 'ulm' AND id = 1"
	for _, c := range []struct {
		name  string
		db    *sql.DB
		ctx   context.Context
		query string
		want  immudb.ReadProof
	}{
		{"a row", proven, t.Context(), byKey, immudb.ReadProof{Proven: 1}},
		{"no row", proven, t.Context(), "SELECT owner FROM accounts WHERE id = 77", immudb.ReadProof{Proven: 1}},
		{"a count", proven, t.Context(), "SELECT COUNT(*) FROM accounts", immudb.ReadProof{Unproven: 1, Reason: "the rows of the query cannot be proven: it computes values; ask for the columns and compute them in the program"}},
		{"two queries", proven, t.Context(), byKey + "; " + byKey, immudb.ReadProof{Unproven: 1, Reason: "the rows of the query cannot be proven: it holds more than one statement"}},
		{"what was written", proven, t.Context(), "UPSERT INTO accounts (branch, id) VALUES ('ulm', 8) RETURNING id",
			immudb.ReadProof{Unproven: 1, Reason: "rows of a statement that writes are not proven when it runs; Verifier.Written proves them after the commit"}},
		{"a write without rows", proven, t.Context(), "UPSERT INTO accounts (branch, id) VALUES ('ulm', 9)", immudb.ReadProof{}},
		{"a query that fails", proven, t.Context(), "SELECT COUNT(*) FROM missing", immudb.ReadProof{}},
		{"opted out", strict, immudb.WithoutProof(t.Context()), byKey, immudb.ReadProof{Unproven: 1, Reason: "it was run under WithoutProof"}},
		{"refused", strict, t.Context(), "SELECT COUNT(*) FROM accounts", immudb.ReadProof{}},
		{"without verify=reads", plain, t.Context(), byKey, immudb.ReadProof{Unproven: 1, Reason: "verify=reads is not set"}},
	} {
		var info immudb.ReadProof
		if rows, err := c.db.QueryContext(immudb.WithReadProof(c.ctx, &info), c.query); err == nil {
			rows.Close()
		}
		if info != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, info, c.want)
		}
		if all := info.All(); all != (c.want.Proven == 1) {
			t.Errorf("%s: All says %v", c.name, all)
		}
	}
}

func TestReadOfAColumnThatDoesNotExistFails(t *testing.T) {
	_, proven, _ := reader(t, verifyReads+",strict")
	for range 2 {
		for _, query := range []string{"SELECT missing FROM accounts WHERE id = 1 AND branch = 'ulm'", "SELECT missing FROM accounts", "SELECT id FROM accounts WHERE missing = 1"} {
			if _, err := answerOf(t, proven, nil, query); !errors.Is(err, immudb.ErrNoSuchColumn) && !errors.Is(err, immudb.ErrUnsupported) {
				t.Errorf("%s: %v", query, err)
			}
		}
	}
}

// No altered answer reaches the program, for each kind of call.
func TestReadsOfAServerThatLiesAreRefused(t *testing.T) {
	lie := func(msg []byte) []byte {
		msg = bytes.ReplaceAll(msg, []byte("ann"), []byte("eve"))
		return bytes.ReplaceAll(msg, []byte("bob"), []byte("eve"))
	}
	for _, method := range []string{"SQLQuery", "VerifiableSQLGet", "VerifiableTxById"} {
		p, proven, plain := reader(t, verifyReads)
		for _, q := range provenQueries {
			if _, err := answerOf(t, proven, nil, q.query, q.args...); err != nil {
				t.Fatal(q.query, err)
			}
		}
		dbtest.Exec(t, plain, "UPDATE accounts SET rate = 9.5") // no row is known any more
		refused := 0
		p.Tamper(nil, on(method, lie))
		for _, q := range provenQueries {
			answer, err := answerOf(t, proven, nil, q.query, q.args...)
			if err != nil {
				mustBeTampering(t, err)
				refused++
			}
			if strings.Contains(strings.Join(answer, " "), "eve") {
				t.Errorf("%s altered: %s answers %q", method, q.query, answer)
			}
		}
		if refused == 0 {
			t.Errorf("%s altered: %d queries refused", method, refused)
		}
	}
}

func TestStructsAreReadWithAProof(t *testing.T) {
	_, proven, _ := reader(t, verifyReads+",strict")
	var note json.RawMessage
	var rate sql.Null[float64]
	if err := proven.QueryRow("SELECT note, rate FROM accounts WHERE branch = 'ulm' AND id = 1").Scan(&note, &rate); err != nil || string(note) != `{"a":1}` || rate.V != 1.5 {
		t.Errorf("%s, %v, %v", note, rate, err)
	}
}
