package liartest

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/testserver"
)

// seedVariable names one session to play, with its calls in the log.
const seedVariable = "IMMUDB_LIAR_SEED"

// perGround is how many sessions share a database. Old answers of those before are lies
// in the ones that follow.
const perGround = 20

// perTables is how many sessions, one after another, share their tables.
const perTables = 10

// perRestarts is how many grounds there are for one whose server is restarted.
const perRestarts = 5

// groundAt makes the ground of the sessions that have the same number by perGround.
func groundAt(t *testing.T, i uint64) *ground {
	if i%perRestarts == 1 {
		return newGround(t, testserver.Start(t, "-synced=false"))
	}
	return newGround(t, nil)
}

// play plays the session of a seed.
func (g *ground) play(seed uint64, skip bool) *session {
	rnd := rand.New(rand.NewPCG(seed, 14))
	s := &session{ground: g, rnd: rnd, skip: skip}
	s.liar = &liar{rnd: rand.New(rand.NewPCG(seed, 41)), sessions: &g.sessions, answered: g.answered, asked: g.asked}
	ctx := context.Background()
	if seed%perTables == 0 || g.model == nil || g.lost {
		s.freshTables(fmt.Sprintf("t%d", seed))
	}
	s.liar.words = [][2]string{{"ann", "bob"}, {"eve", "dan"}, {"owner", "payee"}, {"debit", "money"}, {"debit", "gives"},
		{s.tables[0].name, s.tables[1].name}, {s.name + "ay", s.name + "by"}, {s.name + "ax", s.name + "ay"}}

	pin := ""
	if rnd.IntN(4) == 0 {
		st, err := immudb.NewVerifier(g.direct).Tx(ctx, g.head)
		if err != nil {
			g.t.Fatal(err)
		}
		pin = st.Pin()
	}
	s.addClients(pin)
	if rnd.IntN(4) != 0 { // trust is there before the lie
		for _, c := range s.clients {
			s.run(c, steps["row"], "row")
		}
	}
	if rnd.IntN(5) != 0 {
		l := s.liar
		l.mu.Lock()
		l.lie = &lies[rnd.IntN(len(lies))]
		s.lie = l.lie.name
		l.from, l.length = l.calls+1+rnd.IntN(40), []int{1, 1, 2, 10}[rnd.IntN(4)]
		l.mu.Unlock()
	}
	var deck []string
	for _, name := range slices.Sorted(maps.Keys(steps)) {
		for range steps[name].odds {
			deck = append(deck, name)
		}
	}
	for range 8 + rnd.IntN(8) {
		name := deck[rnd.IntN(len(deck))]
		if s.lost {
			break
		}
		c := s.clients[rnd.IntN(len(s.clients))]
		if c.program != nil && !steps[name].apart {
			name = "row"
		}
		s.run(c, steps[name], name)
	}
	s.end()
	return s
}

// freshTables makes two tables alike, with a row each. Making them costs more than the
// rest of a session, so that some sessions share them.
func (g *ground) freshTables(name string) {
	g.model, g.name, g.lost = &model{}, name, false
	for _, name := range []string{name + "ax", name + "bx"} {
		t := &table{name: name, columns: []string{"id", "owner", "payee", "debit", "money"}, rows: make(map[int64][]revision)}
		var info immudb.CommitInfo
		exec := func(query string, args ...any) {
			if _, err := g.direct.ExecContext(immudb.WithCommitInfo(context.Background(), &info), query, args...); err != nil {
				g.t.Fatal(err)
			}
			g.head = info.TxID
		}
		exec("CREATE TABLE " + name + " (id INTEGER, owner VARCHAR[20], payee VARCHAR[20], debit INTEGER, money INTEGER, PRIMARY KEY id)")
		t.rename(g.head)
		g.next++
		row := []any{g.next, "ann", "bob", int64(20), int64(40)}
		query, args := put("INSERT", t, row)
		exec(query, args...)
		t.write(g.next, g.head, row)
		g.tables = append(g.tables, t)
	}
}

func (s *session) addClients(pin string) {
	s.proxy.Answer(s.liar.handle)
	s.proxy.Tamper(nil, s.liar.note)
	shared := s.rnd.IntN(3) == 0
	for i := range 1 + s.rnd.IntN(2) {
		c := &client{commits: s.rnd.IntN(3) != 0, strict: s.rnd.IntN(2) == 0}
		c.writes = c.commits && s.rnd.IntN(2) == 0
		if i > 0 && shared {
			c.memory = s.clients[0].memory
		} else {
			c.memory = &memory{pin: pin, accepted: make(map[*table]int)}
			if s.rnd.IntN(3) == 0 {
				c.dir = s.t.TempDir()
			} else {
				c.memory.store = new(immudb.MemoryStateStore)
			}
		}
		c.store = c.memory.store
		if c.dir != "" {
			s.shareFiles(c)
		}
		if err := s.open(c); err != nil {
			s.t.Fatal(err)
		}
		s.clients = append(s.clients, c)
	}
}

