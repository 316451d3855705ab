package immudbtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
)

// feed is the way from a replica to its primary: a TCP proxy that can hold bytes back.
type feed struct {
	lis    net.Listener
	target string
	done   chan struct{} // closed with the feed
	wg     sync.WaitGroup

	mu     sync.RWMutex  // read-held while bytes are passed on
	resume chan struct{} // closed when a pause ends; nil: there is none
}

func newFeed(p primary) (*feed, error) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("immudbtest: %w", err)
	}
	f := &feed{lis: lis, target: net.JoinHostPort(p.host, strconv.Itoa(p.port)), done: make(chan struct{})}
	f.wg.Go(f.serve)
	return f, nil
}

func (f *feed) port() int { return f.lis.Addr().(*net.TCPAddr).Port }

func (f *feed) serve() {
	for {
		replica, err := f.lis.Accept()
		if err != nil {
			return
		}
		f.wg.Go(func() { f.connect(replica) })
	}
}

// connect passes bytes on in both directions until one side closes, or the feed ends.
func (f *feed) connect(replica net.Conn) {
	defer replica.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-f.done:
			cancel()
		case <-ctx.Done():
		}
	}()
	primary, err := (&net.Dialer{}).DialContext(ctx, "tcp", f.target)
	if err != nil {
		return // the replica tries again
	}
	defer primary.Close()
	ended := make(chan struct{}, 2)
	for _, way := range [][2]net.Conn{{replica, primary}, {primary, replica}} {
		f.wg.Go(func() {
			f.pump(way[0], way[1])
			ended <- struct{}{}
		})
	}
	select {
	case <-ended:
	case <-f.done:
	}
}

func (f *feed) pump(from, to net.Conn) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 && !f.pass(to, buf[:n]) || err != nil {
			return
		}
	}
}

// pass writes when there is no pause, and reports whether it has.
func (f *feed) pass(to net.Conn, b []byte) bool {
	for {
		f.mu.RLock()
		resume := f.resume
		if resume == nil {
			_, err := to.Write(b)
			f.mu.RUnlock()
			return err == nil
		}
		f.mu.RUnlock()
		select {
		case <-resume:
		case <-f.done:
			return false
		}
	}
}

// pause returns when no byte is passed on any more.
func (f *feed) pause() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.resume == nil {
		f.resume = make(chan struct{})
	}
}

func (f *feed) unpause() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.resume != nil {
		close(f.resume)
		f.resume = nil
	}
}

func (f *feed) close() error {
	close(f.done)
	err := f.lis.Close()
	f.wg.Wait()
	return err
}

// PauseReplication stops what a replica gets from its primary until ResumeReplication, so that the replica lags: it answers
// reads, and lacks what is committed on the primary from now on. A commit shortly before may arrive still, or be missing. With
// [WithSyncReplication], commits on the primary wait meanwhile. Restarting either server does not end the pause; Promote and
// Follow do. A server that is not a replica has nothing to pause: that is an error.
func (s *Server) PauseReplication() error { return s.onFeed((*feed).pause) }

// ResumeReplication ends the pause that PauseReplication has begun. The replica has all of the primary's commits soon after
// a pause of some seconds; after a longer one it may ask for them up to half a minute later.
func (s *Server) ResumeReplication() error { return s.onFeed((*feed).unpause) }

func (s *Server) onFeed(do func(*feed)) error {
	s.mu.Lock()
	f := s.feed
	s.mu.Unlock()
	if f == nil {
		return errors.New("immudbtest: the server is not a replica: WithReplicaOf and Follow make it one")
	}
	do(f)
	return nil
}

// follow makes the feed from the primary of the settings, or none, instead of the one there is. mu is held.
func (s *Server) follow() error {
	var closed error
	if s.feed != nil {
		closed = s.feed.close()
		s.feed = nil
	}
	if s.cfg.replicaOf == "" || s.closed {
		return closed
	}
	f, err := newFeed(s.cfg.primary)
	s.feed = f
	return errors.Join(closed, err)
}
