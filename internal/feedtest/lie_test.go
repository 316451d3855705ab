package feedtest

import (
	"bytes"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

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

// withTx changes transaction i of an answer to TxScan.
func withTx(i int, change func(tx []byte) []byte) func([]byte) []byte {
	return func(msg []byte) []byte {
		txs, rest := elements(msg, 1)
		if i >= len(txs) {
			return msg
		}
		_, _, n := protowire.ConsumeTag(txs[i])
		tx, _ := protowire.ConsumeBytes(txs[i][n:])
		txs[i] = protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), change(bytes.Clone(tx)))
		return append(bytes.Join(txs, nil), rest...)
	}
}

// withTxs changes the list of transactions.
func withTxs(change func(txs [][]byte) [][]byte) func([]byte) []byte {
	return func(msg []byte) []byte {
		txs, rest := elements(msg, 1)
		return append(bytes.Join(change(txs), nil), rest...)
	}
}

// entries changes the list of entries of a transaction.
func entries(change func(list [][]byte) [][]byte) func(tx []byte) []byte {
	return func(tx []byte) []byte {
		list, rest := elements(tx, 2)
		return append(rest, bytes.Join(change(list), nil)...)
	}
}

// numbered gives a transaction another number, and changes the list of its entries.
func numbered(id uint64, list func([][]byte) [][]byte) func(tx []byte) []byte {
	return func(tx []byte) []byte {
		headers, rest := elements(entries(list)(tx), 1)
		_, _, n := protowire.ConsumeTag(headers[0])
		header, _ := protowire.ConsumeBytes(headers[0][n:])
		_, header = elements(header, 1)
		header = protowire.AppendVarint(protowire.AppendTag(header, 1, protowire.VarintType), id)
		return append(protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), header), rest...)
	}
}

// history is what the tests of this file read: a database behind a proxy, and what an honest server gives of it.
type history struct {
	proxy  *tamperproxy.Proxy
	dsn    string
	honest []string
}

func newHistory(t *testing.T, dsn string) *history {
	t.Helper()
	h := &history{}
	h.proxy, h.dsn = tamperproxy.Start(t, dsn)
	return h
}

func (h *history) learn(t *testing.T) {
	t.Helper()
	for _, c := range all(t, dbtest.OpenDSN(t, dbtest.WithOptions(h.dsn, trustFirstUse)), immudb.ChangesOptions{}) {
		h.honest = append(h.honest, inWords(&c))
	}
}

// read reads the feed to its end or first error, and checks that it has given only what is true.
func (h *history) read(t *testing.T, db *sql.DB, opts immudb.ChangesOptions) (n int, err error) {
	t.Helper()
	skip := 0
	for c, err := range immudb.Changes(t.Context(), db, opts) {
		if err != nil {
			return n, err
		}
		if n == 0 {
			skip = max(0, slices.Index(h.honest, inWords(&c)))
			if opts.After.IsZero() {
				skip = 0
			}
		}
		if skip+n >= len(h.honest) || inWords(&c) != h.honest[skip+n] {
			t.Fatalf("change %d is %s, which is false", n, inWords(&c))
		}
		n++
	}
	return n, nil
}

func mustBeTampering(t testing.TB, err error) {
	t.Helper()
	var found *immudb.Tampering
	if !errors.Is(err, immudb.ErrTampered) || !errors.As(err, &found) || found.Check == "" {
		t.Errorf("err = %v, want ErrTampered with a Tampering that says what failed", err)
	}
}

// small is a short history. The same statements in the same second are the same history on another server.
func small(t *testing.T, first string) *history {
	t.Helper()
	dsn := dbtest.FreshDSN(t)
	db := dbtest.OpenDSN(t, dsn)
	dbtest.Exec(t, db, "CREATE TABLE accounts (id INTEGER, owner VARCHAR[40], balance INTEGER, PRIMARY KEY id)")
	dbtest.Exec(t, db, "INSERT INTO accounts (id, owner, balance) VALUES (1, ?, 10), (2, 'bob', 20)", first)
	dbtest.Exec(t, db, "ALTER TABLE accounts RENAME COLUMN balance TO cents")
	dbtest.Exec(t, db, "UPDATE accounts SET cents = 11 WHERE id = 1")
	dbtest.Exec(t, db, "DELETE FROM accounts WHERE id = 2")
	h := newHistory(t, dsn)
	h.learn(t)
	return h
}

