package main

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/testserver"
)

func TestMain(m *testing.M) { os.Exit(testserver.Main(m, testserver.NoSessions)) }

func open(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open("immudb", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func tables(t *testing.T, db *sql.DB) (names []string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), "SHOW TABLES")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return names
}

func TestItShowsTheLedgerAndLeavesNoFile(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	var out bytes.Buffer
	if err := run(t.Context(), "", &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`UUID      \S+`,
		`They hold 305,000\.00 together`,
		`239 were booked`,
		`Number 171 was refused .* García Panadería cannot pay 250,000\.00`,
		`together +305,000\.00 +305,000\.00 +0\.00`,
		`1 +\d+ +9,200\.00  opening balance`,
		`8 +\d+ +\S+ +8,472\.04  `,
		`the server goes with all its data`,
	} {
		if !regexp.MustCompile(want).Match(out.Bytes()) {
			t.Errorf("the output lacks %q:\n%s", want, &out)
		}
	}
	left, err := os.ReadDir(temp)
	if err != nil {
		t.Fatal(err)
	}
	if len(left) > 0 {
		t.Errorf("%s is left", left[0])
	}
}

func TestOnAGivenServerItLeavesNoTableAndNoSession(t *testing.T) {
	dsn := testserver.Shared(t).NewDatabase(t)
	for range 2 { // tables left by the first run would make the second fail
		if err := run(t.Context(), dsn, io.Discard); err != nil {
			t.Fatal(err)
		}
		if n, err := testserver.Shared(t).Sessions(); err != nil || n != 0 {
			t.Errorf("%d sessions are left (%v)", n, err)
		}
	}
	if names := tables(t, open(t, dsn)); len(names) != 0 {
		t.Errorf("the tables %v are left", names)
	}
}

func TestTablesOfSomebodyElseAreLeftAlone(t *testing.T) {
	dsn := testserver.Shared(t).NewDatabase(t)
	db := open(t, dsn)
	if _, err := db.Exec("CREATE TABLE quickstart_transfers (id INTEGER, PRIMARY KEY id)"); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), dsn, io.Discard); !errors.Is(err, immudb.ErrExists) {
		t.Errorf("err = %v, want ErrExists", err)
	}
	if names := tables(t, db); len(names) != 1 {
		t.Errorf("tables %v, want the one that was there", names)
	}
}

// cancelAt cancels as soon as a text is written.
type cancelAt struct {
	text   string
	cancel context.CancelFunc
}

func (c cancelAt) Write(p []byte) (int, error) {
	if strings.Contains(string(p), c.text) {
		c.cancel()
	}
	return len(p), nil
}

func TestAnInterruptedRunDropsItsTables(t *testing.T) {
	dsn := testserver.Shared(t).NewDatabase(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if err := run(ctx, dsn, cancelAt{"1. Load", cancel}); !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v, want context.Canceled", err)
	}
	if names := tables(t, open(t, dsn)); len(names) != 0 {
		t.Errorf("the tables %v are left", names)
	}
}

