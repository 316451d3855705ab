package liartest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/tamperproxy"
	"github.com/immudb-go/immudb/internal/testserver"
)

// ground is a database with a proxy before it, on which sessions are played one after
// another.
type ground struct {
	t               testing.TB
	proxy           *tamperproxy.Proxy
	dsn             string  // through the proxy
	honest          string  // the DSN beside the proxy
	direct          *sql.DB // beside the proxy, by which the model learns what a lie has done
	answered, asked map[string][][]byte
	sessions        sessions
	head            uint64 // the newest transaction
	*model                 // nil before the first session
	name            string // what the names of the tables begin with
	// lost: an altered ALTER has given a table or column a name that the model cannot
	// follow. The session ends, and the next one begins with new tables.
	lost    bool
	next    int64              // the highest key there is
	server  *testserver.Server // a server of its own, which is restarted; or nil: one that all grounds share
	program *program           // nil until a session needs it
}

func newGround(t testing.TB, server *testserver.Server) *ground {
	g := &ground{t: t, answered: make(map[string][][]byte), asked: make(map[string][][]byte), server: server}
	shared := server
	if shared == nil {
		shared = testserver.Shared(t)
	}
	dsn := shared.NewDatabase(t)
	g.honest = dsn
	g.direct = dbtest.OpenDSN(t, dbtest.WithOptions(dsn, "verify=trust-first-use"))
	g.proxy, g.dsn = tamperproxy.Start(t, dsn)
	t.Cleanup(func() { g.sessions.close(g.proxy) })
	return g
}

// newest asks the honest server for its newest transaction.
func (g *ground) newest() uint64 {
	r, err := immudb.Audit(context.Background(), g.direct, immudb.AuditOptions{})
	if err != nil {
		g.t.Fatal(err)
	}
	return r.State.TxID
}

// memory is what a client has stored as trusted, which outlives it.
type memory struct {
	store    immudb.StateStore
	dir      string         // where the store keeps its files, or "": in memory
	pin      string         // trusted_state, or "": trust-first-use
	accepted map[*table]int // the version of the names that were relied on
	deceived bool           // a false first state, header or definition was believed: all may be refused
}

// client is a program with an sql.DB.
type client struct {
	*memory
	store   immudb.StateStore // the memory's, or another one of the same files
	db      *sql.DB
	program *program // a process of its own, which has the sql.DB instead; or nil
	info    immudb.CommitInfo
	commits bool
	writes  bool
	strict  bool
	own     map[*table]map[int64]bool // the rows that were last written by this sql.DB
}

// session is one random session.
type session struct {
	*ground
	rnd     *rand.Rand
	liar    *liar
	clients []*client
	skip    bool // the planted fault: nothing is proven

	sent sentRows // what the step sends to be written, if it is known

	lie      string // which kind of lie was planned, if any
	log      []string
	faults   []string
	accepted int // answers that a lie was told for, and which were true or not promised to be caught
	restarts int // of the server
	refused  int // steps that failed while a lie was told
}

var errSkip = errors.New("not now")

func (s *session) faultf(format string, args ...any) {
	s.faults = append(s.faults, fmt.Sprintf(format, args...))
}

// sentRows are rows that are sent to be written.
type sentRows struct {
	table *table
	rows  [][]any // by column
}

// step does something for a client and says what was asked for: a key of promises.
type step struct {
	asks string
	odds int
	do   func(s *session, c *client) error
	// apart: a program in a process of its own can do it.
	apart bool
}

func (s *session) open(c *client) error {
	cfg, err := immudb.ParseDSN(s.dsn)
	if err != nil {
		return err
	}
	if c.program == nil {
		cfg.StateStore = c.store
	}
	cfg.Verify = immudb.VerifyConfig{TrustFirstUse: c.pin == "", Commits: c.commits && !s.skip, Writes: c.writes && !s.skip, Reads: !s.skip, Strict: c.strict && !s.skip, State: c.pin}
	c.own = make(map[*table]map[int64]bool)
	if c.program != nil {
		cfg.Verify.StateDir = c.dir
		_, err := c.program.do(order{Open: cfg.FormatDSN()})
		return err
	}
	connector, err := immudb.NewConnector(cfg)
	if err != nil {
		return err
	}
	c.db = sql.OpenDB(connector)
	return nil
}

func (c *client) close() error {
	if c.program == nil {
		return c.db.Close()
	}
	_, err := c.program.do(order{Close: true})
	return err
}

func (c *client) exec(ctx context.Context, query string, args ...any) error {
	if c.program == nil {
		_, err := c.db.ExecContext(ctx, query, args...)
		return err
	}
	r, err := c.program.do(order{Exec: query, Args: args})
	c.info.TxID = r.TxID
	return err
}

