package immudb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/immudb-go/immudb/internal/evidence"
	"github.com/immudb-go/immudb/internal/served"
	"github.com/immudb-go/immudb/internal/trust"
	"github.com/immudb-go/immudb/receipt"
)

// AuditOptions say what [Audit] checks.
type AuditOptions struct {
	// FromStart reads the history from the first transaction on, instead of from the
	// end of the last audit (or, before the first audit, from the state that was
	// trusted first). The definitions of the tables in use are then proven too.
	FromStart bool
	// Tables are the tables of which every row ever written is read and checked,
	// by their name at the time of writing; "*" is all of them. It implies FromStart,
	// and makes the server send all values. If it is empty, the entries of each
	// transaction are checked by their hashes only.
	Tables []string
	// Live compares what SELECT serves now with what the history says, for the tables in
	// Tables, all if it is empty: a row that is hidden, changed, deleted or was never
	// written is an [ErrTampered], and in AuditReport.Findings. Other clients may write
	// meanwhile: a row may be as it was at any time during the query of its table. It
	// keeps up to 140 bytes in memory for each row that the history has.
	Live bool
	// Progress, if not nil, is called from time to time and at the end, by the
	// goroutine that called Audit.
	Progress func(AuditProgress)
}

// AuditProgress is how far an audit has come.
type AuditProgress struct {
	TxID uint64 // the last transaction checked
	Last uint64 // the last one to check
}

// AuditReport is what an audit has checked.
type AuditReport struct {
	ServerUUID string `json:"server_uuid"`
	Database   string `json:"database"`
	Host       string `json:"host"`

	Trusted  State `json:"trusted"`   // the state trusted before the audit
	FirstUse bool  `json:"first_use"` // nothing was trusted before; Trusted is the server's state at the beginning
	State    State `json:"state"`     // the state trusted after the audit
	Signed   bool  `json:"signed"`    // the server signed State with server_public_key

	First        uint64           `json:"first_tx"` // the first transaction checked
	Transactions int64            `json:"transactions"`
	Entries      int64            `json:"entries"`
	Rows         map[string]int64 `json:"rows,omitempty"` // revisions checked, by table
	// SchemaChanges are the changes of tables and indexes in the checked transactions,
	// in their order. An audit that does not read from the start names neither the
	// table nor the change.
	SchemaChanges []SchemaChange `json:"schema_changes,omitempty"`
	// Activity is what was checked by time: at most 64 periods of the same length
	// (1, 5, 15 seconds, 1, 5, 15 minutes, 1, 6 hours, 1, 10, 30 days or more), without a gap. The time is the one in a transaction: proven to be as it was
	// written, but the server's clock made it.
	Activity []AuditPeriod `json:"activity,omitempty"`
	// Served counts the rows that SELECT returned and that were compared with the
	// history, by table, with AuditOptions.Live. Findings are the rows that differ, the
	// first 100.
	Served   map[string]int64 `json:"served,omitempty"`
	Findings []AuditFinding   `json:"findings,omitempty"`
	Elapsed  time.Duration    `json:"elapsed_ns"`
}

// AuditPeriod counts the transactions that an audit has checked in a part of the time.
type AuditPeriod struct {
	Begin        time.Time     `json:"begin"` // in UTC
	Length       time.Duration `json:"length_ns"`
	Transactions int64         `json:"transactions"`
	Entries      int64         `json:"entries"`
}

// AuditFinding is a row that the server serves differently from its history.
type AuditFinding struct {
	Table string `json:"table"`
	TxID  uint64 `json:"tx_id,omitempty"` // the last transaction that wrote the row; 0: none did
	What  string `json:"what"`            // in words, without values of the row
}

// SchemaChange is a change of a table by a transaction.
type SchemaChange struct {
	TxID  uint64 `json:"tx_id"`
	Table string `json:"table,omitempty"` // its name before the change, or that of a new one
	What  string `json:"what"`            // in words: "column balance is renamed to cents"
}

