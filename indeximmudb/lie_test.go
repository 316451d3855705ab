package indeximmudb

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/tamperproxy"
	"github.com/immudb-go/immudb/internal/testserver"
)

// elements are the fields of a message with a number, and those without it.
func elements(msg []byte, number protowire.Number) (list [][]byte, rest []byte) {
	for len(msg) > 0 {
		num, typ, n := protowire.ConsumeTag(msg)
		n += protowire.ConsumeFieldValue(num, typ, msg[n:])
		if num == number {
			list = append(list, bytes.Clone(msg[:n]))
		} else {
			rest = append(rest, msg[:n]...)
		}
		msg = msg[n:]
	}
	return list, rest
}

// withList changes the list of fields with a number.
func withList(number protowire.Number, change func(list [][]byte) [][]byte) func([]byte) []byte {
	return func(msg []byte) []byte {
		list, rest := elements(msg, number)
		return append(rest, bytes.Join(change(list), nil)...)
	}
}

// withMessage changes the message in field i of those with a number.
func withMessage(number protowire.Number, i int, change func([]byte) []byte) func([]byte) []byte {
	return withList(number, func(list [][]byte) [][]byte {
		if i < len(list) {
			_, _, n := protowire.ConsumeTag(list[i])
			inner, _ := protowire.ConsumeBytes(list[i][n:])
			list[i] = protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), change(bytes.Clone(inner)))
		}
		return list
	})
}

func without(i int) func([][]byte) [][]byte {
	return func(list [][]byte) [][]byte {
		if i >= len(list) {
			return list
		}
		return slices.Delete(list, i, i+1)
	}
}

func replace(from, to string) func([]byte) []byte {
	return func(msg []byte) []byte { return bytes.ReplaceAll(msg, []byte(from), []byte(to)) }
}

// A verifiable transaction has the transaction as field 1, and a list of transactions has them as fields 1; the
// entries of a transaction are its fields 2.
const (
	txField      = 1
	entriesField = 2
)

// asksFor returns the transaction that a request names.
func asksFor(req []byte) uint64 {
	list, _ := elements(req, 1)
	_, _, n := protowire.ConsumeTag(list[0])
	tx, _ := protowire.ConsumeVarint(list[0][n:])
	return tx
}

// askFor returns the request for another transaction.
func askFor(req []byte, tx uint64) []byte {
	_, rest := elements(req, 1)
	return append(protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), tx), rest...)
}

// behindProxy makes a database of accounts behind a proxy. Transaction 2 inserts rows 1 to 3, 3 changes row 1, 4 deletes
// row 2; 5 is of another table.
func behindProxy(t testing.TB) (*tamperproxy.Proxy, string) {
	t.Helper()
	dsn := dbtest.FreshDSN(t, trustFirstUse)
	db := dbtest.OpenDSN(t, dsn)
	accounts(t, db)
	dbtest.Exec(t, db, "CREATE TABLE other (id INTEGER, PRIMARY KEY id)")
	return tamperproxy.Start(t, dsn)
}

// historyLie lies about a history: each lie is told of a transaction, in pages and when it is asked for by itself.
type historyLie map[uint64]func(tx []byte) []byte // nil: the transaction is left out

func (l historyLie) page(first uint64, msg []byte) []byte {
	txs, rest := elements(msg, txField)
	var told [][]byte
	for i, tx := range txs {
		lie, ok := l[first+uint64(i)]
		switch {
		case !ok:
			told = append(told, tx)
		case lie != nil:
			told = append(told, withMessage(txField, 0, lie)(tx))
		}
	}
	return append(rest, bytes.Join(told, nil)...)
}

// key is the key of an account, as far as it tells the row.
func key(id byte) string { return "\x80\x80\x00\x00\x00\x00\x00\x00" + string(id) }

