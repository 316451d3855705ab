package immudb

import (
	"context"
	"database/sql"
	"strings"
	"time"

	"github.com/immudb-go/immudb/internal/trust"
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
	Elapsed       time.Duration  `json:"elapsed_ns"`
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
