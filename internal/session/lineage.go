package session

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/immudb-go/immudb/internal/proof"
	"github.com/immudb-go/immudb/internal/wire"
)

// ErrSplitBrain is the cause of an error about a server that says that it is a
// primary, although another one has taken its place since the pool used it: that one
// still says that it is a primary, or has what this one lacks.
var ErrSplitBrain = errors.New("split brain: two servers were primaries of the database at one time")

// lineage is the newest transaction that the pool has seen on its primary, so that
// a second primary can be told from one that has followed. Nothing is proven here:
// the servers are believed. Pool.mu guards it.
type lineage struct {
	primary *host
	tx      uint64
	hash    proof.Digest // if header is nil
	header  []byte       // of the transaction, as the server sent it
	asked   int64        // when followPrimary has ended, as time.Time.UnixNano
}

// alh returns the hash of the history up to the transaction.
func (l *lineage) alh() (proof.Digest, error) {
	if l.header == nil {
		return l.hash, nil
	}
	h, err := wire.DecodeHeader(l.header)
	if err != nil {
		return proof.Digest{}, err
	}
	return h.Alh()
}

// Committed tells the pool of a transaction that the session's server has committed
// in the database of the pool; header is as the server sent it.
func (s *Session) Committed(tx uint64, header []byte) {
	p := s.pool
	if p.cfg.Target != Primary || len(p.hosts) == 1 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if l := &p.lineage; l.primary == s.host && tx > l.tx {
		l.tx, l.header = tx, bytes.Clone(header)
	}
}

// state asks the server for the newest transaction of its database.
func (s *Session) state(ctx context.Context) (proof.State, *wire.Failure) {
	var msg wire.Raw
	if f := s.Call(ctx, wire.MethodCurrentState, nil, &msg); f != nil {
		return proof.State{}, f
	}
	signed, err := wire.DecodeSignedState(msg)
	if err != nil {
		return proof.State{}, wire.Malformed(err.Error())
	}
	return signed.State, nil
}

// Head is the number of the newest transaction of the server's database.
func (s *Session) Head(ctx context.Context) (uint64, *wire.Failure) {
	head, f := s.state(ctx)
	return head.TxID, f
}

// sees raises the lineage to the newest transaction of its primary. mu is held.
func (p *Pool) sees(head proof.State) {
	if l := &p.lineage; head.TxID > l.tx {
		l.tx, l.hash, l.header = head.TxID, head.Alh, nil
	}
}

// followPrimary asks the primary in use for its newest transaction, if it was used since
// it was asked last. An answer to a query does not tell which transactions it has seen.
func (p *Pool) followPrimary(ctx context.Context) {
	p.mu.Lock()
	h := p.lineage.primary
	used := slices.ContainsFunc(p.sessions, func(s *Session) bool { return s.host == h && s.lastCall.Load() > p.lineage.asked })
	p.mu.Unlock()
	if !used {
		return
	}
	if s := p.sessionOn(h); s != nil {
		p.askPrimary(ctx, s)
	}
	p.mu.Lock()
	p.lineage.asked = time.Now().UnixNano()
	p.mu.Unlock()
}

// askPrimary raises the lineage to what its primary has now, on which s is. It reports
// whether that server still says that it is a primary.
func (p *Pool) askPrimary(ctx context.Context, s *Session) bool {
	ctx, cancel := context.WithTimeout(ctx, primaryPatience)
	defer cancel()
	var settings wire.DatabaseSettings
	if f := s.Call(ctx, wire.MethodDatabaseSettings, nil, &settings); f != nil || settings.Replica {
		return false
	}
	head, f := s.state(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	if f == nil && p.lineage.primary == s.host {
		p.sees(head)
	}
	return true
}

// mayWrite checks whether a server that says that it is a primary may be used as one.
// A server that holds what the pool has seen may. So may one that lacks part of it
// and was not the primary of the pool before: a replica that was behind when it was
// promoted. One that was it before is the old primary: it may if the primary that took
// its place is none any more, and it holds what that one had.
func (p *Pool) mayWrite(ctx context.Context, s *Session) error {
	p.mu.Lock()
	took, isOld := p.lineage.primary, s.host.written && s.host != p.lineage.primary
	p.mu.Unlock()
	stands := false
	if isOld {
		other := p.sessionOn(took)
		stands = other != nil && p.askPrimary(ctx, other)
	}
	p.mu.Lock()
	seen := p.lineage // before the question: commits go on
	p.mu.Unlock()
	head, f := s.state(ctx)
	if f != nil && f.Fate == wire.Refused {
		return nil
	} else if f != nil {
		return s.host.failed(f)
	}
	holds := true
	if seen.tx > 0 {
		var err error
		if holds, err = s.holds(ctx, head, seen); err != nil {
			return err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	h := s.host
	switch {
	case h.written && h != p.lineage.primary && (stands || !holds):
		why := fmt.Sprintf("it does not have tx %d, which was seen on the primary %s", seen.tx, seen.primary.addr)
		if holds {
			why = fmt.Sprintf("so does %s, which has taken its place", seen.primary.addr)
		}
		if !h.split {
			h.split = true
			p.cfg.Log.Error("immudb server is a second primary, it is not written to", slog.String("host", h.addr),
				slog.String("primary", seen.primary.addr), slog.Uint64("tx", seen.tx))
		}
		return &HostError{Addr: h.addr, Err: ErrSplitBrain, Failure: &wire.Failure{Fate: wire.Refused, Code: codes.FailedPrecondition,
			Message: fmt.Sprintf("split brain: the server says that it is a primary, but %s; make it a replica of %[2]s, or take it out of the hosts",
				why, seen.primary.addr)}}
	case !holds:
		p.cfg.Log.Error("immudb primary does not have transactions that were seen, they are lost or on another server",
			slog.String("host", h.addr), slog.Uint64("ends_with_tx", head.TxID), slog.Uint64("seen_tx", seen.tx), slog.String("seen_on", seen.primary.addr))
		p.lineage = lineage{}
	}
	h.written, h.split = true, false
	p.lineage.primary = h
	p.sees(head)
	return nil
}

// holds reports whether the history of the session's server, which ends with head,
// has the transaction that was seen.
func (s *Session) holds(ctx context.Context, head proof.State, seen lineage) (bool, error) {
	if head.TxID < seen.tx {
		return false, nil
	}
	want, err := seen.alh()
	if err != nil {
		return false, s.host.failed(wire.Malformed(err.Error()))
	}
	if head.TxID == seen.tx {
		return head.Alh == want, nil
	}
	var msg wire.Raw
	if f := s.Call(ctx, wire.MethodVerifiableTx, wire.VerifiableTxRequest(seen.tx, seen.tx, wire.NoEntries), &msg); f != nil {
		return false, s.host.failed(f)
	}
	v, err := wire.DecodeVerifiableTx(msg)
	if err == nil && (v.Dual == nil || v.Dual.Target == nil) {
		err = errors.New("no header")
	}
	if err != nil {
		return false, s.host.failed(wire.Malformed(err.Error()))
	}
	alh, err := v.Dual.Target.Alh()
	return err == nil && alh == want, nil
}