func TestALieNeverEntersTheIndex(t *testing.T) {
	proxy, dsn := behindProxy(t)
	db := dbtest.OpenDSN(t, dsn)
	withEntries := func(change func([][]byte) [][]byte) func([]byte) []byte { return withList(entriesField, change) }
	for name, lie := range map[string]historyLie{
		"a transaction is left out":         {3: nil},
		"the last transaction is left out":  {5: nil},
		"a row is left out":                 {2: withEntries(without(0))},
		"a deletion is left out":            {4: withEntries(without(0))},
		"a row comes twice":                 {2: withEntries(func(list [][]byte) [][]byte { return append(list, list[0]) })},
		"a deletion is of another row":      {4: replace(key(2), key(3))},
		"a change is of another row":        {3: replace(key(1), key(3))},
		"a row is put in another table":     {2: replace("\x00\x00\x00\x01\x00\x00\x00\x00"+key(1), "\x00\x00\x00\x02\x00\x00\x00\x00"+key(1))},
		"a table is another one":            {1: replace("accounts", "deposits")},
		"a transaction has no entries":      {3: withEntries(func([][]byte) [][]byte { return nil })},
		"the transactions have lost bodies": {2: func([]byte) []byte { return nil }},
	} {
		t.Run(name, func(t *testing.T) {
			x := newIndex(t, db)
			lied := false
			proxy.Answer(func(method string, req []byte, call func([]byte) ([]byte, error)) ([]byte, bool, error) {
				if method != "TxScan" && method != "TxById" {
					return nil, false, nil
				}
				msg, err := call(req)
				if err != nil {
					return nil, true, err
				}
				told := bytes.Clone(msg)
				if id := asksFor(req); method == "TxScan" {
					told = lie.page(id, told)
				} else if lie := lie[id]; lie != nil {
					told = lie(told)
				}
				lied = lied || len(told) != len(msg) || !bytes.Equal(told, msg)
				return told, true, nil
			})
			mustBeTampering(t, x.Update(t.Context()))
			if !lied || x.Tx() >= 5 {
				t.Errorf("lied: %v; the index is as of tx %d", lied, x.Tx())
			}
			proxy.Answer(nil)
			update(t, x)
			if got := rowsOf(t, x, "accounts", ""); x.Tx() != 5 || len(got) != 2 {
				t.Errorf("the truth, as of tx %d: %q", x.Tx(), got)
			}
		})
	}
}

func TestARowThatTheIndexHasCannotBeHiddenOldOrDenied(t *testing.T) {
	type instead = func(req []byte, call func([]byte) ([]byte, error)) ([]byte, error)
	altered := func(change func([]byte) []byte) instead {
		return func(req []byte, call func([]byte) ([]byte, error)) ([]byte, error) {
			msg, err := call(req)
			if err != nil {
				return nil, err
			}
			return change(msg), nil
		}
	}
	another := func(tx uint64) instead {
		return func(req []byte, call func([]byte) ([]byte, error)) ([]byte, error) { return call(askFor(req, tx)) }
	}
	proxy, dsn := behindProxy(t)
	x := newIndex(t, dbtest.OpenDSN(t, dsn))
	update(t, x)
	for name, lie := range map[string]instead{
		"an older revision is shown":   another(2),
		"another transaction is shown": another(5),
		"the server denies it":         another(99),
		"the server knows no such key": func([]byte, func([]byte) ([]byte, error)) ([]byte, error) {
			return nil, status.Error(codes.Unknown, "key not found")
		},
		"nothing is shown":                  func([]byte, func([]byte) ([]byte, error)) ([]byte, error) { return nil, nil },
		"the row is hidden":                 altered(withMessage(txField, 0, withList(entriesField, without(0)))),
		"the row is hidden, like the proof": altered(withList(txField, func([][]byte) [][]byte { return nil })),
		"the values are others":             altered(replace("ann", "eve")),
		"there is a row more": altered(withMessage(txField, 0, withList(entriesField, func(list [][]byte) [][]byte {
			return append(list, replace(key(1), key(9))(list[0]))
		}))),
	} {
		t.Run(name, func(t *testing.T) {
			read := map[string]func() error{
				"Row":  func() error { _, err := x.Row(t.Context(), "accounts", 1); return err },
				"Rows": func() error { _, err := x.Rows(t.Context(), "accounts", ""); return err },
			}
			for what, f := range read {
				told := 0
				proxy.Answer(func(method string, req []byte, call func([]byte) ([]byte, error)) ([]byte, bool, error) {
					if method != "VerifiableTxById" || asksFor(req) != 3 {
						return nil, false, nil
					}
					told++
					msg, err := lie(req, call)
					return msg, true, err
				})
				mustBeTampering(t, f())
				if told == 0 {
					t.Errorf("%s: no lie was told", what)
				}
				proxy.Answer(nil)
				if err := f(); err != nil {
					t.Errorf("%s of the truth: %v", what, err)
				}
			}
		})
	}
}

