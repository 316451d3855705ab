package fakeserver

import (
	"bytes"
	"encoding/binary"
	"net"
	"sync"

	"google.golang.org/grpc/test/bufconn"
)

// listener knows its connections, so that it can cut them.
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

// conn is a connection as the server sees it.
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

// lie begins a message whose announced length is to be replaced: the four bytes
// after it are the length to announce. gRPC offers no way to lie about it, so
// that the lie is put in on the way out.
var lie = []byte("\x00this message is shorter than it says\x00")

// header is the length of what gRPC puts before a message: a flag and a length.
const header = 5

func (c *conn) Write(p []byte) (int, error) {
	if at := bytes.Index(p, lie); at >= header && at+len(lie)+4 <= len(p) {
		p = bytes.Clone(p)
		copy(p[at-4:at], p[at+len(lie):])
	}
	return c.Conn.Write(p)
}

// lyingMessage is a message that says it is length bytes long.
func lyingMessage(length uint32) []byte {
	return binary.BigEndian.AppendUint32(bytes.Clone(lie), length)
}
