// Package feed reads the history of a database as proven transactions, one after the
// other, in a goroutine that is an answer of the server ahead of its reader.
package feed

import (
	"context"
	"sync"
	"time"

	"github.com/immudb-go/immudb/internal/proof"
	"github.com/immudb-go/immudb/internal/trust"
	"github.com/immudb-go/immudb/internal/wire"
)

const (
	defaultPollInterval = time.Second
	// minPollInterval bounds how often a feed asks for new transactions.
	minPollInterval = 50 * time.Millisecond
	// maxReconnectPause is the longest time between two tries to reach the server.
	maxReconnectPause = 5 * time.Second
)

// Source is where a Scan reads, and how.
type Source struct {
	// Use runs f with the prover of a connection.
	Use func(ctx context.Context, f func(*trust.Prover) error) error
	// IsPassing reports whether an error of Use may go away by itself.
	IsPassing func(error) bool
	// Entries is what the transactions have of their entries: [wire.WithValues], or
	// [wire.KeysOnly] with the values of the catalog alone.
	Entries wire.EntryDetail
	// Follow waits for new transactions instead of ending after the newest.
	Follow bool
	// Poll is the longest time between two questions for new transactions. 0: one second.
	Poll time.Duration
}

// Scan reads the history. Its pages are closed when it ends.
type Scan struct {
	Pages chan Page

	source Source
	feed   *trust.Feed
	done   sync.WaitGroup
	opened bool
	last   uint64 // the newest transaction that is trusted
}

// Page is a page of proven transactions.
type Page struct {
	Catalog *proof.Catalog // of the first page only: the tables before it
	Txs     []*proof.Tx    // may be empty
	Last    uint64         // the newest transaction that was known when the page was read
	Err     error          // ends the scan

	// Fault makes the error of an entry that cannot be what an honest server stored.
	Fault func(error) error
}

// Start begins to read after a cursor. The caller cancels ctx and calls [Scan.Wait].
func Start(ctx context.Context, after Cursor, source Source) (*Scan, error) {
	var catalog *proof.Catalog
	if after.Seen != "" {
		var err error
		if catalog, err = proof.RestoreCatalog([]byte(after.Seen), after.After.TxID); err != nil {
			return nil, err
		}
	}
	s := &Scan{source: source, feed: trust.NewFeed(after.After, catalog), Pages: make(chan Page)}
	if source.Poll <= 0 {
		s.source.Poll = defaultPollInterval
	}
	s.done.Go(func() {
		defer close(s.Pages)
		if err := s.run(ctx); err != nil {
			_ = s.send(ctx, Page{Err: err})
		}
	})
	return s, nil
}

// Wait waits until the goroutine has ended.
func (s *Scan) Wait() {
	for range s.Pages {
	}
	s.done.Wait()
}

// send hands a page to the reader. It still hands over an error when ctx has ended,
// because the reader must learn of it.
func (s *Scan) send(ctx context.Context, p Page) error {
	if p.Err != nil {
		s.Pages <- p
		return nil
	}
	select {
	case s.Pages <- p:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Scan) run(ctx context.Context) error {
	pause := minPollInterval
	for {
		asked := time.Now()
		if err := s.try(ctx, s.catchUp); err != nil {
			return err
		}
		news := s.feed.At() < s.last
		for s.feed.At() < s.last {
			if err := s.try(ctx, s.next); err != nil {
				return err
			}
		}
		if !s.source.Follow {
			return nil
		}
		if news {
			pause = minPollInterval
		} else if err := s.send(ctx, Page{}); err != nil {
			return err
		}
		if err := sleep(ctx, time.Until(asked.Add(min(pause, s.source.Poll)))); err != nil {
			return err
		}
		pause = min(2*pause, s.source.Poll)
	}
}

// try makes one step, and sends its page. A feed that follows makes it again while the
// server cannot be reached.
func (s *Scan) try(ctx context.Context, step func(context.Context, *trust.Prover) (Page, error)) error {
	for pause := minPollInterval; ; pause = min(2*pause, maxReconnectPause) {
		var page Page
		err := s.source.Use(ctx, func(p *trust.Prover) (err error) {
			page, err = step(ctx, p)
			page.Fault = p.Tampering
			return err
		})
		page.Last = s.last
		if err == nil && (page.Txs != nil || page.Catalog != nil) {
			return s.send(ctx, page)
		}
		if err == nil || !s.source.Follow || ctx.Err() != nil || !s.source.IsPassing(err) {
			return err
		}
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
}

// catchUp opens the feed, and finds out which transaction is the newest.
func (s *Scan) catchUp(ctx context.Context, p *trust.Prover) (page Page, err error) {
	catalog, err := s.feed.Open(ctx, p)
	if err != nil {
		return page, err
	}
	newest, err := p.CatchUp(ctx)
	if err != nil {
		return page, err
	}
	s.last = newest.TxID
	if !s.opened {
		s.opened, page.Catalog = true, catalog
	}
	return page, nil
}

func (s *Scan) next(ctx context.Context, p *trust.Prover) (page Page, err error) {
	page.Txs, err = s.feed.Next(ctx, p, s.last, s.source.Entries)
	return page, err
}

// sleep waits, or returns ctx's error when ctx ends first.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