// A row that the index does not have is absent whatever a server says, which is not even asked.
func TestARowThatTheIndexDoesNotHaveCannotBeInvented(t *testing.T) {
	proxy, dsn := behindProxy(t)
	x := newIndex(t, dbtest.OpenDSN(t, dsn))
	update(t, x)
	asked := func() (n int) {
		for _, method := range []string{"VerifiableTxById", "VerifiableSQLGet", "TxScan", "TxById", "CurrentState", "SQLQuery", "OpenSession"} {
			n += proxy.Count(method)
		}
		return n
	}
	before := asked()
	for _, id := range []int{2, 8} {
		if _, err := x.Row(t.Context(), "accounts", id); !errors.Is(err, sql.ErrNoRows) {
			t.Errorf("row %d: err = %v, want ErrNoRows", id, err)
		}
	}
	if rows, err := x.Rows(t.Context(), "accounts", "WHERE id > ?", 3); err != nil || len(rows) > 0 {
		t.Errorf("rows: %v, %v", rows, err)
	}
	if n := asked(); n != before {
		t.Errorf("%d calls were made", n-before)
	}
	if _, err := x.Row(t.Context(), "accounts", 1); err != nil || asked() == before {
		t.Errorf("a row that is there: err = %v, after %d calls", err, asked()-before)
	}
}

// Rows of many transactions that follow each other are read as a feed is.
func TestNoRowOfManyTransactionsCanBeHidden(t *testing.T) {
	dsn := dbtest.FreshDSN(t, trustFirstUse)
	honest := dbtest.OpenDSN(t, dsn)
	dbtest.Exec(t, honest, "CREATE TABLE entries (id INTEGER, note VARCHAR[20], PRIMARY KEY id)")
	const n = 3 * minRange
	for id := range n {
		dbtest.Exec(t, honest, "INSERT INTO entries (id, note) VALUES (?, ?)", id, fmt.Sprintf("note %d", id))
	}
	proxy, dsn := tamperproxy.Start(t, dsn)
	x := newIndex(t, dbtest.OpenDSN(t, dsn))
	update(t, x)
	for name, lie := range map[string]func([]byte) []byte{
		"a transaction is left out": withList(txField, without(7)),
		"a row is left out":         withMessage(txField, 7, withList(entriesField, without(0))),
		"a value is another one":    replace("note 7", "note 8"),
		"nothing is answered":       func([]byte) []byte { return nil },
	} {
		told := proxy.Count("TxScan")
		proxy.Tamper(nil, func(method string, msg []byte) []byte {
			if method != "TxScan" {
				return msg
			}
			return lie(bytes.Clone(msg))
		})
		_, err := x.Rows(t.Context(), "entries", "")
		mustBeTampering(t, err)
		if proxy.Count("TxScan") == told {
			t.Errorf("%s: no lie was told", name)
		}
		proxy.Tamper(nil, nil)
		if got := rowsOf(t, x, "entries", ""); len(got) != n {
			t.Errorf("after %s, the truth has %d rows", name, len(got))
		}
	}
}