// Audit reads the history of a database, from the end of the last audit to now, and
// checks every transaction: that it follows the one before, and that its entries are
// those that its hash commits to. It also checks that the data from which the server
// makes its proofs agrees with this history. It then trusts the newest transaction.
//
// When it fails, the error is one of those of [VerifiedRow], the report says how far
// the audit came, and the trusted state is as before: at first use there is none.
//
// An audit proves the history, not what queries return; with Live it compares both.
//
// A server that has deleted old values (retention) can still prove that there were
// entries, but not their values: then leave Tables empty.
func Audit(ctx context.Context, db *sql.DB, opts AuditOptions) (*AuditReport, error) {
	begin := time.Now()
	o := trust.AuditOptions{FromStart: opts.FromStart}
	for _, name := range opts.Tables {
		o.Tables = append(o.Tables, strings.ToLower(name))
	}
	if opts.Progress != nil {
		o.Progress = func(tx, last uint64) { opts.Progress(AuditProgress{TxID: tx, Last: last}) }
	}
	report := &AuditReport{}
	if opts.Live && len(o.Tables) == 0 {
		o.Tables = []string{"*"}
	}
	err := onConn(ctx, db, func(c *Conn) error {
		live := served.NewAudit(c.prover(), c.selectAll)
		if opts.Live {
			o.Live = live
		}
		r, err := c.prover().Audit(ctx, o)
		report = newAuditReport(r)
		rows, findings := live.Result()
		report.Served = rows
		for _, f := range findings {
			report.Findings = append(report.Findings, AuditFinding(f))
		}
		if errors.Is(err, served.ErrTablesChange) {
			e := newError(ErrConflict, "40001", "audit: "+err.Error()+": audit again")
			e.safe = true
			return e
		}
		return err
	})
	report.Elapsed = time.Since(begin)
	return report, err
}

// selectAll reads a table of the server that is audited, never of a replica.
func (c *Conn) selectAll(ctx context.Context, table string) (driver.Rows, error) {
	q, err := c.connector.queries.parse("SELECT * FROM " + quoteName(table))
	if err != nil {
		return nil, err
	}
	set, err := c.read(ctx, q.bind(0, nil))
	if err != nil {
		return nil, err
	}
	return set.rows(), nil
}

func newAuditReport(r *trust.AuditReport) *AuditReport {
	var changes []SchemaChange
	for _, c := range r.SchemaChanges {
		changes = append(changes, SchemaChange{TxID: c.TxID, Table: c.Table, What: c.What})
	}
	var activity []AuditPeriod
	for _, p := range r.Activity {
		activity = append(activity, AuditPeriod{time.Unix(p.Begin, 0).UTC(), time.Duration(p.Seconds) * time.Second, p.Transactions, p.Entries})
	}
	return &AuditReport{
		SchemaChanges: changes, Activity: activity,
		ServerUUID: r.ServerUUID, Database: r.Database, Host: r.Host,
		Trusted: newState(r.Trusted), FirstUse: r.FirstUse, State: newState(r.State), Signed: r.Signed,
		First: r.First, Transactions: r.Transactions, Entries: r.Entries, Rows: r.Rows,
	}
}

// Receipt returns a file that proves the revision of a row which transaction tx
// wrote, or deleted, to anybody who trusts the server's public key or the state of
// the receipt's anchor, without a server; see package
// [github.com/immudb-go/immudb/receipt] for what it says and what it does not. tx
// comes from [CommitInfo] or from [ProvenRow.TxID]. The table is the one that has
// the name now, and the anchor is the newest transaction.
//
// The history is read from its first transaction on, once for a sql.DB, so that the
// receipt holds each transaction that defined the table. The keys of rows that such a
// transaction also wrote are part of the receipt.
//
// If the transaction did not write such a row, the error matches sql.ErrNoRows.
func (v *Verifier) Receipt(ctx context.Context, table string, tx uint64, pk ...any) (*receipt.Receipt, error) {
	table, key, err := rowKey(table, pk)
	if err != nil {
		return nil, err
	}
	return v.receipt(ctx, func(p *trust.Prover) (*evidence.Receipt, error) { return p.Receipt(ctx, table, tx, key) })
}

// ExtendReceipt returns the receipt with the newest transaction as its anchor. It
// proves first that the trusted history holds the old anchor, the row and its
// definition: [ErrTampered] if not.
func (v *Verifier) ExtendReceipt(ctx context.Context, r *receipt.Receipt) (*receipt.Receipt, error) {
	old, err := evidence.Parse(r.Bytes())
	if err != nil {
		return nil, fmt.Errorf("immudb: %w", err)
	}
	return v.receipt(ctx, func(p *trust.Prover) (*evidence.Receipt, error) { return p.Extend(ctx, old) })
}

func (v *Verifier) receipt(ctx context.Context, make func(*trust.Prover) (*evidence.Receipt, error)) (*receipt.Receipt, error) {
	var made *evidence.Receipt
	err := onConn(ctx, v.db, func(c *Conn) (err error) {
		made, err = make(c.prover())
		return err
	})
	if err != nil {
		return nil, err
	}
	return receipt.Parse(made.Marshal())
}

// ErrSplitView: two states of one database belong to different histories: the server
// has shown another history to somebody else. errors.As finds a [*SplitView], which
// holds both. The error matches [ErrTampered], too.
var ErrSplitView = errors.New("immudb: the server shows different histories")

// SplitView holds two states of one transaction that differ. If the server signed
// both, anybody who has its public key can check that it did.
type SplitView struct {
	Own   State // proven to be part of the trusted history
	Other State // the one to confirm, as it was given
}

