package main

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/evidence"
	"github.com/immudb-go/immudb/internal/proof"
	"github.com/immudb-go/immudb/receipt"
)

const receiptUsage = `usage:
  immudb-audit receipt get -table t -pk value [-pk value] [-tx id] [DSN]   writes a receipt to standard output
  immudb-audit receipt extend -in file [DSN]                               writes it anew, for the newest transaction
  immudb-audit receipt verify -database name [-key pem] [-state tx:hash] file
  immudb-audit receipt show file
`

// receipts runs "immudb-audit receipt".
func receipts(ctx context.Context, args []string, env string, stdout, stderr io.Writer) int {
	commands := map[string]func(context.Context, []string, string, io.Writer, io.Writer) error{
		"get": receiptGet, "extend": receiptExtend, "verify": receiptVerify, "show": receiptShow,
	}
	if len(args) > 0 && slices.Contains([]string{"-h", "-help", "--help"}, args[0]) {
		fmt.Fprint(stderr, receiptUsage)
		return statusOK
	}
	if len(args) == 0 || commands[args[0]] == nil {
		fmt.Fprint(stderr, receiptUsage)
		return statusUsage
	}
	err := commands[args[0]](ctx, args[1:], env, stdout, stderr)
	var usage usageError
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return statusOK
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "immudb-audit: %v\n%s", err, receiptUsage)
		return statusUsage
	}
	fmt.Fprintln(stderr, "immudb-audit:", printable(err.Error()))
	if errors.Is(err, receipt.ErrInvalid) {
		return statusTampered
	}
	return statusOf(err)
}

// usageError is a mistake in the command line.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

func parseFlags(fs *flag.FlagSet, args []string, stderr io.Writer) error {
	fs.SetOutput(stderr)
	err := fs.Parse(args)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		err = usageError{err}
	}
	return err
}

// openDSN opens the DSN of the command line or else of the environment.
func openDSN(fs *flag.FlagSet, env string) (*sql.DB, error) {
	dsn := env
	if fs.NArg() > 0 {
		dsn = fs.Arg(0)
	}
	if dsn == "" || fs.NArg() > 1 {
		return nil, usagef("give one DSN, as the argument or in IMMUDB_DSN")
	}
	db, err := sql.Open(immudb.DriverName, dsn)
	if err != nil {
		return nil, usageError{err}
	}
	return db, nil
}

func receiptGet(ctx context.Context, args []string, env string, stdout, stderr io.Writer) error {
	fs := flag.NewFlagSet("receipt get", flag.ContinueOnError)
	table := fs.String("table", "", "the `table` of the row")
	tx := fs.Uint64("tx", 0, "the `id` of the transaction that wrote the row (default: of the revision that the server shows)")
	var pk []any
	fs.Func("pk", "the `value` of a primary key column, once for each, as in SQL: 42, 1.5, true, 'text', x'00ff', a time in RFC 3339, or text", func(text string) error {
		v, err := keyValue(text)
		pk = append(pk, v)
		return err
	})
	if err := parseFlags(fs, args, stderr); err != nil {
		return err
	}
	if *table == "" || len(pk) == 0 {
		return usagef("-table and -pk are needed")
	}
	db, err := openDSN(fs, env)
	if err != nil {
		return err
	}
	defer db.Close()
	v := immudb.NewVerifier(db)
	if *tx == 0 {
		row, err := v.Row(ctx, *table, pk...)
		if err != nil {
			return err
		}
		*tx = row.TxID
	}
	r, err := v.Receipt(ctx, *table, *tx, pk...)
	if err != nil {
		return err
	}
	_, err = stdout.Write(r.Bytes())
	return err
}

// keyValue reads a value as SQL writes it. What is none is text.
func keyValue(text string) (any, error) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n, nil
	}
	if f, err := strconv.ParseFloat(text, 64); err == nil && strings.ContainsAny(text, ".") {
		return f, nil
	}
	if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return t, nil
	}
	switch {
	case text == "true", text == "false":
		return text == "true", nil
	case len(text) >= 2 && text[0] == '\'' && text[len(text)-1] == '\'':
		return strings.ReplaceAll(text[1:len(text)-1], "''", "'"), nil
	case len(text) >= 3 && strings.HasPrefix(text, "x'") && text[len(text)-1] == '\'':
		return hex.DecodeString(text[2 : len(text)-1])
	}
	return text, nil
}

