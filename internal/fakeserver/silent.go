package fakeserver

import (
	"net"
	"sync"
	"sync/atomic"
)

// silentConn is a client's connection that can become silent: written bytes are dropped,
// and no bytes arrive.
type silentConn struct {
	net.Conn
	silent atomic.Bool
	once   sync.Once
	closed chan struct{}
}

func (c *silentConn) Write(b []byte) (int, error) {
	if c.silent.Load() {
		return len(b), nil
	}
	return c.Conn.Write(b)
}

func (c *silentConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.silent.Load() {
		<-c.closed
		return 0, net.ErrClosed
	}
	return n, err
}

func (c *silentConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// client is the client's end of a connection to the server.
func (s *Server) client(conn net.Conn) net.Conn {
	c := &silentConn{Conn: conn, closed: make(chan struct{})}
	s.mu.Lock()
	defer s.mu.Unlock()
	c.silent.Store(s.mute)
	s.clients = append(s.clients, c)
	return c
}

// Silence makes the existing connections silent for ever, as when a firewall drops their
// flows. New ones work, unless Mute is set.
func (s *Server) Silence() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.clients {
		c.silent.Store(true)
	}
	s.clients = nil
}

// Mute sets whether new connections are silent from the beginning.
func (s *Server) Mute(mute bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mute = mute
}
