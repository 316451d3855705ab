package dbtest

import (
	"errors"
	"iter"
	"testing"

	"github.com/immudb-go/immudb"
)

// The following are sources of rows for [immudb.CopyFrom], and a check of its error.

// Rows yields the given rows.
func Rows(rows ...[]any) iter.Seq2[[]any, error] {
	return func(yield func([]any, error) bool) {
		for _, row := range rows {
			if !yield(row, nil) {
				return
			}
		}
	}
}

// NumberedRows yields n rows (id, v), with v = 10·id, in one slice.
func NumberedRows(from, n int) iter.Seq2[[]any, error] {
	return func(yield func([]any, error) bool) {
		row := make([]any, 2)
		for id := from; id < from+n; id++ {
			row[0], row[1] = id, int64(10*id)
			if !yield(row, nil) {
				return
			}
		}
	}
}

// ThenError yields the rows and ends with err.
func ThenError(rows iter.Seq2[[]any, error], err error) iter.Seq2[[]any, error] {
	return func(yield func([]any, error) bool) {
		for row := range rows {
			if !yield(row, nil) {
				return
			}
		}
		yield(nil, err)
	}
}

// ChainRows yields the rows of several sources.
func ChainRows(sources ...iter.Seq2[[]any, error]) iter.Seq2[[]any, error] {
	return func(yield func([]any, error) bool) {
		for _, rows := range sources {
			for row, err := range rows {
				if !yield(row, err) {
					return
				}
			}
		}
	}
}

// CopyError fails unless err is a *CopyError that wraps target.
func CopyError(t testing.TB, err, target error) *immudb.CopyError {
	t.Helper()
	var e *immudb.CopyError
	if !errors.As(err, &e) || !errors.Is(err, target) {
		t.Fatalf("err = %v, want a *CopyError that wraps %v", err, target)
	}
	return e
}
