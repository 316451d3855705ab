package immudb

import (
	"context"
	"database/sql/driver"
	"errors"
	"testing"

	"github.com/immudb-go/immudb/internal/wire"
)

var allFates = []wire.Fate{wire.NotSent, wire.Refused, wire.NoSession, wire.Unknown}

// eachOutcome calls f for every kind of call with every fate.
func eachOutcome(f func(kind callKind, fate wire.Fate, o outcome)) {
	for kind := range numCallKinds {
		for _, fate := range allFates {
			f(kind, fate, outcomeOf(kind, &wire.Failure{Fate: fate}))
		}
	}
}

func inTx(kind callKind) bool { return kind >= readsInTx }

func TestOnlyCallsInTransactionsDecideAboutOne(t *testing.T) {
	eachOutcome(func(kind callKind, fate wire.Fate, o outcome) {
		if inTx(kind) == (o.tx == noTx) {
			t.Errorf("kind %d, %v: transaction %d", kind, fate, o.tx)
		}
	})
}

func TestBadConnIsToldOnlyOfCallsThatDidNotRunOutsideTransactions(t *testing.T) {
	eachOutcome(func(kind callKind, fate wire.Fate, _ outcome) {
		err := callError(kind, "Exec", &wire.Failure{Fate: fate})
		if errors.Is(err, driver.ErrBadConn) && (fate != wire.NotSent || inTx(kind)) {
			t.Errorf("kind %d, %v: %v matches ErrBadConn", kind, fate, err)
		}
	})
}

func TestWhatMayHaveCommittedIsUnknownAndNeverRetryable(t *testing.T) {
	eachOutcome(func(kind callKind, fate wire.Fate, _ outcome) {
		err := callError(kind, "Exec", &wire.Failure{Fate: fate})
		mayHaveCommitted := fate == wire.Unknown && (kind.autocommits() || kind == commits)
		if errors.Is(err, ErrOutcomeUnknown) != mayHaveCommitted || mayHaveCommitted && isRetryable(err) {
			t.Errorf("kind %d, %v: %v, retryable: %v", kind, fate, err, isRetryable(err))
		}
	})
}

// After a failed call the driver must either keep using the transaction or roll it back,
// unless the server has ended it. Otherwise it would hold one of the server's snapshots
// for ever.
func TestTransactionIsKeptRolledBackOrEnded(t *testing.T) {
	for _, row := range []struct {
		kind callKind
		f    wire.Failure
		want txFate
	}{
		{readsInTx, wire.Failure{Fate: wire.NotSent}, txStays},
		{readsInTx, wire.Failure{Fate: wire.Refused}, txStays},
		{readsInTx, wire.Failure{Fate: wire.Refused, Class: wire.TxAborted}, txGone},
		{readsInTx, wire.Failure{Fate: wire.Unknown}, txUndo},
		{writesInTx, wire.Failure{Fate: wire.NotSent}, txUndo},
		{writesInTx, wire.Failure{Fate: wire.Refused}, txGone},
		{writesInTx, wire.Failure{Fate: wire.Unknown}, txUndo},
		{returnsInTx, wire.Failure{Fate: wire.Refused}, txUndo},
		{returnsInTx, wire.Failure{Fate: wire.Refused, Class: wire.Syntax}, txStays},
		{returnsInTx, wire.Failure{Fate: wire.Refused, Class: wire.TxAborted}, txGone},
		{commits, wire.Failure{Fate: wire.NotSent}, txUndo},
		{commits, wire.Failure{Fate: wire.Refused, Class: wire.Conflict}, txGone},
		{commits, wire.Failure{Fate: wire.Unknown}, txUndo},
		{rollsBack, wire.Failure{Fate: wire.Refused, Class: wire.TxAborted}, txGone},
		{rollsBack, wire.Failure{Fate: wire.Unknown}, txUndo},
	} {
		if got := outcomeOf(row.kind, &row.f).tx; got != row.want {
			t.Errorf("kind %d, %v, class %d: %d, want %d", row.kind, row.f.Fate, row.f.Class, got, row.want)
		}
	}
	for kind := readsInTx; kind < numCallKinds; kind++ {
		if got := outcomeOf(kind, &wire.Failure{Fate: wire.NoSession}).tx; got != txGone {
			t.Errorf("kind %d, no session: %d, want gone", kind, got)
		}
	}
}

func TestRollbackOfWhatIsGoneSucceeds(t *testing.T) {
	for _, f := range []wire.Failure{{Fate: wire.NoSession}, {Fate: wire.Refused, Class: wire.TxAborted}} {
		if err := callError(rollsBack, "", &f); err != nil {
			t.Errorf("%v: %v", f.Fate, err)
		}
	}
}

func TestEndOfACallersContextIsToldAsItIs(t *testing.T) {
	for _, kind := range []callKind{reads, begins, readsInTx, writesInTx, returnsInTx} {
		for _, fate := range []wire.Fate{wire.NotSent, wire.Unknown} {
			if err := callError(kind, "", &wire.Failure{Fate: fate, Ended: context.Canceled}); err != context.Canceled {
				t.Errorf("kind %d, %v: %v", kind, fate, err)
			}
		}
	}
	err := callError(commits, "COMMIT", &wire.Failure{Fate: wire.Unknown, Ended: context.Canceled})
	if !errors.Is(err, ErrOutcomeUnknown) || !errors.Is(err, context.Canceled) {
		t.Errorf("COMMIT: %v", err)
	}
}

func TestEveryClassHasItsSentinel(t *testing.T) {
	for class := wire.Conflict; int(class) < len(kinds); class++ {
		if kinds[class] == nil {
			t.Errorf("class %d has none", class)
		}
	}
}