// shareFiles gives the client a store of its own for the files of its memory, as each
// program has. The second client of a session may be a process of its own.
func (s *session) shareFiles(c *client) {
	files, err := immudb.NewFileStateStore(c.dir)
	if err != nil {
		s.t.Fatal(err)
	}
	c.store = files
	if len(s.clients) == 0 || s.skip || s.rnd.IntN(3) == 0 {
		return
	}
	if s.ground.program == nil {
		s.ground.program = startProgram(s.t)
	}
	c.program = s.ground.program
}

// end closes the clients. One that believes a false state must find out at the next
// proof.
func (s *session) end() {
	s.liar.mu.Lock()
	s.liar.lie = nil
	s.liar.mu.Unlock()
	for _, c := range s.clients {
		if c.deceived && !s.isTrue(c.state()) {
			if _, err := s.nextProof(c); err == nil {
				s.faultf("a false state, tx %d, goes on unnoticed", c.state().TxID)
			}
		}
		if err := c.close(); err != nil {
			s.faultf("close: %v", err)
		}
	}
	s.sessions.freeAll()
	s.proxy.Answer(nil)
	s.proxy.Tamper(nil, nil)
	if !s.lost {
		s.sameAsServer()
	}
}

// nextProof moves the trust to the newest transaction, in the process of the test.
func (s *session) nextProof(c *client) (immudb.State, error) {
	here := *c
	here.program = nil
	if c.program != nil {
		if err := s.open(&here); err != nil {
			return immudb.State{}, err
		}
		defer here.close()
	}
	return s.verifier(&here).Tx(context.Background(), s.head)
}

// report is the session in words.
func (s *session) report(seed uint64) string {
	kind := "no lie"
	if s.lie != "" {
		kind = fmt.Sprintf("%s, from call %d", s.lie, s.liar.from)
	}
	return fmt.Sprintf("session %d (%s=%d), %s:\n\t%s\n%s\n\tcalls: %s", seed, seedVariable, seed, kind,
		strings.Join(s.faults, "\n\t"), strings.Join(s.log, "\n"), strings.Join(s.liar.trace, " "))
}

// tally counts what has happened in sessions.
type tally struct {
	mu                                        sync.Mutex
	sessions, lied, refused, accepted, faults int
	lost                                      int            // sessions that ended early
	restarts                                  int            // of the server
	apart                                     int            // sessions with a client in a process of its own
	kinds                                     map[string]int // sessions in which it was told
}

func (n *tally) add(s *session) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.sessions++
	if s.liar.told > 0 {
		n.lied++
		n.kinds[s.lie]++
	}
	if s.lost {
		n.lost++
	}
	n.restarts += s.restarts
	if slices.ContainsFunc(s.clients, func(c *client) bool { return c.program != nil }) {
		n.apart++
	}
	n.refused += s.refused
	n.accepted += s.accepted
	n.faults += len(s.faults)
}

// failed tells that there are faults enough.
func (n *tally) failed() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.faults > 40
}

func (n *tally) text() string {
	var kinds []string
	for _, kind := range slices.Sorted(maps.Keys(n.kinds)) {
		kinds = append(kinds, fmt.Sprintf("%s: %d", kind, n.kinds[kind]))
	}
	return fmt.Sprintf("%d sessions, %d of them in two processes, %d restarts of the server, lies told in %d; steps with a lie: %d refused, %d not (true all the same, or not promised); ended early: %d; faults: %d\n%s",
		n.sessions, n.apart, n.restarts, n.lied, n.refused, n.accepted, n.lost, n.faults, strings.Join(kinds, "\n"))
}

func TestNoLieIsAcceptedAndNoTruthRefused(t *testing.T) {
	if text := os.Getenv(seedVariable); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		g := groundAt(t, seed/perGround) // old answers are those of the sessions before it
		var s *session
		for at := seed - seed%perGround; at <= seed; at++ {
			s = g.play(at, false)
		}
		t.Log(s.report(seed))
		if len(s.faults) > 0 {
			t.Fail()
		}
		return
	}
	sum := tally{kinds: make(map[string]int)}
	grounds := (testserver.Rounds(t, 40, 100) + perGround - 1) / perGround
	t.Run("sessions", func(t *testing.T) {
		for i := range grounds {
			t.Run(fmt.Sprint("from ", i*perGround), func(t *testing.T) {
				t.Parallel()
				g := groundAt(t, uint64(i))
				for at := range perGround {
					if sum.failed() {
						return // more reports help nobody
					}
					seed := uint64(i*perGround + at)
					s := g.play(seed, false)
					sum.add(s)
					if len(s.faults) > 0 {
						t.Error(s.report(seed))
					}
				}
			})
		}
	})
	t.Log(sum.text())
}

// Where nothing is proven the fuzzer must find false answers: it can fail.
func TestLiesAreFoundWhereNothingIsProven(t *testing.T) {
	const enough, most = 3, 200
	g := newGround(t, nil)
	found, sessions := 0, 0
	for found < enough && sessions < most {
		found += len(g.play(uint64(sessions), true).faults)
		sessions++
	}
	if found < enough {
		t.Errorf("%d false answers found in %d sessions without proofs", found, sessions)
	}
	t.Logf("%d false answers found in %d sessions", found, sessions)
}
