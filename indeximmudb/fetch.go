package indeximmudb

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/inside"
	"github.com/immudb-go/immudb/internal/proof"
	"github.com/immudb-go/immudb/internal/trust"
	"github.com/immudb-go/immudb/internal/wire"
)

// A transaction by itself is a call. The transactions of a range come in pages of a thousand, together with those
// that are not wanted.
const (
	maxGap   = 8    // a range has at most that many unwanted transactions between two wanted ones
	minRange = 16   // and at least that many wanted ones
	maxRange = 8192 // and at most that many, so that ranges are read at once
)

const defaultConcurrency = 8

// fetch asks for the rows of the index, by their transactions, and proves them. They are
// in the order of the entries.
func (x *Index) fetch(ctx context.Context, t *proof.Table, entries []entry) ([]*immudb.ProvenRow, error) {
	f := &fetch{table: t, entries: entries, rows: make([]*immudb.ProvenRow, len(entries)), order: make([]int, len(entries))}
	for i := range f.order {
		f.order[i] = i
	}
	slices.SortStableFunc(f.order, func(i, j int) int { return cmp.Compare(entries[i].tx, entries[j].tx) })
	jobs := f.jobs()
	if len(jobs) == 0 {
		return f.rows, nil
	}
	workers := cmp.Or(max(x.opts.Concurrency, 0), defaultConcurrency)
	err := inside.Prove(ctx, x.db, func(p *trust.Prover) error { return f.run(ctx, p, jobs, min(workers, len(jobs))) })
	return f.rows, err
}

// fetch is a set of rows that is asked for.
type fetch struct {
	table   *proof.Table
	entries []entry
	rows    []*immudb.ProvenRow
	order   []int // indexes of entries, by their transactions
}

// job is a part of fetch.order: all entries of one transaction, or of a range.
type job struct {
	from, to int
	several  bool
}

// jobs divides the entries into what is asked for together.
func (f *fetch) jobs() (jobs []job) {
	var single []job // since the last range
	end := func() {
		if len(single) < minRange {
			jobs = append(jobs, single...)
		} else {
			jobs = append(jobs, job{single[0].from, single[len(single)-1].to, true})
		}
		single = nil
	}
	for from := 0; from < len(f.order); {
		to := from + 1
		for to < len(f.order) && f.tx(to) == f.tx(from) {
			to++
		}
		if from > 0 && f.tx(from)-f.tx(from-1) > maxGap || len(single) == maxRange {
			end()
		}
		single = append(single, job{from: from, to: to})
		from = to
	}
	end()
	return jobs
}

// tx is the transaction of the entry at a place of the order.
func (f *fetch) tx(at int) uint64 { return f.entries[f.order[at]].tx }

// run does the jobs, several at once. The first error ends them.
func (f *fetch) run(ctx context.Context, p *trust.Prover, jobs []job, workers int) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	todo := make(chan job)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for j := range todo {
				if err := f.do(ctx, p, j); err != nil {
					cancel(err) // only the first one is kept
				}
			}
		})
	}
	for _, j := range jobs {
		if ctx.Err() != nil {
			break
		}
		todo <- j
	}
	close(todo)
	wg.Wait()
	return context.Cause(ctx)
}

func (f *fetch) do(ctx context.Context, p *trust.Prover, j job) error {
	if !j.several {
		tx, err := p.Entries(ctx, f.tx(j.from))
		if err != nil {
			return denied(p, f.tx(j.from), err)
		}
		return f.take(p, tx, f.order[j.from:j.to])
	}
	at := j.from
	return p.Range(ctx, f.tx(j.from)-1, f.tx(j.to-1), wire.WithValues, func(tx *proof.Tx) error {
		from := at
		for at < j.to && f.tx(at) == tx.Header().ID {
			at++
		}
		return f.take(p, tx, f.order[from:at])
	})
}

// denied returns the error for a transaction of the trusted history that the server did
// not give.
func denied(p *trust.Prover, tx uint64, err error) error {
	if !inside.IsDenial(err) {
		return err
	}
	return p.Tampering(&proof.Error{Check: fmt.Sprintf("tx %d of the history, which was read before, is there", tx), TxID: tx})
}

// take takes the rows of entries, all of one transaction.
func (f *fetch) take(p *trust.Prover, tx *proof.Tx, wanted []int) error {
	if len(wanted) == 0 {
		return nil
	}
	places := make(map[string]int, len(wanted))
	for _, i := range wanted {
		places[f.entries[i].key] = i
	}
	var key []byte
	entries := tx.Entries()
	for i := range entries {
		if id, ok := proof.TableOfRow(entries[i].Key); !ok || id != f.table.ID {
			continue
		}
		key = appendKey(key[:0], entries[i].Key[proof.RowKeyHead:])
		place, ok := places[string(key)]
		if !ok {
			continue
		}
		row, err := tx.Row(f.table, &entries[i])
		if err != nil {
			return p.Tampering(err)
		}
		if row.Deleted {
			return errUnfit
		}
		f.rows[place] = inside.Row(row).(*immudb.ProvenRow)
		delete(places, string(key))
	}
	if len(places) > 0 {
		return errUnfit
	}
	return nil
}
