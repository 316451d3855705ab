package session

import "time"

// A pool that no lease has used for restDelay rests: it closes its sessions and its
// channels, and its goroutines end. The next lease starts it again. So a pool whose
// Close is never called leaves nothing behind: packages that wrap drivers often hide
// the io.Closer of a connector from database/sql.

// addLease counts a lease, and makes a resting pool ready for it.
func (p *Pool) addLease() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		for _, h := range p.hosts {
			if err := h.open(); err != nil {
				return &HostError{Addr: h.addr, Err: err}
			}
		}
	}
	p.leases++
	p.resting = false
	if p.restTimer != nil {
		p.restTimer.Stop()
	}
	return nil
}

// dropLease takes the count of addLease back. mu is held.
func (p *Pool) dropLease() {
	p.leases--
	if p.leases > 0 || p.closed {
		return
	}
	p.unusedSince = time.Now()
	if p.restTimer == nil {
		p.restTimer = time.AfterFunc(restDelay, p.rest)
		return
	}
	p.restTimer.Reset(restDelay)
}

// rest ends the sessions of a pool that no lease uses. The last job closes the
// channels. A session that is being opened meanwhile is closed when it is open.
func (p *Pool) rest() {
	p.mu.Lock()
	if p.closed || p.leases > 0 || time.Since(p.unusedSince) < restDelay {
		p.mu.Unlock()
		return
	}
	p.resting = true
	p.stopKeeping()
	p.endUnused()
	p.mu.Unlock()
	p.closeHostsWhenUnused()
}

// stopKeeping ends the keep-alive loop, if it runs. mu is held.
func (p *Pool) stopKeeping() {
	if p.keeping != nil {
		close(p.keeping)
		p.keeping = nil
	}
}
