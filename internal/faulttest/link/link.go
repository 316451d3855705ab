// Package link is the network between a client and a server, in the hands of a test: a TCP proxy that can fail in
// the ways networks do.
//
// A flow is one connection of the client with the connection to the server that it is passed on to. A flow that has
// lost bytes never recovers: what follows them would be nonsense to the receiver.
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

// Rule says what becomes of the bytes of one direction. The zero value passes them on.
type Rule struct {
	// Silent swallows the bytes, and the end of the connection: the receiver is told nothing, ever.
	Silent bool
	// Hold keeps the bytes until another rule takes its place, as TCP does that sends again until it gets through.
	Hold bool
	// Delay is added to the way of each byte, Jitter is the most that is added beside it, at random.
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
	toServer Rule // of flows to come
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

// Apply sets the rules of the flows that there are and of those to come.
func (l *Link) Apply(toServer, toClient Rule) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.toServer, l.toClient = toServer, toClient
	l.existingLocked(toServer, toClient)
}

// ApplyExisting sets the rules of the flows that there are; new ones are as they were.
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

// Heal takes all rules back and accepts connections. A flow that was silent stays silent.
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

// Refuse has the operating system refuse new connections, until Accept. Flows stay.
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

// Move resets all flows, and takes connections at another address from now on.
func (l *Link) Move() error {
	if err := l.Refuse(); err != nil {
		return err
	}
	l.Cut()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.listenLocked("")
}

// Close ends all flows and returns when nothing of the link is left.
func (l *Link) Close() error {
	err := l.Refuse()
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.Cut()
	l.wg.Wait()
	return err
}

// Ports are taken below those that systems give to outgoing connections, so that an address that refuses for a
// while is not lost to one of them.
const firstPort, ports = 10000, 22000

// bindPatience is how long an address that was ours before is waited for.
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
	if err != nil { // nobody is there, which the client learns as it would from a balancer of load
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