// Error names both states.
func (s *SplitView) Error() string {
	return fmt.Sprintf("the trusted history of database %s holds %s, but somebody else was shown %s", s.Own.Database, s.Own.Pin(), s.Other.Pin())
}

// Is makes a SplitView match [ErrTampered].
func (s *SplitView) Is(target error) bool { return target == ErrTampered }

// Confirm proves that the trusted history holds each of the states, which other
// clients of the same database trust ([Verifier.State]). The states come from them,
// not from the server. Two clients that were shown different histories find it so:
// the error is an [ErrSplitView]. A state that is newer than the server's history is
// an [ErrServerOlder]: the server hides it, or is a replica that lags behind.
//
// Confirm cannot tell who gave a wrong state: the server, or the one who passed it
// on. Signed states can; with server_public_key the signature of each state that has
// one is checked first, and a wrong one is an [ErrSignature].
func (v *Verifier) Confirm(ctx context.Context, states ...State) error {
	for _, s := range states {
		if s.TxID == 0 {
			return newError(ErrInvalidValue, "22023", "confirm: a state without a transaction cannot be confirmed")
		}
		own, err := v.state(ctx, func(p *trust.Prover) (trust.State, error) { return p.Confirm(ctx, s.trusted()) })
		if err != nil {
			return err
		}
		if s.Database != "" && s.Database != own.Database {
			return newError(ErrInvalidValue, "22023", fmt.Sprintf("confirm: the state is one of database %s, not of %s", s.Database, own.Database))
		}
		if own.Hash != s.Hash {
			e := newError(ErrSplitView, "XX001", "two clients of the server were shown different histories")
			e.cause = &SplitView{Own: own, Other: s}
			return e
		}
	}
	return nil
}

// Checkpoint is a state in the form that transparency logs exchange, see
// https://c2sp.org/tlog-checkpoint: the RFC 9162 tree whose leaf N-1 is the hash of
// transaction N.
type Checkpoint struct {
	Origin string // the name of the log
	Size   uint64 // the number of transactions
	Root   Hash   // of the tree
	State  State  // the same history as a State
}

// Checkpoint moves the trusted state to the newest transaction, and returns a
// checkpoint of it. origin is the name that the log is to have, such as
// "db1.example.com/ledger".
func (v *Verifier) Checkpoint(ctx context.Context, origin string) (Checkpoint, error) {
	if origin == "" || strings.ContainsFunc(origin, func(r rune) bool { return unicode.IsSpace(r) || r == '+' || r == unicode.ReplacementChar }) {
		return Checkpoint{}, newError(ErrInvalidValue, "22023", "checkpoint: an origin is a name without spaces and plus signs")
	}
	c := Checkpoint{Origin: origin}
	var err error
	c.State, err = v.state(ctx, func(p *trust.Prover) (trust.State, error) {
		s, root, err := p.Checkpoint(ctx)
		c.Size, c.Root = s.TxID, Hash(root)
		return s, err
	})
	if err != nil {
		return Checkpoint{}, err
	}
	return c, nil
}

// Consistency proves that the first old transactions of a checkpoint are those that a
// checkpoint of that size held: old is at least 1 and less than c.Size. It returns the
// root of the older checkpoint and the consistency proof of RFC 9162, section 2.1.4.1,
// as witnesses and tools of transparency logs take it. A checkpoint that is not one of
// the trusted history is an [ErrInvalidValue].
func (v *Verifier) Consistency(ctx context.Context, old uint64, c Checkpoint) (oldRoot Hash, path []Hash, err error) {
	if old == 0 || old >= c.Size || c.Size != c.State.TxID {
		return Hash{}, nil, newError(ErrInvalidValue, "22023", fmt.Sprintf("consistency: %d is not the size of an older checkpoint than one of size %d", old, c.Size))
	}
	err = onConn(ctx, v.db, func(conn *Conn) error {
		digests, before, root, err := conn.prover().Consistency(ctx, c.State.trusted(), old)
		if err == nil && Hash(root) != c.Root {
			err = newError(ErrInvalidValue, "22023", "consistency: the root of the checkpoint is not the one of its state")
		}
		for _, d := range digests {
			path = append(path, Hash(d))
		}
		oldRoot = Hash(before)
		return err
	})
	if err != nil {
		return Hash{}, nil, err
	}
	return oldRoot, path, nil
}

// String returns the text that a log or an auditor signs, with the newline that ends
// it: origin, size and root in base64, a line each.
func (c Checkpoint) String() string {
	return fmt.Sprintf("%s\n%d\n%s\n", c.Origin, c.Size, base64.StdEncoding.EncodeToString(c.Root[:]))
}
