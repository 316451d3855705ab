package session

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"

	"google.golang.org/grpc/codes"

	"github.com/immudb-go/immudb/internal/proof"
	"github.com/immudb-go/immudb/internal/wire"
)

// ErrSplitBrain is the cause of an error about a server that says that it is a
// primary, although the pool has written to another one since it wrote to this one,
// and this one does not have what was written there.
var ErrSplitBrain = errors.New("split brain: two servers were primaries of the database at one time")

// lineage is the newest transaction that the pool has seen on its primary, so that
// a second primary can be told from one that has followed. Nothing is proven here:
// the servers are believed. Pool.mu guards it.
type lineage struct {
	primary *host
	tx      uint64
	hash    proof.Digest // if header is nil
	header  []byte       // of the transaction, as the server sent it
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

// mayWrite checks whether a server that says that it is a primary may be written to.
// A server that holds what the pool has seen may. So may one that lacks part of it
// and was not written to before: a replica that was behind when it was promoted.
// One that was written to before is the old primary.
func (p *Pool) mayWrite(ctx context.Context, s *Session) error {
	p.mu.Lock()
	seen := p.lineage // before the question: commits go on
	p.mu.Unlock()
	var msg wire.Raw
	if f := s.Call(ctx, wire.MethodCurrentState, nil, &msg); f != nil && f.Fate == wire.Refused {
		return nil
	} else if f != nil {
		return s.host.failed(f)
	}
	signed, err := wire.DecodeSignedState(msg)
	if err != nil {
		return s.host.failed(wire.Malformed(err.Error()))
	}
	head := signed.State
	holds := true
	if seen.tx > 0 {
		if holds, err = s.holds(ctx, head, seen); err != nil {
			return err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	h := s.host
	switch {
	case !holds && h != p.lineage.primary && h.written:
		if !h.split {
			h.split = true
			p.cfg.Log.Error("immudb server is a second primary, it is not written to", slog.String("host", h.addr),
				slog.String("primary", seen.primary.addr), slog.Uint64("tx", seen.tx))
		}
		return &HostError{Addr: h.addr, Err: ErrSplitBrain, Failure: &wire.Failure{Fate: wire.Refused, Code: codes.FailedPrecondition,
			Message: fmt.Sprintf("split brain: the server says that it is a primary, but it does not have tx %d, which was seen on the primary %s; "+
				"make it a replica of that one, or take it out of the hosts", seen.tx, seen.primary.addr)}}
	case !holds:
		p.cfg.Log.Error("immudb primary does not have transactions that were seen, they are lost or on another server",
			slog.String("host", h.addr), slog.Uint64("ends_with_tx", head.TxID), slog.Uint64("seen_tx", seen.tx), slog.String("seen_on", seen.primary.addr))
		p.lineage = lineage{}
	}
	h.written, h.split = true, false
	p.lineage.primary = h
	if head.TxID > p.lineage.tx {
		p.lineage.tx, p.lineage.hash, p.lineage.header = head.TxID, head.Alh, nil
	}
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
