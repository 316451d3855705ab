package immudb

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// RowRange is the rows From ≤ i < To, counted from 0 in the order that
// [CopyFrom] was given them.
type RowRange struct{ From, To int64 }

// Len is how many rows there are.
func (r RowRange) Len() int64 { return r.To - r.From }

// String names the rows counted from 1, both ends included, as Error does.
func (r RowRange) String() string {
	if r.Len() == 1 {
		return fmt.Sprintf("row %d", r.To)
	}
	return fmt.Sprintf("rows %d to %d", r.From+1, r.To)
}

// CopyError says how far a [CopyFrom] came that failed. Rows in neither
// Committed nor Unknown were not written.
//
// To go on, call CopyFrom again without the rows in Committed. Rows in Unknown
// may be there: write them with Upsert, or look first. errors.Is finds
// [ErrOutcomeUnknown] whenever there are any, beside what Err says.
type CopyError struct {
	Table string
	// Committed are the rows that are committed, in order, with a gap between
	// one range and the next. With one writer there is at most one, which begins
	// with the first row.
	Committed []RowRange
	// Unknown are the rows whose batch was sent but not answered, in order; with
	// verify=commits also those whose commit could not be proven.
	Unknown []RowRange
	// Row is the number of the row at fault, counted from 1, and Column its
	// column at fault. They are 0 and "" if it is not known to be one row's or
	// one column's fault.
	Row    int64
	Column string

	cause    error
	failedAt int64 // the row, counted from 0, from which on the cause counts
}

// Error tells everything but the number of gaps.
func (e *CopyError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "immudb: copy into %s", e.Table)
	if e.Row > 0 {
		fmt.Fprintf(&b, ": row %d", e.Row)
	}
	if e.Column != "" {
		fmt.Fprintf(&b, ", column %s", e.Column)
	}
	fmt.Fprintf(&b, ": %s; committed: %s", strings.TrimPrefix(e.cause.Error(), "immudb: "), rangesText(e.Committed))
	if len(e.Unknown) > 0 {
		fmt.Fprintf(&b, "; unknown: %s", rangesText(e.Unknown))
	}
	return b.String()
}

// Unwrap returns the reason.
func (e *CopyError) Unwrap() error { return e.cause }

// Is reports ErrOutcomeUnknown if there are unknown rows, whatever the reason is.
func (e *CopyError) Is(target error) bool { return target == ErrOutcomeUnknown && len(e.Unknown) > 0 }

// rangesText names at most a handful of ranges.
func rangesText(ranges []RowRange) string {
	const most = 4
	if len(ranges) == 0 {
		return "none"
	}
	var b strings.Builder
	for i, r := range ranges {
		if i == most {
			fmt.Fprintf(&b, " and %d more ranges", len(ranges)-most)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(r.String())
	}
	return b.String()
}

// insertRange inserts r, which overlaps none, and joins it to its neighbours.
func insertRange(ranges []RowRange, r RowRange) []RowRange {
	i, _ := slices.BinarySearchFunc(ranges, r, func(a, b RowRange) int { return cmp.Compare(a.From, b.From) })
	if i > 0 && ranges[i-1].To == r.From {
		i--
		ranges[i].To = r.To
	} else {
		ranges = slices.Insert(ranges, i, r)
	}
	if i+1 < len(ranges) && ranges[i].To == ranges[i+1].From {
		ranges[i].To = ranges[i+1].To
		ranges = slices.Delete(ranges, i+1, i+2)
	}
	return ranges
}