// bookOf writes the beginning of the repository's ledger to a new database.
func bookOf(t *testing.T) *book {
	t.Helper()
	l, err := readLedger(files)
	if err != nil {
		t.Fatal(err)
	}
	l.transfers = l.transfers[:40]
	b := &book{db: open(t, testserver.Shared(t).NewDatabase(t)), ledger: l}
	for _, step := range []func(context.Context) error{b.create, b.load, b.transferAll} {
		if err := step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func TestMoneyMadeOrLostIsFound(t *testing.T) {
	for _, row := range []struct{ reason, query, says string }{
		{"an account gained", "UPDATE quickstart_accounts SET balance = balance + 1 WHERE id = 2", "account 2 holds"},
		{"an account is gone", "DELETE FROM quickstart_accounts WHERE id = 2", "account 2 holds 0.00"},
		{"a transfer is gone", "DELETE FROM quickstart_transfers WHERE id = 1", "its transfers make it"},
	} {
		t.Run(row.reason, func(t *testing.T) {
			b := bookOf(t)
			if _, err := b.check(t.Context()); err != nil {
				t.Fatalf("before anything is wrong: %v", err)
			}
			if _, err := b.db.Exec(row.query); err != nil {
				t.Fatal(err)
			}
			if _, err := b.check(t.Context()); err == nil || !strings.Contains(err.Error(), row.says) {
				t.Errorf("err = %v, want %q", err, row.says)
			}
		})
	}
	t.Run("money was there for one transaction only", func(t *testing.T) {
		b := bookOf(t)
		for _, change := range []string{"+", "-"} {
			var commit immudb.CommitInfo
			_, err := b.db.ExecContext(immudb.WithCommitInfo(t.Context(), &commit),
				"UPDATE quickstart_accounts SET balance = balance "+change+" 1 WHERE id = 2")
			if err != nil {
				t.Fatal(err)
			}
			b.booked = append(b.booked, booking{commit: commit})
		}
		if _, err := b.check(t.Context()); err == nil || !strings.Contains(err.Error(), "305,000.01 together instead of 305,000.00") {
			t.Errorf("err = %v, want the sum after the first of the two", err)
		}
	})
}

func TestAVersionThatNoTransferMadeIsFound(t *testing.T) {
	b := bookOf(t)
	if _, err := b.history(t.Context(), watched); err != nil {
		t.Fatalf("before anything is wrong: %v", err)
	}
	if _, err := b.db.Exec("UPDATE quickstart_accounts SET balance = balance WHERE id = ?", watched); err != nil {
		t.Fatal(err)
	}
	if _, err := b.history(t.Context(), watched); err == nil || !strings.Contains(err.Error(), "more versions") {
		t.Errorf("err = %v, want that there are more versions than transfers", err)
	}
}

func TestAMistakeInTheFilesIsReportedWithItsPlace(t *testing.T) {
	const accounts, transfers = "id,owner,opening\n1,a,1.00\n2,b,1.00\n", "id,booked_at,debit,credit,amount,memo\n"
	for _, row := range []struct{ reason, accounts, transfers, says string }{
		{"another header", "id,owner\n", transfers, "accounts.csv: the first line must be id,owner,opening"},
		{"an empty file", "", transfers, "accounts.csv: the first line"},
		{"half a cent", accounts + "3,c,1.005\n", transfers, `accounts.csv, record 3: "1.005" is not an amount`},
		{"no number", accounts + "x,c,1.00\n", transfers, `record 3: strconv.ParseInt: parsing "x"`},
		{"a field too few", accounts + "3,c\n", transfers, "accounts.csv: record on line 4"},
		{"no such day", accounts, transfers + "1,2026-02-30T00:00:00Z,1,2,1.00,m\n", "transfers.csv, record 1: parsing time"},
		{"no such account", accounts, transfers + "1,2026-02-03T00:00:00Z,1,3,1.00,m\n", "between two accounts of accounts.csv"},
		{"nothing to move", accounts, transfers + "1,2026-02-03T00:00:00Z,1,2,0.00,m\n", "a positive amount"},
	} {
		t.Run(row.reason, func(t *testing.T) {
			_, err := readLedger(fstest.MapFS{
				"ledger/accounts.csv":  {Data: []byte(row.accounts)},
				"ledger/transfers.csv": {Data: []byte(row.transfers)},
			})
			if err == nil || !strings.Contains(err.Error(), row.says) {
				t.Errorf("err = %v, want %q", err, row.says)
			}
		})
	}
}

func TestAmountsAreReadAndWrittenExactly(t *testing.T) {
	for text, want := range map[string]int64{"0.00": 0, "0.07": 7, "1.10": 110, "8000.00": 800000} {
		if got, err := parseCents(text); got != want || err != nil {
			t.Errorf("parseCents(%q) = %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "1", "1.", "1.2", "1.234", "-1.00", "1,000.00", ".", "99999999999999999999.00"} {
		if got, err := parseCents(text); err == nil {
			t.Errorf("parseCents(%q) = %d, want an error", text, got)
		}
	}
	for cents, want := range map[int64]string{0: "0.00", 7: "0.07", -7: "-0.07", 99999: "999.99", 100000: "1,000.00", -123456789: "-1,234,567.89"} {
		if got := money(cents); got != want {
			t.Errorf("money(%d) = %s, want %s", cents, got, want)
		}
	}
	if change(1) != "+0.01" || change(0) != "0.00" || change(-1) != "-0.01" {
		t.Errorf("change: %s %s %s", change(1), change(0), change(-1))
	}
}
