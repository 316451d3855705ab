package testserver

import (
	"fmt"
	"math/rand/v2"
	"net"
	"path/filepath"
	"strconv"
	"time"
)

// startVersion runs a released server, which says nothing when it is ready: it is when it answers its port.
func (s *Server) startVersion() error {
	addr := s.info.Addr
	if addr == "" {
		var err error
		if addr, err = freeAddr(); err != nil {
			return err
		}
	}
	dir := filepath.Join(s.temp, "data")
	args := []string{
		"--dir=" + dir,
		"--address=127.0.0.1",
		"--port=" + portOf(addr),
		"--web-server=false",
		"--metrics-server=false",
		"--pgsql-server=false",
	}
	c, err := startChild(s.bin, args, s.temp, true)
	if err != nil {
		return err
	}
	for deadline := time.Now().Add(startPatience); ; {
		select {
		case <-c.done:
			return fmt.Errorf("the server ended: %w%s", c.err, c.said())
		case <-time.After(20 * time.Millisecond):
		}
		conn, err := net.DialTimeout("tcp", addr, time.Second)
		if err == nil {
			_ = conn.Close() // it only knocked
			break
		}
		if time.Now().After(deadline) {
			c.kill()
			return fmt.Errorf("the server did not start: %w%s", err, c.said())
		}
	}
	s.child = c
	go c.reportDeath()
	s.info = Info{
		DSN:  "immudb://immudb:immudb@" + addr + "/defaultdb?sslmode=disable",
		Addr: addr,
		Dir:  dir,
		PID:  c.cmd.Process.Pid,
	}
	return nil
}

// freeAddr returns an address that was free a moment ago. Its port lies below those that systems give to outgoing
// connections, so that it is still ours after a Stop.
func freeAddr() (string, error) {
	var err error
	for range 200 {
		var l net.Listener
		if l, err = net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(10000+rand.IntN(22000)))); err == nil {
			return l.Addr().String(), l.Close()
		}
	}
	return "", fmt.Errorf("no free port: %w", err)
}
