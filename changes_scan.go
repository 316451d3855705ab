package immudb

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"time"

	"google.golang.org/grpc/codes"

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

// scan reads the history in a goroutine of its own, an answer ahead of the feed.
type scan struct {
	db     *sql.DB
	follow bool
	poll   time.Duration
	feed   *trust.Feed
	pages  chan scanned
	done   sync.WaitGroup
	opened bool
	last   uint64 // the newest transaction that is trusted
}

// scanned is a page of proven transactions.
type scanned struct {
	catalog *proof.Catalog // of the first page only: the tables before it
	txs     []*proof.Tx    // may be empty
	err     error          // ends the feed
	fault   func(error) error
}

// startScan begins to read. The caller cancels ctx and calls wait.
func startScan(ctx context.Context, db *sql.DB, opts *ChangesOptions) (*scan, error) {
	var catalog *proof.Catalog
	if opts.After.seen != "" {
		var err error
		if catalog, err = proof.RestoreCatalog([]byte(opts.After.seen), opts.After.after.TxID); err != nil {
			return nil, newError(ErrInvalidValue, "22023", "the cursor is damaged: "+err.Error())
		}
	}
	s := &scan{db: db, follow: opts.Follow, poll: opts.PollInterval, feed: trust.NewFeed(opts.After.after, catalog), pages: make(chan scanned)}
	if s.poll <= 0 {
		s.poll = defaultPollInterval
	}
	s.done.Go(func() {
		defer close(s.pages)
		if err := s.run(ctx); err != nil {
			_ = s.send(ctx, scanned{err: err})
		}
	})
	return s, nil
}

// wait waits until the goroutine has ended.
func (s *scan) wait() {
	for range s.pages {
	}
	s.done.Wait()
}

// send hands a page to the feed. It still hands over an error when ctx has ended,
// because the feed's reader must learn of it.
func (s *scan) send(ctx context.Context, p scanned) error {
	if p.err != nil {
		s.pages <- p
		return nil
	}
	select {
	case s.pages <- p:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *scan) run(ctx context.Context) error {
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
		if !s.follow {
			return nil
		}
		if news {
			pause = minPollInterval
		} else if err := s.send(ctx, scanned{}); err != nil {
			return err
		}
		if err := sleep(ctx, time.Until(asked.Add(min(pause, s.poll)))); err != nil {
			return err
		}
		pause = min(2*pause, s.poll)
	}
}

// try makes one step, and sends its page. A feed that follows makes it again while the
// server cannot be reached.
func (s *scan) try(ctx context.Context, step func(context.Context, *trust.Prover) (scanned, error)) error {
	for pause := minPollInterval; ; pause = min(2*pause, maxReconnectPause) {
		var page scanned
		err := onConn(ctx, s.db, func(c *Conn) (err error) {
			p := c.prover()
			page, err = step(ctx, p)
			page.fault = func(err error) error { return fromTrust(p.Tampering(err)) }
			return err
		})
		if err == nil && (page.txs != nil || page.catalog != nil) {
			return s.send(ctx, page)
		}
		if err == nil || !s.follow || ctx.Err() != nil || !isUnreachable(err) {
			return err
		}
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
}

// isUnreachable reports whether an error of a call that changes nothing may go away by
// itself.
func isUnreachable(err error) bool {
	var e *Error
	return isRetryable(err) || errors.As(err, &e) && e.GRPC == codes.Unavailable
}

// catchUp opens the feed, and finds out which transaction is the newest.
func (s *scan) catchUp(ctx context.Context, p *trust.Prover) (page scanned, err error) {
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
		s.opened, page.catalog = true, catalog
	}
	return page, nil
}

func (s *scan) next(ctx context.Context, p *trust.Prover) (page scanned, err error) {
	page.txs, err = s.feed.Next(ctx, p, s.last, wire.WithValues)
	return page, err
}