func TestALieEndsTheFeedBeforeAnythingFalse(t *testing.T) {
	swap := func(i, j int) func([][]byte) [][]byte {
		return func(list [][]byte) [][]byte { list[i], list[j] = list[j], list[i]; return list }
	}
	without := func(i int) func([][]byte) [][]byte {
		return func(list [][]byte) [][]byte { return slices.Delete(list, i, i+1) }
	}
	replace := func(from, to string) func([]byte) []byte {
		return func(msg []byte) []byte { return bytes.ReplaceAll(msg, []byte(from), []byte(to)) }
	}
	for name, lie := range map[string]func([]byte) []byte{
		"a transaction is left out":             withTxs(without(1)),
		"the first transaction is left out":     withTxs(without(0)),
		"transactions are swapped":              withTxs(swap(1, 3)),
		"a transaction has another number":      withTx(1, numbered(1<<40, without(0))),
		"a transaction comes twice":             withTxs(func(list [][]byte) [][]byte { return slices.Insert(list, 2, list[1]) }),
		"nothing is answered":                   func([]byte) []byte { return nil },
		"a row is left out":                     withTx(1, entries(without(0))),
		"another row is left out":               withTx(1, entries(without(1))),
		"rows are swapped":                      withTx(1, entries(swap(0, 1))),
		"a row comes twice":                     withTx(1, entries(func(list [][]byte) [][]byte { return append(list, list[0]) })),
		"a row is one of another transaction":   withTxs(func(list [][]byte) [][]byte { return append(list[:3], list[1]) }),
		"a value is another one":                replace("bob", "eve"),
		"a column has another name":             replace("balance", "credits"),
		"a column is renamed to something else": replace("cents", "euros"),
		"a table has another name":              replace("accounts", "deposits"),
	} {
		t.Run(name, func(t *testing.T) {
			h := small(t, "ann")
			db := dbtest.OpenDSN(t, dbtest.WithOptions(h.dsn, trustFirstUse))
			if n, err := h.read(t, db, immudb.ChangesOptions{}); err != nil || n != len(h.honest) {
				t.Fatalf("the truth: %d changes, %v", n, err)
			}
			lied := false
			h.proxy.Tamper(nil, func(method string, msg []byte) []byte {
				if method != "TxScan" {
					return msg
				}
				altered := lie(bytes.Clone(msg))
				lied = lied || !bytes.Equal(altered, msg)
				return altered
			})
			n, err := h.read(t, db, immudb.ChangesOptions{})
			mustBeTampering(t, err)
			if !lied || n == len(h.honest) {
				t.Errorf("lied: %v; the feed has given %d of %d changes", lied, n, len(h.honest))
			}
			h.proxy.Tamper(nil, nil)
			if n, err := h.read(t, db, immudb.ChangesOptions{}); err != nil || n != len(h.honest) {
				t.Errorf("after that, the truth: %d changes, %v", n, err)
			}
		})
	}
}

// No bit of the answers can be changed so that the feed gives something else.
func TestABitFlipNeverChangesWhatAFeedGives(t *testing.T) {
	h := small(t, "ann")
	db := dbtest.OpenDSN(t, dbtest.WithOptions(h.dsn, trustFirstUse))
	size := 0
	h.proxy.Tamper(nil, func(method string, msg []byte) []byte {
		if method == "TxScan" {
			size = max(size, len(msg))
		}
		return msg
	})
	if _, err := h.read(t, db, immudb.ChangesOptions{}); err != nil {
		t.Fatal(err)
	}
	refused := 0
	step := max(1, 7/testserver.Rounds(t, 1, 7))
	for at := 0; at < size; at += step {
		h.proxy.Tamper(nil, func(method string, msg []byte) []byte {
			if method == "TxScan" && at < len(msg) { // a page may be shorter than the longest
				msg = bytes.Clone(msg)
				msg[at] ^= byte(1) << (at * 5 % 8)
			}
			return msg
		})
		n, err := h.read(t, db, immudb.ChangesOptions{})
		switch {
		case err == nil && n != len(h.honest):
			t.Errorf("byte %d: the feed has given %d of %d changes without an error", at, n, len(h.honest))
		case err != nil:
			refused++
			if !errors.Is(err, immudb.ErrTampered) {
				t.Errorf("byte %d: err = %v, want ErrTampered", at, err)
			}
		}
	}
	if refused < size/step/2 {
		t.Errorf("only %d of %d flips are refused", refused, size/step)
	}
}

// A server that shows an old page again, in the place of a new one, is found out.
func TestAnOldAnswerEndsTheFeed(t *testing.T) {
	h := small(t, "ann")
	db := dbtest.OpenDSN(t, dbtest.WithOptions(h.dsn, trustFirstUse))
	list := all(t, db, immudb.ChangesOptions{})
	var old []byte
	h.proxy.Tamper(nil, func(method string, msg []byte) []byte {
		if method == "TxScan" {
			old = bytes.Clone(msg)
		}
		return msg
	})
	all(t, db, immudb.ChangesOptions{After: list[0].Cursor})
	h.proxy.Tamper(nil, func(method string, msg []byte) []byte {
		if method == "TxScan" {
			return old
		}
		return msg
	})
	_, err := h.read(t, db, immudb.ChangesOptions{After: list[len(list)-2].Cursor})
	mustBeTampering(t, err)
}

