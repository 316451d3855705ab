package main

import (
	"context"
	"database/sql"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/immudb-go/immudb"
)

// The bulk loads write the same keys each time, with UPSERT, which overwrites the existing rows.

// copyFrom loads the rows with CopyFrom and its default options.
func copyFrom(_ context.Context, e *env) (*task, error) {
	db, err := e.open()
	if err != nil {
		return nil, err
	}
	t := &task{close: db.Close, note: func() string { return "CopyFrom with its defaults" }}
	t.run = func(ctx context.Context, n int) (total int, err error) {
		for range n {
			got, err := immudb.CopyFrom(ctx, db, "copied", nil, accountRows(e.Scale.CopyRows), &immudb.CopyOptions{Upsert: true})
			total += int(got)
			if err != nil {
				return total, err
			}
		}
		return total, nil
	}
	return t, nil
}

// byHand loads rows as a program without CopyFrom would: by multi-row statements of one size.
type byHand struct {
	rows     int  // of a statement
	literals bool // values are literals, else arguments
	writers  int
}

func (h byHand) String() string {
	values := "arguments"
	if h.literals {
		values = "literals"
	}
	return fmt.Sprintf("statements of %d rows, %s, %d writers", h.rows, values, h.writers)
}

// handBatched tries the ways to write multi-row statements and then takes the fastest.
func handBatched(ctx context.Context, e *env) (*task, error) {
	db, err := e.open()
	if err != nil {
		return nil, err
	}
	var best byHand
	var bestTime time.Duration
	for _, h := range []byHand{
		{256, false, 1}, {1024, false, 1}, {256, true, 1}, {1024, true, 1}, {1024, true, 2}, {1024, true, 4},
	} {
		began := time.Now()
		if _, err = h.load(ctx, db, e.Scale.CopyTries); err != nil {
			err = fmt.Errorf("%v: %w", h, err)
			break
		}
		if took := time.Since(began); bestTime == 0 || took < bestTime {
			best, bestTime = h, took
		}
	}
	if bestTime == 0 {
		_ = db.Close() // the error to tell is the other
		return nil, err
	}
	t := &task{close: db.Close, note: func() string { return best.String() }}
	t.run = func(ctx context.Context, n int) (total int, err error) {
		for range n {
			got, err := best.load(ctx, db, e.Scale.CopyRows)
			total += got
			if err != nil {
				return total, err
			}
		}
		return total, nil
	}
	return t, nil
}

// statement is a multi-row UPSERT.
type statement struct {
	text string
	args []any
	rows int
}

// load writes the first n rows. While a statement runs, the next one is made.
func (h byHand) load(ctx context.Context, db *sql.DB, n int) (int, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	work := make(chan statement)
	done := make(chan error, h.writers)
	for range h.writers {
		go func() {
			for st := range work {
				if _, err := db.ExecContext(ctx, st.text, st.args...); err != nil {
					cancel()
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	sent := h.statements(ctx, n, work)
	close(work)
	var failed error
	for range h.writers {
		if err := <-done; err != nil && failed == nil {
			failed = err
		}
	}
	return sent, failed
}

// statements makes the statements that write the first n rows, and returns how many rows were taken.
func (h byHand) statements(ctx context.Context, n int, work chan<- statement) (sent int) {
	var text strings.Builder
	var st statement
	flush := func() bool {
		if st.rows == 0 {
			return true
		}
		st.text = text.String()
		select {
		case work <- st:
			sent += st.rows
		case <-ctx.Done():
			return false
		}
		text.Reset()
		st = statement{}
		return true
	}
	for row := range accountRows(n) {
		if st.rows == 0 {
			text.WriteString("UPSERT INTO copied (id, name, balance, active, created, token, ref) VALUES ")
		} else {
			text.WriteByte(',')
		}
		for i, v := range row {
			text.WriteByte("(,"[min(i, 1)])
			if h.literals && writeLiteral(&text, v) {
				continue
			}
			if b, ok := v.([]byte); ok {
				v = append([]byte(nil), b...) // accountRows uses it again
			}
			st.args = append(st.args, v)
			text.WriteByte('$')
			text.WriteString(strconv.Itoa(len(st.args)))
		}
		text.WriteByte(')')
		if st.rows++; st.rows == h.rows && !flush() {
			return sent
		}
	}
	flush()
	return sent
}

// writeLiteral writes v as SQL unless SQL has no literal for it.
func writeLiteral(b *strings.Builder, v any) bool {
	switch v := v.(type) {
	case int64:
		b.WriteString(strconv.FormatInt(v, 10))
	case float64:
		text := strconv.FormatFloat(v, 'f', -1, 64)
		if !strings.Contains(text, ".") {
			text += ".0"
		}
		b.WriteString(text)
	case bool:
		b.WriteString(strings.ToUpper(strconv.FormatBool(v)))
	case string: // none holds a quote
		b.WriteString("'" + v + "'")
	case []byte:
		b.WriteString("x'" + hex.EncodeToString(v) + "'")
	default:
		return false
	}
	return true
}
