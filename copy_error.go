package immudb

import (
	"fmt"
	"strings"
)

// CopyError says how far a [CopyFrom] came that failed. Rows behind those counted
// in Committed and Unknown were not written.
//
// To go on, call CopyFrom again without the first Committed rows. The Unknown
// rows behind them may be there: write them with Upsert, or look first.
// errors.Is finds [ErrOutcomeUnknown] whenever there are any, beside what the
// error wraps.
type CopyError struct {
	Table string
	// Committed is how many rows are committed, counted from the first.
	Committed int64
	// Unknown is how many rows behind those were sent and not answered; with
	// verify=commits also those whose commit could not be proven.
	Unknown int64
	// Row is the number of the row at fault, counted from 1, and Column its
	// column at fault. They are 0 and "" if it is not known to be one row's or
	// one column's fault.
	Row    int64
	Column string

	cause    error
	failedAt int64 // the row, counted from 0, from which on the cause counts
}

func (e *CopyError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "immudb: copy into %s", e.Table)
	if e.Row > 0 {
		fmt.Fprintf(&b, ": row %d", e.Row)
	}
	if e.Column != "" {
		fmt.Fprintf(&b, ", column %s", e.Column)
	}
	fmt.Fprintf(&b, ": %s; committed: %s", strings.TrimPrefix(e.cause.Error(), "immudb: "), rowsText(0, e.Committed))
	if e.Unknown > 0 {
		fmt.Fprintf(&b, "; unknown: %s", rowsText(e.Committed, e.Unknown))
	}
	return b.String()
}

// Unwrap returns the reason.
func (e *CopyError) Unwrap() error { return e.cause }

// Is reports ErrOutcomeUnknown if there are unknown rows, whatever the reason is.
func (e *CopyError) Is(target error) bool { return target == ErrOutcomeUnknown && e.Unknown > 0 }

// rowsText names n rows behind the first skipped, counted from 1.
func rowsText(skipped, n int64) string {
	switch n {
	case 0:
		return "none"
	case 1:
		return fmt.Sprintf("row %d", skipped+1)
	}
	return fmt.Sprintf("rows %d to %d", skipped+1, skipped+n)
}
