// Package link is a TCP proxy for tests that can fail as networks do.
//
// A flow is one connection of the client together with the proxy's connection to the server. A flow that has lost bytes
// never recovers, because the receiver could not decode the bytes after them.
package link

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// Rule says what the link does with the bytes of one direction. The zero value passes them on.
type Rule struct {
	// Silent drops the bytes, and the end of the connection: the receiver never gets anything.
	Silent bool
	// Hold keeps the bytes until another rule is set, like TCP, which retransmits bytes until they arrive.
	Hold bool
	// Delay delays each byte. A random time up to Jitter is added.
	Delay, Jitter time.Duration
	// Rate is the most bytes per second of a flow. 0: no limit.
	Rate int
	// CutWithin breaks the flow after a random number of further bytes, at most this many. 0: never.
	CutWithin int
}

// Link is the proxy. Its methods may be called from several goroutines.
type Link struct {
	target string

	mu       sync.Mutex
	addr     string
	listener net.Listener // nil while connections are refused
	flows    map[*flow]struct{}
	toServer Rule // of later flows
	toClient Rule
	dialled  int
	closed   bool

	wg sync.WaitGroup
}

// New starts a proxy to target, a host:port.
func New(target string) (*Link, error) {
	l := &Link{target: target, flows: map[*flow]struct{}{}}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.listenLocked(""); err != nil {
		return nil, err
	}
	return l, nil
}

// Addr returns the host:port to connect to. It changes with Move only.
func (l *Link) Addr() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.addr
}

// Dialled returns how many connections were accepted so far.
func (l *Link) Dialled() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dialled
}

// Apply sets the rules of existing and later flows.
func (l *Link) Apply(toServer, toClient Rule) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.toServer, l.toClient = toServer, toClient
	l.existingLocked(toServer, toClient)
}

// ApplyExisting sets the rules of existing flows. Later flows keep the rules that were set before.
func (l *Link) ApplyExisting(toServer, toClient Rule) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.existingLocked(toServer, toClient)
}

func (l *Link) existingLocked(toServer, toClient Rule) {
	for f := range l.flows {
		f.toServer.apply(toServer)
		f.toClient.apply(toClient)
	}
}

// Heal removes all rules and accepts connections. A flow that was silent stays silent.
func (l *Link) Heal() error {
	l.Apply(Rule{}, Rule{})
	return l.Accept()
}

// Cut resets all flows.
func (l *Link) Cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for f := range l.flows {
		f.reset()
	}
}

// Refuse makes the operating system refuse new connections, until Accept. Flows stay.
func (l *Link) Refuse() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.listener == nil {
		return nil
	}
	err := l.listener.Close()
	l.listener = nil
	return err
}

// Accept ends Refuse.
func (l *Link) Accept() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.listener != nil || l.closed {
		return nil
	}
	return l.listenLocked(l.addr)
}

// Move resets all flows, and accepts connections at another address from now on.
func (l *Link) Move() error {
	if err := l.Refuse(); err != nil {
		return err
	}
	l.Cut()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.listenLocked("")
}

// Close ends all flows and returns when all goroutines of the link have ended.
func (l *Link) Close() error {
	err := l.Refuse()
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.Cut()
	l.wg.Wait()
	return err
}

// The ports are below those that systems use for outgoing connections, so that no outgoing connection can take the port
// while the link refuses connections.
const firstPort, ports = 10000, 22000

// bindPatience is how long to wait for an address that the link had before.
const bindPatience = 5 * time.Second

func (l *Link) listenLocked(addr string) error {
	listener, err := listen(addr)
	if err != nil {
		return fmt.Errorf("link: %w", err)
	}
	l.listener, l.addr = listener, listener.Addr().String()
	l.wg.Go(func() { l.serve(listener) })
	return nil
}

func listen(addr string) (listener net.Listener, err error) {
	if addr == "" {
		for range 200 {
			port := strconv.Itoa(firstPort + rand.IntN(ports))
			if listener, err = net.Listen("tcp4", net.JoinHostPort("127.0.0.1", port)); err == nil {
				return listener, nil
			}
		}
		return nil, err
	}
	for deadline := time.Now().Add(bindPatience); ; time.Sleep(10 * time.Millisecond) {
		listener, err = net.Listen("tcp4", addr)
		if err == nil || !errors.Is(err, syscall.EADDRINUSE) || time.Now().After(deadline) {
			return listener, err
		}
	}
}

func (l *Link) serve(listener net.Listener) {
	for {
		client, err := listener.Accept()
		if err != nil {
			return // closed by Refuse
		}
		l.wg.Go(func() { l.pass(client.(*net.TCPConn)) })
	}
}

// pass carries one flow from its beginning to its end.
func (l *Link) pass(client *net.TCPConn) {
	server, err := net.Dial("tcp4", l.target)
	if err != nil { // the server is down: the client's connection is closed, as by a load balancer
		abort(client)
		return
	}
	f := newFlow(client, server.(*net.TCPConn))
	if !l.add(f) {
		f.reset()
	}
	f.run()
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.flows, f)
}

func (l *Link) add(f *flow) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.dialled++
	l.flows[f] = struct{}{}
	f.toServer.apply(l.toServer)
	f.toClient.apply(l.toClient)
	return true
}
