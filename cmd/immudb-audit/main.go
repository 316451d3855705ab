// Command immudb-audit checks that nothing in the history of an immudb database
// was altered.
//
//	immudb-audit [flags] [DSN]
//
// It reads the history from the trusted state to the newest transaction of the server,
// checks every transaction, and then trusts the last one. The DSN names the database and
// the trusted state. Without the argument the DSN is taken from IMMUDB_DSN, so that a
// password is not in the list of processes.
//
// It also makes and checks receipts of rows, which prove them without a server (see
// docs/receipts.md):
//
//	immudb-audit receipt get -table accounts -pk 42 [-tx id] [DSN] >file
//	immudb-audit receipt extend -in file [DSN] >newer
//	immudb-audit receipt verify -database ledger [-key server.pem] [-state tx:hash] file
//	immudb-audit receipt show file
//
// # Setting it up
//
// The first run trusts the history that the server has, and reads all of it:
//
//	export IMMUDB_DSN='immudb://auditor:secret@db1/ledger?state_dir=/var/lib/immudb-audit'
//	IMMUDB_DSN="$IMMUDB_DSN&verify=trust-first-use" immudb-audit -from-start
//
// Later runs do not use verify=trust-first-use, so that a lost state is an error (status 5)
// and not a new first use. In crontab, each night the new transactions, and on Sundays the
// whole history with the values of all tables:
//
//	IMMUDB_DSN='immudb://auditor:p%40ss@db1/ledger?state_dir=/var/lib/immudb-audit'
//	15 3 * * 1-6  immudb-audit -json >>/var/log/immudb-audit.json || mail -s 'immudb audit' ops@example.com </dev/null
//	15 3 * * 0    immudb-audit -json -tables '*' >>/var/log/immudb-audit.json || mail -s 'immudb audit' ops@example.com </dev/null
//
// The DSN stands in a line of its own because cron ends a command at the first %, which a
// DSN with an encoded password has; it takes the value of a variable as it is.
//
// Keep state_dir on another machine than the server: a person who can change both can
// change the trusted state. With server_public_key=file the server's signature of the
// history is checked too. The user needs only permission to read the database.
//
// The flags:
//
//	-from-start   read the whole history, not only new transactions
//	-tables list  also read and check every row ever written to these tables (a,b or *); reads the whole history
//	-live         also compare what SELECT serves now with the history: the tables of -tables, or all
//	-timeout d    give up after this time (default none)
//	-json         report as one line of JSON; docs/audit.md has its fields
//	-html file    also write the report as a page to this file, which it replaces
//	-key file     sign a checkpoint of the checked history with this auditor's key
//	-publish at   write the checkpoint to this directory or URL
//	-compare p,k  compare it with the checkpoint that the auditor with public key k publishes at p; may be repeated
//	-witness u,k  have the witness at URL u, with public key k, cosign it; may be repeated
//	-version      print the version of this program and end
//	-quiet        no progress bar; there is none either if standard error is not a terminal
//
// The exit status:
//
//	0  the history was checked and is unchanged
//	1  it was altered, or the server's signature is wrong or missing
//	2  the command line or the DSN is wrong
//	3  it could not be checked: the server does not answer, or answers with an error; or the page of -html was not written
//	4  the server is older than the trusted state: restored from a backup, rolled back, or a replica that lags
//	5  there is no trusted state yet, and the DSN has neither trusted_state nor verify=trust-first-use
//
// The trusted state changes only with status 0.
//
// # What to do
//
// Status 1: do not trust the server any more. The report names the failed check and the
// transaction; the transactions before it were checked in this run or an earlier one. Keep
// the report and state_dir: the state in it is the evidence, a hash of the original
// history. Copy the server's files before the server is restarted. Then audit a replica, or
// a backup restored on another server, with -from-start and trusted_state=tx:hash of an
// earlier report instead of state_dir: if the audit passes, it has the original history.
//
// Status 3: read the message; nothing is known about the history. Run the command again.
//
// Status 4: if the server was restored from a backup, the transactions after the backup are
// lost; the report names the last transaction of the server and the last trusted one. If
// the restore was intended, move the state's file out of state_dir and repeat the first run:
// from then on there is another history. A replica that lags has usually caught up at the
// next run.
//
// Status 5: at a first run, set verify=trust-first-use. Otherwise the state was lost:
// restore it, or take trusted_state=tx:hash from the last report.
//
// # The changes
//
//	immudb-audit changes [-after cursor] [-follow] [-tables a,b] [-json] [-timeout d] [DSN]
//
// prints every change of a row or a table after a cursor, proven, in the order of the
// transactions. Each line of JSON has the cursor to continue after it; without -json
// the last cursor is told on standard error. With -follow it waits for new
// transactions until it is interrupted. Values of BLOB and JSON columns are printed as
// base64. The exit status is that of an audit, and what is trusted moves as with a
// verified read. See docs/changes.md.
//
// # Other auditors and witnesses
//
//	immudb-audit key -out file name
//	immudb-audit -key file -publish dir -compare URL,key -witness URL,key [DSN]
//
// Auditors that do not trust each other find a server that shows them different
// histories, see docs/witnesses.md: that is status 1. A checkpoint of another auditor, or a
// size of a witness, that is newer than what the server shows is status 4; one that cannot
// be read is status 3.
//
// An audit proves the history, not the results of queries. With -live it compares both: it
// finds rows that a SELECT of the whole table hides, changes, invents or serves after they
// were deleted. A server can still answer other queries or other clients differently. It
// cannot be found that the server hides its newest transactions.
package main

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/immudb-go/immudb"
)