// No bit of an answer can be changed so that a row is another one.
func TestABitFlipNeverChangesARow(t *testing.T) {
	proxy, dsn := behindProxy(t)
	x := newIndex(t, dbtest.OpenDSN(t, dsn))
	update(t, x)
	size := 0
	proxy.Tamper(nil, func(_ string, msg []byte) []byte { size = max(size, len(msg)); return msg })
	want := rowsOf(t, x, "accounts", "WHERE id = 1")
	refused := 0
	step := max(1, 5/testserver.Rounds(t, 1, 5))
	for at := 0; at < size; at += step {
		proxy.Tamper(nil, func(_ string, msg []byte) []byte {
			if at < len(msg) {
				msg = bytes.Clone(msg)
				msg[at] ^= byte(1) << (at * 5 % 8)
			}
			return msg
		})
		rows, err := x.Rows(t.Context(), "accounts", "WHERE id = 1")
		switch {
		case err != nil:
			refused++
			if !errors.Is(err, immudb.ErrTampered) {
				t.Errorf("byte %d: err = %v, want ErrTampered", at, err)
			}
		case len(rows) != 1 || fmt.Sprint(rows[0].Columns, rows[0].Values) != want[0]:
			t.Errorf("byte %d: %v", at, rows)
		}
	}
	if refused < size/step/2 {
		t.Errorf("only %d of %d flips are refused", refused, size/step)
	}
}

// An index answers for its own history only, also where nothing else is trusted yet.
func TestAnIndexOfAnotherHistoryIsRefused(t *testing.T) {
	one := dbtest.Open(t, trustFirstUse)
	accounts(t, one)
	path := filepath.Join(t.TempDir(), "index")
	x, err := Open(path, one, Options{})
	if err != nil {
		t.Fatal(err)
	}
	update(t, x)
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	other := dbtest.Open(t, trustFirstUse)
	dbtest.Exec(t, other, "CREATE TABLE accounts (id INTEGER, owner VARCHAR[40], balance INTEGER, PRIMARY KEY id)")
	dbtest.Exec(t, other, "INSERT INTO accounts (id, owner, balance) VALUES (1, 'eve', 99)")
	read := func(db *sql.DB) map[string]error {
		x, err := Open(path, db, Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer x.Close()
		errs := make(map[string]error)
		_, errs["Row"] = x.Row(t.Context(), "accounts", 1)
		_, errs["absent"] = x.Row(t.Context(), "accounts", 2)
		_, errs["Rows"] = x.Rows(t.Context(), "accounts", "")
		errs["Update"] = x.Update(t.Context())
		return errs
	}
	for what, err := range read(other) {
		if !errors.Is(err, immudb.ErrServerOlder) {
			t.Errorf("%s of a shorter history: err = %v, want ErrServerOlder", what, err)
		}
	}
	for range 3 {
		dbtest.Exec(t, other, "UPSERT INTO accounts (id, owner, balance) VALUES (2, 'eve', 99)")
	}
	for what, err := range read(other) {
		if !errors.Is(err, immudb.ErrTampered) {
			t.Errorf("%s of another history: err = %v, want ErrTampered", what, err)
		}
	}
	for what, err := range read(one) {
		if what == "absent" && errors.Is(err, sql.ErrNoRows) {
			continue
		}
		if err != nil || what == "absent" {
			t.Errorf("%s of its own history: %v", what, err)
		}
	}
}

// What a server has shown once it cannot hold back.
func TestAServerThatGoesBackIsOlder(t *testing.T) {
	proxy, dsn := behindProxy(t)
	x := newIndex(t, dbtest.OpenDSN(t, dsn))
	var old []byte
	proxy.Tamper(nil, func(method string, msg []byte) []byte {
		if method == "CurrentState" {
			old = bytes.Clone(msg)
		}
		return msg
	})
	update(t, x)
	dbtest.Exec(t, dbtest.OpenDSN(t, dsn), "UPDATE accounts SET balance = 12 WHERE id = 1")
	proxy.Tamper(nil, nil)
	update(t, x)
	proxy.Tamper(nil, func(method string, msg []byte) []byte {
		if method == "CurrentState" {
			return old
		}
		return msg
	})
	if err := x.Update(t.Context()); !errors.Is(err, immudb.ErrServerOlder) {
		t.Errorf("err = %v, want ErrServerOlder", err)
	}
	if row, err := x.Row(t.Context(), "accounts", 1); err != nil || row.Values[2] != int64(12) {
		t.Errorf("row: %v, %v", row, err)
	}
}