func (s *session) provenRow(c *client, table string, id int64) (*immudb.ProvenRow, error) {
	if c.program == nil {
		return s.verifier(c).Row(context.Background(), table, id)
	}
	r, err := c.program.do(order{Row: table, Args: []any{id}})
	return &immudb.ProvenRow{Columns: r.Columns, Values: r.Values, TxID: r.TxID}, err
}

func (s *session) acceptSchema(c *client, table string) error {
	if c.program == nil {
		return s.verifier(c).AcceptSchema(context.Background(), table)
	}
	_, err := c.program.do(order{Accept: table})
	return err
}

func (s *session) verifier(c *client) *immudb.Verifier {
	v := immudb.NewVerifier(c.db)
	v.Concurrency = 1 // so that a seed makes the same calls
	return v
}

// state returns what is stored as trusted.
func (c *client) state() immudb.State {
	states, err := c.store.States(context.Background())
	if err != nil || len(states) == 0 {
		return immudb.State{}
	}
	return states[0]
}

// isTrue asks the honest server whether a state is one of its history.
func (s *session) isTrue(st immudb.State) bool {
	if st.TxID == 0 {
		return true
	}
	if st.TxID > s.newest() {
		return false
	}
	is, err := immudb.NewVerifier(s.direct).Tx(context.Background(), st.TxID)
	if err != nil {
		s.t.Fatal(err)
	}
	return is.Hash == st.Hash
}

// run does a step and judges its error and what it has made trusted.
func (s *session) run(c *client, st step, name string) {
	before, told, faults := c.state(), s.liar.count(), len(s.faults)
	err := st.do(s, c)
	if errors.Is(err, errSkip) {
		return
	}
	lied := s.liar.count() > told
	s.log = append(s.log, fmt.Sprintf("client %d: %s: %v; lied: %v", slices.Index(s.clients, c), name, err, lied))
	allowed := promises[st.asks]
	if lied {
		if err != nil {
			s.refused++
		} else {
			s.accepted++
		}
		if !s.isTrue(c.state()) {
			switch {
			case allowed.false1st && c.pin == "" && before.TxID == 0, allowed.forged && err == nil:
				c.deceived = true
			case !c.deceived:
				s.faultf("%s: a false state is trusted: tx %d (%v)", name, c.state().TxID, err)
			}
		}
		if c.pin == "" && len(c.state().Tables) > len(before.Tables) { // a definition was believed
			c.deceived = c.deceived || allowed.misnamed
		}
		clear(c.own) // the driver may believe that the index is up to date
	}
	if err != nil && !lied && !c.deceived {
		s.faultf("%s: an honest answer is refused: %v", name, err)
	}
	if len(s.faults) > faults {
		s.log = append(s.log, "^ "+strings.Join(s.faults[faults:], "; "))
	}
}

// lying tells whether lies were told since.
func (s *session) lying(told int) bool { return s.liar.count() > told }

// write does what writes, and takes the result into the model: as predicted, or after a
// lie as the honest server has it.
func (s *session) write(c *client, must bool, do func(ctx context.Context) error, predict func(tx uint64)) error {
	defer func() { s.sent = sentRows{} }()
	told, trusted := s.liar.count(), c.state()
	c.info = immudb.CommitInfo{}
	info := &c.info
	err := do(immudb.WithCommitInfo(context.Background(), info))
	if err == nil && !s.lying(told) {
		if info.TxID == 0 { // CopyFrom tells none
			info.TxID = s.newest()
		}
		predict(info.TxID)
		s.head = max(s.head, info.TxID)
		return nil
	}
	before := s.head
	s.head = s.newest()
	s.resync(before)
	if err != nil || !c.commits || c.deceived || s.lost {
		return err
	}
	allowed := promises["commit"]
	if c.writes {
		allowed = promises["write"]
	}
	if t := s.sent.table; t != nil && !allowed.otherData {
		for _, row := range s.sent.rows {
			if !t.ever(row[0].(int64), info.TxID, t.columns, row) {
				s.faultf("a write of %v is accepted as tx %d, which did not write it: %v", row, info.TxID, t.rows[row[0].(int64)])
			}
		}
	}
	switch tx := info.TxID; {
	case tx == 0 && must:
		s.faultf("a write that is answered without its transaction is accepted")
	case tx == 0, tx > before && tx <= s.head:
	case tx > s.head:
		if s.isTrue(c.state()) || !allowed.forged {
			s.faultf("a commit as tx %d is accepted, the history ends with %d", tx, s.head)
		}
	case !s.isTrue(c.state()) && allowed.forged:
	case tx <= trusted.TxID || !allowed.unseen:
		s.faultf("a commit is accepted as the older tx %d, trusted was %d", tx, trusted.TxID)
	}
	return nil
}

