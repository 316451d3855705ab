package immudb

import (
	"context"
	"log/slog"

	"github.com/immudb-go/immudb/internal/session"
	"github.com/immudb-go/immudb/internal/wire"
)

// callKind groups calls by what their failure means.
type callKind uint8

const (
	reads         callKind = iota // outside a transaction, changes nothing
	writes                        // outside a transaction, commits the rows that it writes
	changesSchema                 // outside a transaction, commits a change of the catalog
	begins                        // begins a transaction
	readsInTx                     // a query in a transaction
	writesInTx                    // a statement in a transaction by TxSQLExec
	returnsInTx                   // a write of rows in a transaction with RETURNING, by TxSQLQuery
	commits
	rollsBack
	numCallKinds
)

// autocommits reports whether a call commits by itself what it does.
func (k callKind) autocommits() bool { return k == writes || k == changesSchema }

// told is the error that the caller of a failed call gets.
type told uint8

const (
	toldFailure      told = iota // the error of the server or the transport
	toldSafe                     // the same, marked as safe to run again
	toldBadConn                  // driver.ErrBadConn: not run, and may succeed on another connection
	toldUnknown                  // ErrOutcomeUnknown
	toldNothing                  // no error: the call's purpose is achieved
	toldLost                     // ErrSessionLost, unless another session runs the call
	toldNotCommitted             // COMMIT was not sent, nothing is committed
)

// txFate is what a failed call means for the transaction that it was made in.
type txFate uint8

const (
	noTx    txFate = iota
	txStays        // it is as before the call
	txGone         // the server has ended it
	txUndo         // it may be open on the server, with a statement half done: it must be rolled back
)

// outcome is what a failed call means for its caller and its transaction. For the
// session only the fate NoSession means something: that the session is lost.
type outcome struct {
	told told
	tx   txFate
}

// outcomes is the only place that decides what a failed call means. A call that may
// have run is marked as safe to run again only if it cannot have committed anything.
var outcomes = [...][numCallKinds]outcome{
	wire.NotSent: {
		reads:         {toldBadConn, noTx},
		writes:        {toldBadConn, noTx},
		changesSchema: {toldBadConn, noTx},
		begins:        {toldBadConn, noTx},
		readsInTx:     {toldSafe, txStays},
		writesInTx:    {toldSafe, txUndo},
		returnsInTx:   {toldSafe, txUndo},
		commits:       {toldNotCommitted, txUndo},
		rollsBack:     {toldFailure, txUndo},
	},
	wire.Refused: {
		reads:         {toldFailure, noTx},
		writes:        {toldFailure, noTx},
		changesSchema: {toldFailure, noTx},
		begins:        {toldFailure, noTx},
		readsInTx:     {toldFailure, txStays},
		writesInTx:    {toldFailure, txGone},
		returnsInTx:   {toldFailure, txUndo},
		commits:       {toldFailure, txGone},
		rollsBack:     {toldFailure, txGone},
	},
	wire.NoSession: {
		reads:         {toldLost, noTx},
		writes:        {toldLost, noTx},
		changesSchema: {toldLost, noTx},
		begins:        {toldLost, noTx},
		readsInTx:     {toldLost, txGone},
		writesInTx:    {toldLost, txGone},
		returnsInTx:   {toldLost, txGone},
		commits:       {toldLost, txGone},
		rollsBack:     {toldNothing, txGone},
	},
	wire.Unknown: {
		reads:         {toldSafe, noTx},
		writes:        {toldUnknown, noTx},
		changesSchema: {toldUnknown, noTx},
		begins:        {toldSafe, noTx},
		readsInTx:     {toldSafe, txUndo},
		writesInTx:    {toldSafe, txUndo},
		returnsInTx:   {toldSafe, txUndo},
		commits:       {toldUnknown, txUndo},
		rollsBack:     {toldFailure, txUndo},
	},
}

// outcomeOf returns the outcome of a failed call from the table, with two
// exceptions. If the server does not know the transaction, the transaction has
// ended. If the server reports a syntax error in a statement with RETURNING, nothing
// was run.
func outcomeOf(kind callKind, f *wire.Failure) outcome {
	o := outcomes[f.Fate][kind]
	switch {
	case f.Fate != wire.Refused || o.tx == noTx:
	case f.Class == wire.TxAborted && kind == rollsBack:
		return outcome{toldNothing, txGone}
	case f.Class == wire.TxAborted:
		o.tx = txGone
	case f.Class == wire.Syntax && kind == returnsInTx:
		o.tx = txStays
	}
	return o
}

// indexAhead gives the error "key not found" of a write of rows its meaning. A
// transaction of the server (v1.11.1) takes a snapshot of each index when it first reads it.
// If it reads a secondary index after the table, the index may have a row that the table
// has not. Another transaction sees both. Changes of the catalog fail with the same
// words for good, for example DROP of a table that has CHECK constraints.
func indexAhead(kind callKind, f *wire.Failure) {
	if f.Class == wire.NoSuchKey && (kind == writes || kind == returnsInTx) {
		f.Class, f.SQLState = wire.Conflict, "40001"
		f.Message = "another transaction wrote a row between this one's first look at the table and its first look at an index: " +
			"run the transaction again (" + f.Message + ")"
	}
}

// callError is the error that the caller of a failed call gets. name is the name of
// the operation for ErrOutcomeUnknown; it is "" for reads.
func callError(kind callKind, name string, f *wire.Failure) error {
	o := outcomeOf(kind, f)
	failed := newCallError(f)
	var err error = failed
	if f.Ended != nil {
		err = f.Ended
	}
	switch o.told {
	case toldNothing:
		return nil
	case toldUnknown:
		return outcomeUnknown(name, err)
	case toldNotCommitted:
		return &Error{Message: "COMMIT could not be sent, nothing was committed", SQLState: "08003", kind: ErrSessionLost, cause: err, safe: true}
	case toldSafe, toldLost:
		failed.safe = true
	case toldBadConn:
		failed.safe = true
		if f.Ended == nil {
			return badConn{failed}
		}
	}
	return err
}

// callFailed counts and logs a failed call in a session, and returns the error that its
// caller gets, see [callError].
func (c *Conn) callFailed(s *session.Session, kind callKind, name string, f *wire.Failure) error {
	s.Explain(f)
	indexAhead(kind, f)
	if f.Class == wire.Conflict {
		c.connector.tally.conflicts.Add(1)
	}
	if outcomeOf(kind, f).told == toldUnknown {
		c.outcomeIsUnknown(name)
	}
	err := callError(kind, name, f)
	if f.Class == wire.Replica {
		c.connector.renewed.done.Clear() // it may be promoted again
	}
	if e, ok := err.(*Error); ok && f.Class == wire.Replica {
		e.remedy = s.Addr() + " " + c.connector.cfg.ifReplica()
	}
	return err
}

// outcomeIsUnknown counts and logs that nobody knows whether a write was committed.
func (c *Conn) outcomeIsUnknown(operation string) {
	c.connector.tally.unknown.Add(1)
	c.logEvent(context.Background(), slog.LevelWarn, "immudb outcome unknown: a write may or may not have been committed",
		slog.String("operation", operation))
}
