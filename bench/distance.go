package main

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// distance forwards TCP connections to a server as if the server were far away: what it receives it passes on after a
// delay, both ways. It does not limit how much is under way.
type distance struct {
	listener net.Listener
	server   string
	delay    time.Duration
	running  sync.WaitGroup
	stop     context.CancelFunc
}

// startDistance listens on a port of its own.
func startDistance(server string, delay time.Duration) (*distance, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	d := &distance{listener: l, server: server, delay: delay, stop: stop}
	d.running.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return // closed
			}
			d.running.Go(func() { d.forward(ctx, client) })
		}
	})
	return d, nil
}

func (d *distance) addr() string { return d.listener.Addr().String() }

// close ends the connections too.
func (d *distance) close() error {
	err := d.listener.Close()
	d.stop()
	d.running.Wait()
	return err
}

func (d *distance) forward(ctx context.Context, client net.Conn) {
	server, err := net.Dial("tcp", d.server)
	if err != nil {
		_ = client.Close()
		return
	}
	end := context.AfterFunc(ctx, func() { _, _ = client.Close(), server.Close() })
	defer end()
	var both sync.WaitGroup
	both.Go(func() { d.pass(client, server) })
	both.Go(func() { d.pass(server, client) })
	both.Wait()
}

// piece is what was received at once.
type piece struct {
	data []byte
	due  time.Time
}

// pass forwards one direction and closes both connections at its end.
func (d *distance) pass(from, to net.Conn) {
	pieces := make(chan piece, 1024)
	var writing sync.WaitGroup
	writing.Go(func() {
		failed := false
		for p := range pieces {
			time.Sleep(time.Until(p.due))
			if !failed {
				_, err := to.Write(p.data)
				failed = err != nil
			}
		}
	})
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			pieces <- piece{append([]byte(nil), buf[:n]...), time.Now().Add(d.delay)}
		}
		if err != nil {
			break
		}
	}
	close(pieces)
	writing.Wait()
	_, _ = from.Close(), to.Close()
}

// far returns the server as it is reached over a distance. close ends that.
func (s server) far(delay time.Duration) (at server, close func() error, err error) {
	db, err := startDistance(s.Addr, delay)
	if err != nil {
		return at, nil, err
	}
	pg, err := startDistance(s.PostgreSQLAddr, delay)
	if err != nil {
		return at, nil, errors.Join(err, db.close())
	}
	at = s
	at.Addr, at.PostgreSQLAddr = db.addr(), pg.addr()
	return at, func() error { return errors.Join(db.close(), pg.close()) }, nil
}

// turnCounter counts the round trips of a connection: how often the client writes after it has read.
type turnCounter struct {
	net.Conn
	add func()

	mu      sync.Mutex
	reading bool // the last thing that happened was a Read with data
}

func (c *turnCounter) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.mu.Lock()
		c.reading = true
		c.mu.Unlock()
	}
	return n, err
}

func (c *turnCounter) Write(b []byte) (int, error) {
	c.mu.Lock()
	if c.reading {
		c.reading = false
		c.add()
	}
	c.mu.Unlock()
	return c.Conn.Write(b)
}

var _ io.ReadWriter = (*turnCounter)(nil)