// resync takes into the model what the honest server has written behind a transaction.
func (s *session) resync(before uint64) {
	for _, t := range s.tables {
		rows, err := s.direct.Query("SELECT * FROM " + t.name + " LIMIT 1")
		name := t.name
		if errors.Is(err, immudb.ErrNoSuchTable) {
			name = otherName(t.name)
			rows, err = s.direct.Query("SELECT * FROM " + name + " LIMIT 1")
		}
		if errors.Is(err, immudb.ErrNoSuchTable) {
			s.lost = true
			return
		}
		if err != nil {
			s.t.Fatal(err)
		}
		columns, _, err := drain(rows)
		if err != nil {
			s.t.Fatal(err)
		}
		if slices.ContainsFunc(columns, unknownColumn) {
			s.lost = true
			return
		}
		if name != t.name || !slices.Equal(columns, t.columns) {
			t.name, t.columns = name, columns
			t.version++
			t.rename(s.head)
		}
	}
	for tx := before + 1; tx <= s.head; tx++ {
		rows, err := immudb.NewVerifier(s.direct).Written(context.Background(), tx)
		if err != nil {
			s.t.Fatal(err)
		}
		for _, row := range rows {
			at := slices.IndexFunc(s.tables, func(t *table) bool { return row.Table == t.name || row.Table == otherName(t.name) })
			id, ok := row.Values[0].(int64)
			if at < 0 || !ok {
				continue // of a table of before
			}
			s.next = max(s.next, min(id, 1<<40))
			t := s.tables[at]
			t.rows[id] = append(t.rows[id], revision{tx: tx, values: row.Values, deleted: row.Deleted})
		}
	}
}

// unknownColumn tells a name that no honest step gives.
func unknownColumn(name string) bool {
	_, added := strings.CutPrefix(name, "more")
	return !added && !slices.Contains([]string{"id", "owner", "payee", "debit", "gives", "money"}, name)
}

// sameAsServer compares the model with the honest server, at the end.
func (s *session) sameAsServer() {
	for _, t := range s.tables {
		rows, err := s.direct.Query("SELECT * FROM " + t.name)
		if err != nil {
			s.faultf("the model has a table %s: %v", t.name, err)
			return
		}
		n := 0
		for rows.Next() {
			n++
			values, into := make([]any, len(t.columns)), make([]any, len(t.columns))
			for i := range into {
				into[i] = &values[i]
			}
			if err := rows.Scan(into...); err != nil || !t.is(values[0].(int64), t.columns, values) {
				s.faultf("the model differs from the server at %v of %s: %v", values, t.name, err)
			}
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil || n != len(t.live()) {
			s.faultf("the server has %d rows of %s, the model %d: %v", n, t.name, len(t.live()), err)
		}
	}
}

// judge looks at rows that were returned as proven. complete says that they are all
// the rows with a debit of at least from.
func (s *session) judge(c *client, asks string, t *table, told int, names []string, list [][]any, txs []uint64) {
	allowed, lied := promises[asks], s.lying(told)
	first := c.pin == "" && c.relied(t) < 0
	for i, values := range list {
		tx := uint64(0)
		if txs != nil {
			tx = txs[i]
		}
		id, _ := values[0].(int64)
		_, now := t.latest(id)
		switch {
		case now && t.is(id, names, values) && t.ever(id, tx, names, values):
		case t.ever(id, tx, names, values) && (lied && allowed.older || !lied && !c.own[t][id]):
		case first && lied && allowed.misnamed && sameValues(t, id, values):
			c.deceived = true
		case first && c.deceived:
		default:
			s.faultf("%s: a false row is accepted: %s %q %v of tx %d, true is %v", asks, t.name, names, values, tx, t.rows[id])
		}
	}
}

// relied returns the version of the names of a table that were relied on, or -1.
func (c *client) relied(t *table) int {
	if v, ok := c.accepted[t]; ok {
		return v
	}
	return -1
}

// sameValues tells whether the values are those of a row under other names.
func sameValues(t *table, id int64, values []any) bool {
	return slices.ContainsFunc(t.rows[id], func(r revision) bool {
		have := slices.Clone(r.values)
		for _, v := range values {
			at := slices.IndexFunc(have, func(h any) bool { return reflect.DeepEqual(h, v) })
			if at < 0 {
				if v == nil {
					continue
				}
				return false
			}
			have = slices.Delete(have, at, at+1)
		}
		return true
	})
}

// accepting reads, and accepts the names of the table if they have changed since they
// were relied on. read tells how many rows it got: without one nothing was proven of the
// table.
func (s *session) accepting(c *client, t *table, told int, read func() (rows int, err error)) error {
	n, err := read()
	if errors.Is(err, immudb.ErrSchemaChanged) && (c.relied(t) != t.version || s.lying(told)) {
		if err = s.acceptSchema(c, t.name); err == nil {
			c.accepted[t] = t.version
			n, err = read()
		}
	}
	if err == nil && n > 0 && !s.lying(told) {
		c.accepted[t] = t.version
	}
	return err
}
