package immudb

import (
	"context"
	"database/sql"
	"strings"
	"time"

	"github.com/immudb-go/immudb/internal/trust"
)

// AuditOptions say how far [Audit] goes.
type AuditOptions struct {
	// FromStart reads the history from the first transaction on, not from where the
	// last audit ended (or, before the first audit, where trust began). Then the definitions of the tables in use are proven, too.
	FromStart bool
	// Tables are the tables of which every row ever written is read and checked,
	// by their name at the time of writing; "*" is all of them. It implies FromStart,
	// and makes the server send all values. Without it the entries of each
	// transaction are checked by their hashes.
	Tables []string
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

	Trusted  State `json:"trusted"`   // what was trusted before
	FirstUse bool  `json:"first_use"` // nothing was; Trusted is what the server said at the beginning
	State    State `json:"state"`     // what is trusted now
	Signed   bool  `json:"signed"`    // the server signed State with server_public_key

	First        uint64           `json:"first_tx"` // the first transaction checked
	Transactions int64            `json:"transactions"`
	Entries      int64            `json:"entries"`
	Rows         map[string]int64 `json:"rows,omitempty"` // revisions checked, by table
	// SchemaChanges are what the transactions that were checked did to tables, in
	// their order. An audit that does not read from the start names neither the table
	// nor the change.
	SchemaChanges []SchemaChange `json:"schema_changes,omitempty"`
	Elapsed       time.Duration  `json:"elapsed_ns"`
}

// SchemaChange is what a transaction did to a table.
type SchemaChange struct {
	TxID  uint64 `json:"tx_id"`
	Table string `json:"table,omitempty"` // its name before the change, or that of a new one
	What  string `json:"what"`            // in words: "column balance is renamed to cents"
}

// Audit reads the history of a database from where the last audit ended to now and checks
// every transaction: that it follows the one before, that its entries are those its
// hash commits to, and that the server's own account of the history, from which it
// makes its proofs, is the same. It then trusts the newest transaction.
//
// When it fails, the error is of the kinds of [VerifiedRow], the report says
// how far it came, and what is trusted is what was trusted before: at first use
// nothing.
//
// A server that has thrown away old values (retention) still proves that they
// were there, but not what they were: then leave Tables empty.
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
	err := onConn(ctx, db, func(c *Conn) error {
		r, err := c.prover().Audit(ctx, o)
		report = newAuditReport(r)
		return err
	})
	report.Elapsed = time.Since(begin)
	return report, err
}

func newAuditReport(r *trust.AuditReport) *AuditReport {
	var changes []SchemaChange
	for _, c := range r.SchemaChanges {
		changes = append(changes, SchemaChange{TxID: c.TxID, Table: c.Table, What: c.What})
	}
	return &AuditReport{
		SchemaChanges: changes,
		ServerUUID:    r.ServerUUID, Database: r.Database, Host: r.Host,
		Trusted: newState(r.Trusted), FirstUse: r.FirstUse, State: newState(r.State), Signed: r.Signed,
		First: r.First, Transactions: r.Transactions, Entries: r.Entries, Rows: r.Rows,
	}
}
