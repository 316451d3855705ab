package tampertest

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
)

// inTx runs queries in a transaction, and ends it without a commit.
func inTx(t *testing.T, db *sql.DB, opts *sql.TxOptions, run func(tx *sql.Tx)) {
	t.Helper()
	tx, err := db.BeginTx(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	run(tx)
}

// txAnswer returns the values of a result, one row to a string.
func txAnswer(ctx context.Context, tx *sql.Tx, info *immudb.ReadProof, query string, args ...any) ([]string, error) {
	*info = immudb.ReadProof{}
	rows, err := tx.QueryContext(immudb.WithReadProof(ctx, info), query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	answer := []string{strings.Join(columns, " ")}
	for rows.Next() {
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		answer = append(answer, fmt.Sprintf("%#v", values))
	}
	return answer, rows.Err()
}

func TestReadsInATransactionAreProven(t *testing.T) {
	_, strict, plain := reader(t, verifyReads+",strict")
	for _, readOnly := range []bool{true, false} {
		for range 2 {
			inTx(t, strict, &sql.TxOptions{ReadOnly: readOnly}, func(tx *sql.Tx) {
				inTx(t, plain, nil, func(same *sql.Tx) {
					for _, q := range provenQueries {
						var info, none immudb.ReadProof
						want, wantErr := txAnswer(t.Context(), same, &none, q.query, q.args...)
						got, err := txAnswer(t.Context(), tx, &info, q.query, q.args...)
						if err != nil || wantErr != nil || !reflect.DeepEqual(got, want) || info != (immudb.ReadProof{Proven: 1}) {
							t.Errorf("%s: %q, %v, %+v, without a proof %q, %v", q.query, got, err, info, want, wantErr)
						}
					}
				})
			})
		}
	}
	for _, query := range unprovenQueries {
		inTx(t, strict, nil, func(tx *sql.Tx) {
			if _, err := txAnswer(t.Context(), tx, new(immudb.ReadProof), query); !errors.Is(err, immudb.ErrUnsupported) {
				t.Errorf("%s: %v, want ErrUnsupported", query, err)
			}
		})
	}
}

func TestOwnRowsOfATransactionAreCountedByThemselves(t *testing.T) {
	_, proven, plain := reader(t, verifyReads)
	_, strict, _ := reader(t, verifyReads+",strict")
	dbtest.Exec(t, plain, "CREATE TABLE other (id INTEGER, PRIMARY KEY id)")
	dbtest.Exec(t, plain, "INSERT INTO other (id) VALUES (1)")
	for _, known := range []bool{false, true} {
		inTx(t, proven, nil, func(tx *sql.Tx) {
			dbtest.Exec(t, tx, "UPSERT INTO accounts (branch, id, owner) VALUES ('ulm', 77, 'new')")
			dbtest.Exec(t, tx, "UPDATE accounts SET owner = 'changed' WHERE id = 1 AND branch = 'ulm'")
			dbtest.Exec(t, tx, "DELETE FROM accounts WHERE branch = 'bonn'")
			for query, want := range map[string]immudb.ReadProof{
				"SELECT owner FROM accounts ORDER BY branch, id":              {Own: 1, OwnRows: 2},
				"SELECT owner FROM accounts WHERE branch = 'ulm' AND id = 1":  {Own: 1, OwnRows: 1},
				"SELECT owner FROM accounts WHERE branch = 'ulm' AND id = 2":  {Proven: 1},
				"SELECT owner FROM accounts WHERE owner = 'bob' OR id = 77":   {Own: 1, OwnRows: 1},
				"SELECT owner FROM accounts WHERE branch = 'bonn' AND id = 1": {Proven: 1}, // that there is none is the server's word
				"SELECT id FROM other": {Proven: 1},
				"SELECT owner FROM accounts WHERE branch = 'ulm' AND id >= 77": {Own: 1, OwnRows: 1},
			} {
				if !known && strings.Contains(query, "ulm") && want.Own > 0 {
					continue // nothing of the table is proven yet
				}
				var info immudb.ReadProof
				answer, err := txAnswer(t.Context(), tx, &info, query)
				if info.Reason = ""; err != nil || info != want {
					t.Errorf("%s: %q, %v, %+v, want %+v", query, answer, err, info, want)
				}
			}
			var info immudb.ReadProof
			answer, err := txAnswer(t.Context(), tx, &info, "SELECT owner FROM accounts ORDER BY branch, id")
			if want := []string{"owner", `[]interface {}{"changed"}`, `[]interface {}{"bob"}`, `[]interface {}{"new"}`}; err != nil || !reflect.DeepEqual(answer, want) {
				t.Errorf("%q, %v, want %q", answer, err, want)
			}
			if info.All() || !strings.Contains(info.Reason, "has written to the table") {
				t.Errorf("%+v", info)
			}
		})
	}
	inTx(t, strict, nil, func(tx *sql.Tx) {
		if _, err := txAnswer(t.Context(), tx, new(immudb.ReadProof), "SELECT id FROM accounts"); err != nil {
			t.Error(err)
		}
		dbtest.Exec(t, tx, "UPDATE accounts SET owner = 'changed' WHERE id = 1 AND branch = 'ulm'")
		if _, err := txAnswer(t.Context(), tx, new(immudb.ReadProof), "SELECT id FROM accounts"); !errors.Is(err, immudb.ErrUnsupported) {
			t.Errorf("own rows, strict: %v", err)
		}
		if err := tx.QueryRowContext(immudb.WithoutProof(t.Context()), "SELECT id FROM accounts WHERE owner = 'changed'").Scan(new(int)); err != nil {
			t.Errorf("own rows without a proof: %v", err)
		}
	})
}

// The snapshot shows what was, and the server proves what is.
func TestRowsThatOthersWroteSinceTheSnapshotAreNotProven(t *testing.T) {
	_, proven, plain := reader(t, verifyReads)
	dbtest.Get[int](t, proven, "SELECT balance FROM accounts WHERE branch = 'ulm' AND id = 1") // trusts the state
	for _, write := range []string{"UPDATE accounts SET balance = balance + 1 WHERE branch = 'ulm' AND id = 1", "DELETE FROM accounts WHERE branch = 'ulm' AND id = 1"} {
		inTx(t, proven, &sql.TxOptions{ReadOnly: true}, func(tx *sql.Tx) {
			var info immudb.ReadProof
			const query = "SELECT balance FROM accounts WHERE branch = 'ulm' AND id = 1"
			before, err := txAnswer(t.Context(), tx, &info, query)
			if err != nil || info.Proven != 1 {
				t.Fatal(err, info)
			}
			dbtest.Exec(t, plain, write)
			dbtest.Get[int](t, plain, "SELECT COUNT(*) FROM accounts") // the server's index has it then
			after, err := txAnswer(t.Context(), tx, &info, query)
			if err != nil || !reflect.DeepEqual(after, before) || info.Unproven != 1 || !strings.Contains(info.Reason, "another transaction") {
				t.Errorf("%s: %q, %v, %+v, before %q", write, after, err, info, before)
			}
		})
	}
}

func TestReadsAfterATransactionHasChangedTablesAreNotProven(t *testing.T) {
	_, proven, _ := reader(t, verifyReads)
	inTx(t, proven, nil, func(tx *sql.Tx) {
		dbtest.Exec(t, tx, "ALTER TABLE accounts ADD COLUMN more INTEGER")
		var info immudb.ReadProof
		if answer, err := txAnswer(t.Context(), tx, &info, "SELECT more FROM accounts"); err != nil || len(answer) != 4 || info.Unproven != 1 {
			t.Errorf("%q, %v, %+v", answer, err, info)
		}
	})
}

// Nothing false is accepted in a transaction, and what may be its own is never called proven.
func TestReadsInATransactionOfAServerThatLiesAreRefused(t *testing.T) {
	p, proven, _ := reader(t, verifyReads)
	if _, err := answerOf(t, proven, nil, "SELECT * FROM accounts"); err != nil {
		t.Fatal(err)
	}
	const query = "SELECT owner FROM accounts WHERE branch = 'ulm' AND id = 1"
	for _, method := range []string{"TxSQLQuery", "VerifiableSQLGet"} {
		for _, readOnly := range []bool{true, false} {
			inTx(t, proven, &sql.TxOptions{ReadOnly: readOnly}, func(tx *sql.Tx) {
				p.Tamper(nil, on(method, func(msg []byte) []byte { return bytes.ReplaceAll(msg, []byte("ann"), []byte("eve")) }))
				_, err := txAnswer(t.Context(), tx, new(immudb.ReadProof), query)
				mustBeTampering(t, err)
				p.Tamper(nil, nil)
				var info immudb.ReadProof
				if _, err := txAnswer(t.Context(), tx, &info, query); err != nil || info.Proven != 1 {
					t.Errorf("an honest answer after the lie: %v, %+v", err, info)
				}
			})
		}
	}
	inTx(t, proven, nil, func(tx *sql.Tx) {
		dbtest.Exec(t, tx, "UPDATE accounts SET owner = 'own' WHERE branch = 'ulm' AND id = 2")
		p.Tamper(nil, on("TxSQLQuery", func(msg []byte) []byte { return bytes.ReplaceAll(msg, []byte("ann"), []byte("eve")) }))
		defer p.Tamper(nil, nil)
		var info immudb.ReadProof
		if _, err := txAnswer(t.Context(), tx, &info, query); err == nil && (info.Proven != 0 || info.OwnRows != 1) {
			t.Errorf("a false row in a table that the transaction has written to: %+v", info)
		}
	})
}