func readReceipt(file string) (*receipt.Receipt, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, usageError{err}
	}
	return receipt.Parse(text)
}

func receiptExtend(ctx context.Context, args []string, env string, stdout, stderr io.Writer) error {
	fs := flag.NewFlagSet("receipt extend", flag.ContinueOnError)
	in := fs.String("in", "", "the `file` that holds the receipt")
	if err := parseFlags(fs, args, stderr); err != nil {
		return err
	}
	r, err := readReceipt(*in)
	if err != nil {
		return err
	}
	db, err := openDSN(fs, env)
	if err != nil {
		return err
	}
	defer db.Close()
	if r, err = immudb.NewVerifier(db).ExtendReceipt(ctx, r); err != nil {
		return err
	}
	_, err = stdout.Write(r.Bytes())
	return err
}

func receiptVerify(_ context.Context, args []string, _ string, stdout, stderr io.Writer) error {
	fs := flag.NewFlagSet("receipt verify", flag.ContinueOnError)
	var p receipt.Policy
	fs.StringVar(&p.Database, "database", "", "the `name` of the database")
	key := fs.String("key", "", "the `file` with the server's public key, PEM")
	state := fs.String("state", "", "the trusted state, `tx:hash`")
	if err := parseFlags(fs, args, stderr); err != nil {
		return err
	}
	if p.Database == "" || *key == "" && *state == "" || fs.NArg() != 1 {
		return usagef("-database, one of -key and -state, and one file are needed")
	}
	var err error
	if *state != "" {
		if p.State, err = receipt.ParseState(*state); err != nil {
			return usageError{err}
		}
	}
	if *key != "" {
		pem, err := os.ReadFile(*key)
		if err == nil {
			p.PublicKey, err = proof.ParsePublicKey(pem)
		}
		if err != nil {
			return usageError{err}
		}
	}
	r, err := readReceipt(fs.Arg(0))
	if err != nil {
		return err
	}
	row, err := r.Verify(p)
	if err != nil {
		return err
	}
	writeRow(stdout, row)
	by := "by the server's key"
	if *key == "" {
		by = "by the trusted state"
	}
	fmt.Fprintf(stdout, "the receipt is valid, %s; it does not say that this is the latest revision\n", by)
	return nil
}

func receiptShow(_ context.Context, args []string, _ string, stdout, stderr io.Writer) error {
	fs := flag.NewFlagSet("receipt show", flag.ContinueOnError)
	if err := parseFlags(fs, args, stderr); err != nil {
		return err
	}
	if fs.NArg() != 1 {
		return usagef("one file is needed")
	}
	r, err := readReceipt(fs.Arg(0))
	if err != nil {
		return err
	}
	// The receipt is checked against its own anchor: that it agrees with itself.
	row, err := r.Verify(receipt.Policy{Database: r.Database(), State: r.Anchor()})
	if err != nil {
		return err
	}
	writeRow(stdout, row)
	signed := "no signature"
	if r.Signed() {
		signed = "a signature, not checked"
	}
	fmt.Fprintf(stdout, "NOT VERIFIED: this is what the receipt says of itself, with %s; use receipt verify\n", signed)
	return nil
}

func writeRow(w io.Writer, row *receipt.Row) {
	item := func(name, format string, args ...any) {
		fmt.Fprintf(w, "  %-15s %s\n", printable(name), printable(fmt.Sprintf(format, args...)))
	}
	what := "wrote the row"
	if row.Deleted {
		what = "deleted the row, whose values were"
	}
	fmt.Fprintf(w, "transaction %d of database %s, at %s by the server's clock, %s in table %s\n", row.TxID, printable(row.Database),
		row.Time.Format(time.RFC3339), what, printable(row.Table))
	for i, column := range row.Columns {
		item(column, "%s", evidence.SQLText(row.Values[i]))
	}
	item("(anchor)", "%s", row.Anchor)
}