// The exit statuses, described above.
const (
	statusOK = iota
	statusTampered
	statusUsage
	statusUnchecked
	statusOlder
	statusMissing
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Getenv("IMMUDB_DSN"), os.Stdout, os.Stderr, isTerminal(os.Stderr)))
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

type settings struct {
	dsn         string
	opts        immudb.AuditOptions
	timeout     time.Duration
	html        string // the file of the page
	json, quiet bool
	version     bool
	exchange    exchange
}

// printUsage prints what fits a screen; the package's documentation says more.
func printUsage(w io.Writer, fs *flag.FlagSet) {
	fmt.Fprint(w, "usage: immudb-audit [flags] [DSN]\n       immudb-audit receipt | changes | key -help\nChecks that nothing in the history of a database was altered. The DSN may also be in IMMUDB_DSN.\n\n")
	fs.VisitAll(func(f *flag.Flag) {
		kind, usage := flag.UnquoteUsage(f)
		fmt.Fprintf(w, "  %-20s %s\n", strings.TrimSpace("-"+f.Name+" "+kind), usage)
	})
	fmt.Fprint(w, `
exit status:
  0  the history was checked and is as it was
  1  it was altered, or is not signed as it should be
  2  the command line or the DSN is wrong
  3  it could not be checked: no answer, or an error
  4  the server is older than what is trusted
  5  nothing is trusted yet; see verify=trust-first-use
`)
}

func programVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

