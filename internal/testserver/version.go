package testserver

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
)

// startVersion runs a released server. It binds its port itself, some time after that was found free. If another process
// takes the port meanwhile, startVersion tries another one, or waits for the one that the server had before.
func (s *Server) startVersion() (err error) {
	addr := s.info.Addr
	for deadline := time.Now().Add(bindPatience); ; time.Sleep(bindPause) {
		if s.info.Addr == "" {
			if addr, err = freeAddr(); err != nil {
				return err
			}
		}
		err = s.startVersionOn(addr)
		if err == nil || !strings.Contains(err.Error(), "address already in use") || time.Now().After(deadline) {
			return err
		}
	}
}

const (
	bindPatience = 5 * time.Second        // how long to start a server again whose port is taken
	bindPause    = 100 * time.Millisecond // between two starts
)

// startVersionOn runs the server on addr. Such a server does not report when it is ready, so startVersionOn waits until it
// answers gRPC. An accepted connection is not enough: the port is open before the server serves, and a server that is
// stopped in between fails.
func (s *Server) startVersionOn(addr string) error {
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
	if err := c.serves(addr, startPatience); err != nil {
		c.kill()
		return fmt.Errorf("the server did not start: %w%s", err, c.said())
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

// serves waits until the process answers gRPC on addr.
func (c *child) serves(addr string, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := grpc.NewClient("passthrough:///"+addr,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 1, MaxDelay: 20 * time.Millisecond},
			MinConnectTimeout: time.Second,
		}))
	if err != nil {
		return err
	}
	defer conn.Close()
	go func() {
		select {
		case <-c.done:
			cancel()
		case <-ctx.Done():
		}
	}()
	for {
		conn.Connect()
		state := conn.GetState()
		if state == connectivity.Ready {
			return nil
		}
		if !conn.WaitForStateChange(ctx, state) {
			if err := c.died(); err != nil {
				return err
			}
			return fmt.Errorf("no answer at %s within %v", addr, patience)
		}
	}
}

// freeAddr returns an address that was free a moment ago. Its port is below those that systems use for outgoing
// connections, so that it is still free after a Stop.
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
