package immudbtest

import (
	"net"
	"sync"
)

// listener keeps its connections. gRPC's Stop waits, two minutes by default, for clients that have connected and sent
// nothing yet; it does not wait if their connections are closed first.
type listener struct {
	net.Listener

	mu     sync.Mutex
	conns  map[net.Conn]struct{}
	closed bool
}

func newListener(l net.Listener) *listener {
	return &listener{Listener: l, conns: make(map[net.Conn]struct{})}
}

func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		_ = c.Close()
		return nil, net.ErrClosed
	}
	l.conns[c] = struct{}{}
	return &conn{Conn: c, forget: func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.conns, c)
	}}, nil
}

// shut closes the listener and every connection that came from it.
func (l *listener) shut() {
	_ = l.Close() // gRPC closes it as well
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for c := range l.conns {
		_ = c.Close() // the client may have done so
	}
	clear(l.conns)
}

type conn struct {
	net.Conn
	forget func()
}

func (c *conn) Close() error {
	c.forget()
	return c.Conn.Close()
}
