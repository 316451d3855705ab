package immudbtest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"syscall"
	"time"
)

// Ports are taken below the ranges from which operating systems number outgoing connections (Linux from 32768,
// others from 49152). So no client's connection can take a stopped server's port before Restart, and a client that keeps
// dialling it cannot connect to itself.
const (
	firstPort = 10000
	lastPort  = 31999
)

const (
	// bindPatience is how long to wait for a port that the caller chose or that the server had before.
	bindPatience = 5 * time.Second
	// bindPause is the time between two tries.
	bindPause = 20 * time.Millisecond
)

// listen binds the port of 127.0.0.1, or a free one when port is 0.
func listen(port int) (net.Listener, error) {
	if port == 0 {
		return listenFree()
	}
	for deadline := time.Now().Add(bindPatience); ; time.Sleep(bindPause) {
		l, err := net.Listen("tcp4", loopback(port))
		if err == nil {
			return l, nil
		}
		if !errors.Is(err, syscall.EADDRINUSE) || time.Now().After(deadline) {
			return nil, err
		}
	}
}

func listenFree() (net.Listener, error) {
	var err error
	for range 200 {
		var l net.Listener
		if l, err = net.Listen("tcp4", loopback(firstPort+rand.IntN(lastPort-firstPort+1))); err == nil {
			return l, nil
		}
	}
	return nil, fmt.Errorf("no free port in %d–%d: %w", firstPort, lastPort, err)
}

// freePort returns a port that was free a moment ago, for code that must bind it itself.
func freePort() (int, error) {
	l, err := listenFree()
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

func parsePort(text string) (int, error) {
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || port == 0 {
		return 0, fmt.Errorf("port %q is not a number from 1 to 65535", text)
	}
	return int(port), nil
}
