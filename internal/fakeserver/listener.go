package fakeserver

import (
	"bytes"
	"encoding/binary"
	"net"
	"sync"

	"google.golang.org/grpc/test/bufconn"
)

// listener keeps its connections, so that it can cut them.
type listener struct {
	*bufconn.Listener

	mu    sync.Mutex
	conns map[net.Conn]struct{}
}

func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	tracked := &conn{Conn: c, listener: l}
	l.mu.Lock()
	l.conns[tracked] = struct{}{}
	l.mu.Unlock()
	return tracked, nil
}

func (l *listener) cut() {
	l.mu.Lock()
	conns := make([]net.Conn, 0, len(l.conns))
	for c := range l.conns {
		conns = append(conns, c)
	}
	l.mu.Unlock()
	for _, c := range conns {
		_ = c.Close() // a pipe in memory
	}
}

// conn is the server's end of a connection.
type conn struct {
	net.Conn
	listener *listener
}

func (c *conn) Close() error {
	c.listener.mu.Lock()
	delete(c.listener.conns, c)
	c.listener.mu.Unlock()
	return c.Conn.Close()
}

// lie begins a message whose header must announce a wrong length: the four bytes after it
// are that length. gRPC cannot send a wrong length, so conn replaces it when it writes.
var lie = []byte("\x00this message is shorter than it says\x00")

// header is the size of gRPC's header of a message: a flag and a length.
const header = 5

func (c *conn) Write(p []byte) (int, error) {
	if at := bytes.Index(p, lie); at >= header && at+len(lie)+4 <= len(p) {
		p = bytes.Clone(p)
		copy(p[at-4:at], p[at+len(lie):])
	}
	return c.Conn.Write(p)
}

// lyingMessage is a message whose header announces the given length.
func lyingMessage(length uint32) []byte {
	return binary.BigEndian.AppendUint32(bytes.Clone(lie), length)
}
