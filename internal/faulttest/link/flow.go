package link

import (
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// flow is a client's connection and the link's connection to the server.
type flow struct {
	client, server     *net.TCPConn
	toServer, toClient *half
	broken             chan struct{} // closed by reset
	once               sync.Once
}

func newFlow(client, server *net.TCPConn) *flow {
	f := &flow{client: client, server: server, broken: make(chan struct{})}
	f.toServer = &half{flow: f, from: client, to: server, changed: make(chan struct{})}
	f.toClient = &half{flow: f, from: server, to: client, changed: make(chan struct{})}
	return f
}

// run returns when both directions have ended.
func (f *flow) run() {
	var wg sync.WaitGroup
	wg.Go(f.toServer.run)
	wg.Go(f.toClient.run)
	wg.Wait()
	f.reset()
}

// reset breaks both connections, so that both ends get an error.
func (f *flow) reset() {
	f.once.Do(func() {
		close(f.broken)
		abort(f.client)
		abort(f.server)
	})
}

// abort closes a connection with a TCP reset.
func abort(c *net.TCPConn) {
	_ = c.SetLinger(0) // fails only when the connection is gone
	_ = c.Close()
}

// half is one direction of a flow.
type half struct {
	flow     *flow
	from, to *net.TCPConn

	mu      sync.Mutex
	rule    Rule
	left    int           // bytes until the cut, with CutWithin
	changed chan struct{} // closed when rule is replaced
}

// apply replaces the rule. A half that has been silent keeps its rule, because it has lost bytes.
func (h *half) apply(r Rule) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.rule.Silent {
		return
	}
	h.rule = r
	if r.CutWithin > 0 {
		h.left = rand.IntN(r.CutWithin)
	}
	close(h.changed)
	h.changed = make(chan struct{})
}

func (h *half) current() (Rule, <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.rule, h.changed
}

// piece is the bytes of one read, and the time at which they may be delivered.
type piece struct {
	data []byte
	due  time.Time
}

// queued bounds the pieces that wait in a half: 64 of at most 32 KiB.
const queued, pieceSize = 64, 32 << 10

// run carries the direction until it ends. The end is passed on, unless the half is silent.
func (h *half) run() {
	pieces := make(chan piece, queued)
	go func() {
		defer close(pieces)
		h.read(pieces)
	}()
	for p := range pieces {
		if !h.deliver(p) {
			h.flow.reset()
		}
	}
	// All bytes that were read are delivered, also held ones; then the end is passed on.
	rule, changed := h.current()
	for rule.Hold && h.wait(changed, nil) {
		rule, changed = h.current()
	}
	if rule.Silent {
		<-h.flow.broken
		return
	}
	abort(h.to) // the other half notices, and passes it on unless it is silent
}

// read reads pieces and sets their delivery times. It ends with the connection.
func (h *half) read(pieces chan<- piece) {
	var last time.Time
	for {
		buf := make([]byte, pieceSize)
		n, err := h.from.Read(buf)
		if n > 0 {
			p := piece{data: buf[:n], due: time.Now()}
			if rule, _ := h.current(); rule.Delay > 0 || rule.Jitter > 0 {
				p.due = p.due.Add(rule.Delay + rand.N(rule.Jitter+1))
			}
			if p.due.Before(last) { // bytes do not overtake each other
				p.due = last
			}
			last = p.due
			pieces <- p
		}
		if err != nil {
			return
		}
	}
}

// deliver applies the rule to a piece. It returns false if the flow must be reset or has been reset.
func (h *half) deliver(p piece) bool {
	if d := time.Until(p.due); d > 0 {
		if timer := time.NewTimer(d); !h.wait(nil, timer.C) {
			return false
		}
	}
	rule, changed := h.current()
	for rule.Hold {
		if !h.wait(changed, nil) {
			return false
		}
		rule, changed = h.current()
	}
	if rule.Silent {
		return true
	}
	if rule.CutWithin > 0 && !h.spend(len(p.data)) {
		_, _ = h.to.Write(p.data[:h.rest()]) // the part before the cut
		return false
	}
	if rule.Rate > 0 {
		took := time.Duration(len(p.data)) * time.Second / time.Duration(rule.Rate)
		if timer := time.NewTimer(took); !h.wait(nil, timer.C) {
			return false
		}
	}
	_, _ = h.to.Write(p.data) // when the receiver has gone, the other half's reading ends
	return true
}

// wait returns true when one of the channels is ready, and false when the flow is reset.
func (h *half) wait(changed <-chan struct{}, timer <-chan time.Time) bool {
	select {
	case <-changed:
	case <-timer:
	case <-h.flow.broken:
		return false
	}
	return true
}

// spend subtracts n from the bytes left until the cut. It returns false if there are fewer.
func (h *half) spend(n int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if n > h.left {
		return false
	}
	h.left -= n
	return true
}

func (h *half) rest() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.left
}
