package immudb

import (
	"sync"
	"time"
)

// endings are the answers of which all rows received have been read, as by
// sql.Row.Scan, when they are closed. Mostly those were all there are, and the end
// is on its way: to wait for it is less work for both sides than to cancel what is
// done (6 % of a server's CPU for a row by its key), and a proxy that counts
// cancelled calls, as they do since CVE-2023-44487, has none to count.
//
// One timer watches over all of them. One for each would wake a thread for each
// query: 6 µs of 170. The zero value is ready to use.
type endings struct {
	mu       sync.Mutex
	since    map[*resultSet]time.Time
	watching bool
}

// endPatience is more than a server that is done needs to say so. Nobody waits
// for twice as long.
const endPatience = 50 * time.Millisecond

// await receives the end of s, or another message, or ends the query if neither
// comes.
func (e *endings) await(s *resultSet) {
	e.mu.Lock()
	if e.since == nil {
		e.since = make(map[*resultSet]time.Time)
	}
	e.since[s] = time.Now()
	e.watch()
	e.mu.Unlock()
	_ = s.receive(&s.batch) // an error now is about rows that nobody wants
	e.mu.Lock()
	delete(e.since, s)
	e.mu.Unlock()
}

// watch sees to it that the answers are looked at in a while. mu is held.
func (e *endings) watch() {
	if !e.watching {
		e.watching = true
		time.AfterFunc(endPatience, e.look)
	}
}

func (e *endings) look() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for s, since := range e.since {
		if time.Since(since) >= endPatience {
			s.ctx.Cancel()
		}
	}
	e.watching = false
	if len(e.since) > 0 {
		e.watch()
	}
}