func parse(args []string, env string, stderr io.Writer) (settings, error) {
	var s settings
	fs := flag.NewFlagSet("immudb-audit", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // run says what is wrong
	fs.Usage = func() {}
	fs.BoolVar(&s.version, "version", false, "print the version of this program and end")
	fs.BoolVar(&s.opts.FromStart, "from-start", false, "read the whole history, not only what is new")
	tables := fs.String("tables", "", "also check every row ever written to these `tables` (a,b or *)")
	fs.BoolVar(&s.opts.Live, "live", false, "also compare what SELECT serves now with the history (-tables, or all)")
	fs.DurationVar(&s.timeout, "timeout", 0, "give up after this time (default none)")
	fs.BoolVar(&s.json, "json", false, "report as one line of JSON")
	fs.StringVar(&s.html, "html", "", "also write the report as a page to this `file`")
	fs.BoolVar(&s.quiet, "quiet", false, "no progress bar")
	s.exchange.flags(fs)
	if err := fs.Parse(args); errors.Is(err, flag.ErrHelp) {
		printUsage(stderr, fs)
		return s, err
	} else if err != nil {
		return s, fmt.Errorf("%w; run with -help for the flags", err)
	}
	s.opts.Tables = tableNames(*tables)
	if s.version {
		return s, nil
	}
	var err error
	if s.dsn, err = dsnOf(fs, env); err == nil {
		err = s.exchange.check()
	}
	return s, err
}

// tableNames splits a list with commas.
func tableNames(list string) (names []string) {
	for name := range strings.SplitSeq(list, ",") {
		if name = strings.TrimSpace(name); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// dsnOf is the DSN after the flags, or else that of the environment.
func dsnOf(fs *flag.FlagSet, env string) (string, error) {
	switch {
	case fs.NArg() > 1:
		// The argument is not quoted, because it may be a DSN with a password.
		return "", errors.New("give one DSN, after the flags")
	case fs.NArg() == 1:
		return fs.Arg(0), nil
	case env == "":
		return "", errors.New("the DSN is missing: give it as the argument or in IMMUDB_DSN")
	}
	return env, nil
}

func run(ctx context.Context, args []string, env string, stdout, stderr io.Writer, terminal bool) int {
	if len(args) > 0 && args[0] == "receipt" {
		return receipts(ctx, args[1:], env, stdout, stderr)
	}
	if len(args) > 0 && args[0] == "changes" {
		return runChanges(ctx, args[1:], env, stdout, stderr)
	}
	if len(args) > 0 && args[0] == "key" {
		return makeKey(args[1:], stdout, stderr)
	}
	s, err := parse(args, env, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return statusOK
	}
	if err != nil {
		fmt.Fprintln(stderr, "immudb-audit:", err)
		return statusUsage
	}
	if s.version {
		fmt.Fprintln(stdout, "immudb-audit", programVersion())
		return statusOK
	}
	db, err := sql.Open(immudb.DriverName, s.dsn)
	if err != nil {
		fmt.Fprintln(stderr, "immudb-audit:", err)
		return statusUsage
	}
	defer db.Close()
	if s.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.timeout)
		defer cancel()
	}
	clear := func() {}
	if terminal && !s.quiet {
		s.opts.Progress = func(p immudb.AuditProgress) { drawBar(stderr, p) }
		clear = func() { fmt.Fprint(stderr, "\r\x1b[K") }
	}
	began := time.Now()
	report, err := immudb.Audit(ctx, db, s.opts)
	var done *exchanged
	if err == nil && s.exchange.wanted() && report.State.TxID > 0 {
		done, err = s.exchange.run(ctx, immudb.NewVerifier(db))
	}
	clear()
	if s.json {
		writeJSON(stdout, began, report, done, err)
	} else {
		writeText(stdout, report, done, err)
	}
	if s.html != "" {
		if failed := writePage(s.html, began, report, err); failed != nil {
			fmt.Fprintln(stderr, "immudb-audit: the page was not written:", failed)
			return cmp.Or(statusOf(err), statusUnchecked)
		}
	}
	return statusOf(err)
}

// results are the words for the statuses in JSON.
var results = map[int]string{
	statusOK: "ok", statusTampered: "tampered", statusUnchecked: "unchecked", statusOlder: "server_older", statusMissing: "state_missing",
}

func statusOf(err error) int {
	switch {
	case err == nil:
		return statusOK
	case errors.Is(err, immudb.ErrTampered), errors.Is(err, immudb.ErrSignature):
		return statusTampered
	case errors.Is(err, immudb.ErrServerOlder):
		return statusOlder
	case errors.Is(err, immudb.ErrStateMissing):
		return statusMissing
	}
	return statusUnchecked
}

// drawBar overwrites the line of the last progress bar.
func drawBar(w io.Writer, p immudb.AuditProgress) {
	const width = 40
	done := 1.0
	if p.Last > 0 {
		done = float64(p.TxID) / float64(p.Last)
	}
	n := int(done * width)
	fmt.Fprintf(w, "\r\x1b[K[%s%s] %3.0f%%  tx %d of %d", strings.Repeat("#", n), strings.Repeat(".", width-n), 100*done, p.TxID, p.Last)
}

// reportSchema is the version of the report in JSON. A new field leaves it as it is.
const reportSchema = 1

// jsonReport is the line of -json. docs/audit.md describes its fields.
type jsonReport struct {
	Schema     int                 `json:"schema"`
	Time       time.Time           `json:"time"`
	Version    string              `json:"version"`
	Result     string              `json:"result"`
	ExitStatus int                 `json:"exit_status"`
	Error      string              `json:"error,omitempty"`
	SQLState   string              `json:"sqlstate,omitempty"`
	Tampering  *jsonTampering      `json:"tampering,omitempty"`
	Report     *immudb.AuditReport `json:"report"`
	Exchange   *exchanged          `json:"exchange,omitempty"`
}

type jsonTampering struct {
	Check    string `json:"check"`
	TxID     uint64 `json:"tx_id,omitempty"`
	Expected string `json:"expected,omitempty"`
	Found    string `json:"found,omitempty"`
}

// writeJSON writes the report of an audit that began at the time given.
func writeJSON(w io.Writer, began time.Time, r *immudb.AuditReport, done *exchanged, err error) {
	status := statusOf(err)
	line := jsonReport{Schema: reportSchema, Time: began.UTC(), Version: programVersion(), Result: results[status], ExitStatus: status, Report: r, Exchange: done}
	if err != nil {
		line.Error = err.Error()
	}
	var failed *immudb.Error
	if errors.As(err, &failed) {
		line.SQLState = failed.SQLState
	}
	var found *immudb.Tampering
	if errors.As(err, &found) {
		line.Tampering = &jsonTampering{found.Check, found.TxID, found.Expected, found.Found}
	}
	_ = json.NewEncoder(w).Encode(line) // the exit status has the result too
}

func writeText(w io.Writer, r *immudb.AuditReport, done *exchanged, err error) {
	line := func(format string, args ...any) { fmt.Fprintln(w, printable(fmt.Sprintf(format, args...))) }
	item := func(name, format string, args ...any) { line("  %-15s %s", name, fmt.Sprintf(format, args...)) }
	if r.ServerUUID != "" {
		line("database %s on %s (server %s)", r.Database, r.Host, r.ServerUUID)
	}
	if r.Trusted.TxID > 0 {
		note := ""
		if r.FirstUse {
			note = " (first use: what the server said when the audit began)"
		}
		item("trusted before", "tx %d  %s%s", r.Trusted.TxID, r.Trusted.Hash, note)
	}
	if r.Transactions > 0 {
		item("checked", "tx %d to %d: %d transactions, %d entries", r.First, r.First+uint64(r.Transactions)-1, r.Transactions, r.Entries)
	} else if err == nil {
		item("checked", "nothing is new")
	}
	for _, table := range slices.Sorted(maps.Keys(r.Rows)) {
		item("rows", "%s: %d revisions", table, r.Rows[table])
	}
	for _, table := range slices.Sorted(maps.Keys(r.Served)) {
		item("served", "%s: %d rows were compared with the history", table, r.Served[table])
	}
	for _, f := range r.Findings {
		item("finding", "%s, tx %d: %s", f.Table, f.TxID, f.What)
	}
	for _, c := range r.SchemaChanges {
		item("schema", "%s", strings.TrimSpace(fmt.Sprintf("tx %d  %s: %s", c.TxID, cmp.Or(c.Table, "some table"), c.What)))
	}
	if err == nil {
		if r.Signed {
			item("signature", "by the server's key")
		}
		if r.State.TxID > 0 {
			item("trusted now", "tx %d  %s", r.State.TxID, r.State.Hash)
		} else {
			item("trusted now", "nothing: the database is empty, and the next run is a first one, too")
		}
	}
	if done != nil {
		for _, name := range done.Compared {
			item("agrees with", "%s", name)
		}
		for _, name := range done.Cosigned {
			item("cosigned by", "%s", name)
		}
		if done.Published != "" {
			item("published", "%s", done.Published)
		}
	}
	item("took", "%s", r.Elapsed.Round(time.Millisecond))
	var found *immudb.Tampering
	switch status := statusOf(err); {
	case status == statusOK:
		line("nothing was altered")
	case errors.As(err, &found):
		line("TAMPERED: %s", found.Check)
		if found.TxID > 0 {
			item("tx", "%d", found.TxID)
		}
		if found.Expected != "" || found.Found != "" {
			item("expected", "%s", found.Expected)
			item("found", "%s", found.Found)
		}
		line("What is trusted was left as it was.")
	case status == statusTampered:
		line("TAMPERED: %s", err)
		if done != nil {
			for i, signed := range done.SplitView {
				line("signed checkpoint %d, which is evidence:", i+1)
				for text := range strings.SplitSeq(strings.TrimSpace(signed), "\n") {
					line("    %s", text)
				}
			}
		}
	default:
		line("not checked: %s", err)
	}
}

// printable replaces control characters in texts of the server, so that they cannot fake
// lines of the report.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}