// A server may invent a continuation of the history in which every hash is right. It is found out page by page, because
// each page must belong to the trusted history.
func TestAForgedContinuationIsNeverYielded(t *testing.T) {
	s := testserver.Start(t, "-synced=false")
	backup := t.TempDir()
	db := dbtest.OpenDSN(t, s.DSN())
	const common, more = 150, 400
	fill(t, db, common)
	if err := errors.Join(s.Stop(), os.CopyFS(backup, os.DirFS(filepath.Join(s.Info().Dir, "defaultdb"))), s.Restart()); err != nil {
		t.Fatal(err)
	}
	write := func(dsn, owner string) {
		db := dbtest.OpenDSN(t, dsn)
		for id := range more {
			dbtest.Exec(t, db, "UPSERT INTO accounts (id, owner, balance) VALUES (?, ?, 1)", id, owner)
		}
	}
	write(s.DSN(), "ann")
	h := newHistory(t, s.DSN())
	h.learn(t)

	forger := testserver.Start(t, "-synced=false")
	dir := filepath.Join(forger.Info().Dir, "defaultdb")
	if err := errors.Join(forger.Stop(), os.RemoveAll(dir), os.CopyFS(dir, os.DirFS(backup)), forger.Restart()); err != nil {
		t.Fatal(err)
	}
	write(forger.DSN(), "eve")
	f := newHistory(t, forger.DSN())
	var mu sync.Mutex
	forged := make(map[string][]byte)
	var asked string
	f.proxy.Answer(func(method string, req []byte, call func([]byte) ([]byte, error)) ([]byte, bool, error) {
		if method != "TxScan" {
			return nil, false, nil
		}
		answer, err := call(req)
		mu.Lock()
		defer mu.Unlock()
		forged[string(req)] = answer
		return answer, true, err
	})
	f.learn(t)
	if len(f.honest) != len(h.honest) || !strings.Contains(f.honest[len(f.honest)-1], "eve") {
		t.Fatalf("the forger has %d changes of %d, the last is %s", len(f.honest), len(h.honest), f.honest[len(f.honest)-1])
	}
	lies := 0
	h.proxy.Answer(func(method string, req []byte, call func([]byte) ([]byte, error)) ([]byte, bool, error) {
		mu.Lock()
		defer mu.Unlock()
		answer, ok := forged[string(req)]
		if method != "TxScan" {
			return nil, false, nil
		}
		if ok {
			lies++
		} else {
			asked += " a page that was not forged"
		}
		return answer, ok, nil
	})
	n, err := h.read(t, dbtest.OpenDSN(t, dbtest.WithOptions(h.dsn, trustFirstUse)), immudb.ChangesOptions{})
	mustBeTampering(t, err)
	if lies < 2 || n == 0 || n > common+1 || asked != "" {
		t.Errorf("%d pages were forged%s, %d changes came of the %d that are true", lies, asked, n, common+1)
	}
}

// A cursor ties the feed to its history, also where nothing else is trusted.
func TestACursorOfAnotherHistoryIsRefused(t *testing.T) {
	one, two := small(t, "ann"), small(t, "eve")
	list := all(t, dbtest.OpenDSN(t, dbtest.WithOptions(one.dsn, trustFirstUse)), immudb.ChangesOptions{})
	other := dbtest.OpenDSN(t, dbtest.WithOptions(two.dsn, trustFirstUse))
	for _, c := range list {
		if c.Cursor.TxID() < 2 {
			continue // the same statement in the same second: both histories may begin with the same transaction
		}
		_, err := two.read(t, other, immudb.ChangesOptions{After: c.Cursor})
		mustBeTampering(t, err)
	}
	shorter := dbtest.Open(t, trustFirstUse)
	dbtest.Exec(t, shorter, "CREATE TABLE t (id INTEGER, PRIMARY KEY id)")
	if _, err := two.read(t, shorter, immudb.ChangesOptions{After: list[len(list)-1].Cursor}); !errors.Is(err, immudb.ErrServerOlder) {
		t.Errorf("a server without the transaction of the cursor: err = %v, want ErrServerOlder", err)
	}
	if _, err := two.read(t, dbtest.OpenDSN(t, two.dsn), immudb.ChangesOptions{}); !errors.Is(err, immudb.ErrStateMissing) {
		t.Errorf("nothing is trusted: err = %v, want ErrStateMissing", err)
	}
}
