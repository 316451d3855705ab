package main

import (
	"embed"
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"
)

//go:embed ledger/*.csv
var files embed.FS

// ledger is the content of the CSV files. Amounts are in cents, as integers.
type ledger struct {
	accounts  []account
	transfers []transfer
}

type account struct {
	id      int64
	owner   string
	opening int64
}

type transfer struct {
	id            int64
	at            time.Time
	debit, credit int64 // the accounts that pay and are paid
	amount        int64
	memo          string
}

// account returns the account with the id, which must exist.
func (l *ledger) account(id int64) account {
	for _, a := range l.accounts {
		if a.id == id {
			return a
		}
	}
	panic(fmt.Sprintf("the ledger has no account %d", id))
}

// total is the sum of all opening balances, which no transfer changes.
func (l *ledger) total() int64 {
	var sum int64
	for _, a := range l.accounts {
		sum += a.opening
	}
	return sum
}

// readLedger reads ledger/accounts.csv and ledger/transfers.csv.
func readLedger(files fs.FS) (*ledger, error) {
	l := &ledger{}
	known := map[int64]bool{}
	err := readCSV(files, "ledger/accounts.csv", "id,owner,opening", func(r *record) {
		a := account{id: r.integer(), owner: r.text(), opening: r.cents()}
		known[a.id] = true
		l.accounts = append(l.accounts, a)
	})
	if err != nil {
		return nil, err
	}
	err = readCSV(files, "ledger/transfers.csv", "id,booked_at,debit,credit,amount,memo", func(r *record) {
		t := transfer{id: r.integer(), at: r.time(), debit: r.integer(), credit: r.integer(), amount: r.cents(), memo: r.text()}
		if r.err == nil && (!known[t.debit] || !known[t.credit] || t.debit == t.credit || t.amount <= 0) {
			r.err = errors.New("a transfer moves a positive amount between two accounts of accounts.csv")
		}
		l.transfers = append(l.transfers, t)
	})
	if err != nil {
		return nil, err
	}
	return l, nil
}

// readCSV calls read for each record after the header. It returns the first error with its
// line.
func readCSV(files fs.FS, name, header string, read func(*record)) error {
	f, err := files.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if len(rows) == 0 || strings.Join(rows[0], ",") != header {
		return fmt.Errorf("%s: the first line must be %s", name, header)
	}
	for i, fields := range rows[1:] {
		rec := &record{fields: fields}
		if read(rec); rec.err != nil {
			return fmt.Errorf("%s, record %d: %w", name, i+1, rec.err)
		}
	}
	return nil
}

// record returns its fields one after the other and keeps the first error.
type record struct {
	fields []string
	err    error
}

func (r *record) text() string {
	s := r.fields[0] // every record has as many fields as the header
	r.fields = r.fields[1:]
	return s
}

func (r *record) integer() int64 {
	return parse(r, func(s string) (int64, error) { return strconv.ParseInt(s, 10, 64) })
}

func (r *record) time() time.Time {
	return parse(r, func(s string) (time.Time, error) { return time.Parse(time.RFC3339, s) })
}

func (r *record) cents() int64 { return parse(r, parseCents) }

func parse[T any](r *record, f func(string) (T, error)) T {
	v, err := f(r.text())
	if err != nil && r.err == nil {
		r.err = err
	}
	return v
}

// parseCents reads an amount such as 12.34, exactly.
func parseCents(s string) (int64, error) {
	euros, cents, ok := strings.Cut(s, ".")
	n, err := strconv.ParseUint(euros+cents, 10, 62)
	if !ok || len(cents) != 2 || err != nil {
		return 0, fmt.Errorf("%q is not an amount such as 12.34", s)
	}
	return int64(n), nil
}
