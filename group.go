package immudb

import (
	"cmp"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/immudb-go/immudb/internal/sqltext"
	"github.com/immudb-go/immudb/internal/wire"
)

// Group commit (group_commit=n in the DSN). The server commits one transaction
// at a time and each costs the same whether it holds one row or hundreds. So
// with group_commit, Execs outside transactions that arrive while a commit is
// under way wait for it and then travel together, up to n in one transaction:
//
//  1. A group is one server transaction: its statements run in the order of
//     arrival, each seeing the ones before it, as if they had committed one
//     after the other without another client's commit in between.
//  2. Each caller gets the result of its own statement. Only statements whose
//     result can be told apart travel in groups: INSERT … VALUES and UPSERT …
//     VALUES whose keys are known or counted. One that reads rows (an UPDATE, a
//     DELETE, a SELECT among VALUES) only begins a group: through a secondary
//     index a transaction sees its own writes wrong. All else is sent alone.
//  3. When a statement fails, nothing of its group is committed: the group is
//     halved and run again until the failing statement is alone. It alone gets
//     its error.
//  4. Groups that meet a conflict are run again like any autocommit statement.
//  5. When the answer to a group is lost, every caller in it gets
//     ErrOutcomeUnknown, and nothing is sent again.
//  6. A caller whose context ends before its group is sent leaves with the
//     context's error: its write did not happen. After that it waits for the
//     answer, at most groupTimeout, and learns what became of its write.
//  7. After a commit its callers usually come straight back, so the next group
//     waits for them: an eighth of the last commit's duration, at most 2 ms. A
//     lone caller never waits.
//
// groups forms them. One caller at a time, the leader, sends a group over its own
// connection, and then makes the caller that has waited longest the next leader. So
// no goroutine has to be started or stopped. The zero value is ready to use.
type groups struct {
	mu    sync.Mutex
	led   bool // there is a leader
	queue []*member

	// The callers of a group come back one by one. Without rule 7 the first of them
	// would be a group, and a commit, of its own, which halves the throughput.
	wanted int           // the callers when the last group ended: its own and those in the queue
	took   time.Duration // the duration of the last group
	enough chan struct{} // closed when the queue has wanted callers; nil: no leader waits for that
}

// member is one caller's statement.
type member struct {
	ctx  context.Context
	text string // with ? placeholders only
	args []driver.Value
	size int // rough number of bytes on the wire

	table     string
	rows      int64 // rows it will write, or -1: known only from the total
	generates bool  // its rows get keys from the table's AUTO_INCREMENT
	reads     bool  // its effect depends on the rows of tables
	bound     bound // the statement, with the arguments as the caller gave them

	lead    chan struct{}     // receives when the member is to lead
	outcome chan memberResult // receives the result of its statement
	told    bool              // outcome has received; used by the leader only
}

type memberResult struct {
	res *result
	err error
}

func (m *member) tell(res *result, err error) {
	m.told = true
	m.outcome <- memberResult{res, err}
}

// groupTimeout bounds the wait for the answer to a group, because no caller's
// context may end the call of the others.
const groupTimeout = 10 * time.Second

// groupBytes bounds the SQL and arguments of a group, in bytes: large enough to make
// the cost of the commit small, far below the server's limit for one message (32 MB).
const groupBytes = 1 << 20

// exec runs m's statement in a group. c is the caller's connection; it sends the
// group if the caller becomes the leader.
func (g *groups) exec(c *Conn, m *member) (*result, error) {
	g.mu.Lock()
	g.queue = append(g.queue, m)
	if !g.led {
		g.led = true
		m.lead <- struct{}{}
	}
	if g.enough != nil && len(g.queue) >= g.wanted {
		close(g.enough)
		g.enough = nil
	}
	g.mu.Unlock()
	done := m.ctx.Done()
	for {
		select {
		case o := <-m.outcome:
			return o.res, o.err
		case <-m.lead:
			g.gather(done, c.connector.cfg.GroupCommit)
			if m.ctx.Err() != nil && g.leave(m) {
				g.passOn()
				return nil, m.ctx.Err()
			}
			g.leadOne(c, m)
		case <-done:
			if g.leave(m) {
				return nil, m.ctx.Err()
			}
			done = nil // its group is being sent: wait for the outcome
		}
	}
}

// leave takes m out of the queue, unless it has been sent already.
func (g *groups) leave(m *member) bool {
	g.mu.Lock()
	at := slices.Index(g.queue, m)
	if at >= 0 {
		g.queue = slices.Delete(g.queue, at, at+1)
	}
	g.mu.Unlock()
	if at < 0 {
		return false
	}
	select {
	case <-m.lead: // it had become the leader
		g.passOn()
	default:
	}
	return true
}

// longestGathering bounds the wait of rule 7.
const longestGathering = 2 * time.Millisecond

// gather is the leader's wait of rule 7. It ends when done is closed at the latest.
func (g *groups) gather(done <-chan struct{}, most int) {
	g.mu.Lock()
	g.wanted = min(g.wanted, most)
	if len(g.queue) >= g.wanted {
		g.mu.Unlock()
		return
	}
	enough := make(chan struct{})
	g.enough = enough
	patience := time.NewTimer(min(g.took/8, longestGathering))
	g.mu.Unlock()
	defer patience.Stop()
	select {
	case <-enough:
		return
	case <-patience.C:
	case <-done:
	}
	g.mu.Lock()
	g.enough = nil
	g.mu.Unlock()
}

// passOn makes the longest waiting member the leader.
func (g *groups) passOn() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.led = len(g.queue) > 0; g.led {
		g.queue[0].lead <- struct{}{}
	}
}

// leadOne sends the group that begins with m, the head of the queue, and passes the
// lead on, even if a log handler or a gRPC interceptor of the program panics.
func (g *groups) leadOne(c *Conn, m *member) {
	batch := g.take(c.connector.cfg.GroupCommit)
	began := time.Now()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(m.ctx), groupTimeout)
	defer cancel()
	untold := func() []*member {
		return slices.DeleteFunc(batch, func(other *member) bool { return other == m || other.told })
	}
	panicked := true
	defer func() {
		if panicked {
			c.outcomeIsUnknown("Exec")
			tellAll(untold(), outcomeUnknown("Exec", errLeaderPanicked))
		}
		g.mu.Lock()
		g.wanted, g.took = len(batch)+len(g.queue), time.Since(began)
		g.mu.Unlock()
		g.passOn()
	}()
	ctx, op := c.trace(ctx, TraceGroup, m.text, "", len(batch), nil)
	err := c.runGroup(ctx, batch)
	op.end(ctx, err)
	panicked = false
	if err == nil {
		c.connector.tally.group(len(batch))
		return
	}
	// The leader's session cannot be used, and the statements of members without an
	// outcome were not run. The leader gets the error, to try another connection; the
	// others go back to the queue for another leader.
	g.mu.Lock()
	g.queue = append(untold(), g.queue...)
	g.mu.Unlock()
	if !m.told {
		m.tell(nil, err)
	}
}

var errLeaderPanicked = errors.New("the caller whose connection sent it panicked")

// take takes the members of the next group off the queue, with no more rows than a
// transaction may hold.
func (g *groups) take(most int) []*member {
	g.mu.Lock()
	defer g.mu.Unlock()
	n, size, rows := 0, 0, int64(0)
	for n < len(g.queue) && n < most {
		m := g.queue[n]
		size += m.size
		rows += max(m.rows, 0)
		if n > 0 && (m.reads || size > groupBytes || rows > defaultTxEntries) {
			break
		}
		n++
	}
	batch := slices.Clone(g.queue[:n])
	g.queue = slices.Delete(g.queue, 0, n)
	return batch
}

// runGroup runs the members' statements in one transaction and sends each member its
// outcome. It returns an error only if the connection cannot be used; then the
// statements of members without an outcome were not run.
func (c *Conn) runGroup(ctx context.Context, batch []*member) error {
	var (
		text  strings.Builder
		size  int
		table = batch[0].table
	)
	for _, m := range batch {
		size += m.size
		if m.table != table {
			table = ""
		}
	}
	text.Grow(size)
	for _, m := range batch {
		text.WriteString(m.text)
		text.WriteString(";")
	}
	req := wire.AppendSQL(make([]byte, 0, 2*size), text.String())
	var err error
	n := 0
	for _, m := range batch {
		for _, v := range m.args {
			n++
			if req, err = wire.AppendNumberedParam(req, n, v); err != nil {
				return err
			}
		}
	}
	if err := c.readyToProve(ctx); err != nil {
		if !errors.Is(err, driver.ErrBadConn) {
			tellAll(batch, err)
			return nil
		}
		return err
	}
	var ans wire.ExecResult
	err = c.retry(ctx, table, func() error {
		ans = wire.ExecResult{}
		return c.call(ctx, writes, "Exec", wire.MethodSQLExec, req, &ans)
	})
	switch {
	case err == nil:
		for _, m := range batch {
			reportOf(m.ctx).add(ans.Txs...)
		}
		c.sawCommits(c.session(), ans.Txs...)
		results, counts := attribute(batch, ans.Txs)
		err := c.proveCommits(ctx, slices.ContainsFunc(batch, func(m *member) bool { return m.rows > 0 }), c.sentByGroup(batch, results), ans.Txs...)
		if err == nil && counts != nil {
			c.outcomeIsUnknown("Exec")
		}
		if err = cmp.Or(err, counts); err != nil {
			tellAll(batch, err)
			return nil
		}
		for i, m := range batch {
			m.tell(results[i], nil)
		}
	case errors.Is(err, driver.ErrBadConn):
		return err
	case errors.Is(err, ErrOutcomeUnknown):
		tellAll(batch, err)
	case ctx.Err() != nil && (len(batch) > 1 || errors.Is(err, ctx.Err())):
		for _, m := range batch {
			m.tell(nil, cmp.Or(m.ctx.Err(), errGroupLate))
		}
	case len(batch) > 1:
		half := len(batch) / 2
		if err := c.runGroup(ctx, batch[:half]); err != nil {
			return err
		}
		return c.runGroup(ctx, batch[half:])
	default:
		tellAll(batch, err)
	}
	return nil
}

// errGroupLate is the error of callers whose own context has not ended when
// groupTimeout passes. Nothing of theirs was committed.
var errGroupLate error = &Error{
	Message:  fmt.Sprintf("the statement did not get its turn within %v, nothing was committed", groupTimeout),
	SQLState: "53000",
	kind:     ErrOverloaded,
	safe:     true,
}

// tellAll sends err to all members as their outcome.
func tellAll(batch []*member, err error) {
	for _, m := range batch {
		m.tell(nil, err)
	}
}

// attribute finds the result of each member of a committed group. The number of
// rows is known beforehand for all members but at most the first, which wrote the
// rest of the total. Generated keys are consecutive in the order of the statements.
func attribute(batch []*member, txs []wire.CommittedTx) ([]*result, error) {
	var (
		total     int64
		next      = map[string]int64{} // by table, the next key generated
		generated = map[string]int64{} // by table, how many keys were generated
	)
	for _, m := range batch {
		if m.generates {
			generated[m.table] += m.rows
		}
	}
	for _, tx := range txs {
		total += tx.UpdatedRows
		for _, first := range tx.First {
			last := slices.IndexFunc(tx.Last, func(k wire.InsertedKey) bool { return k.Table == first.Table })
			if last >= 0 && tx.Last[last].Key-first.Key+1 == generated[first.Table] {
				next[first.Table] = first.Key
			}
		}
	}
	rest := total
	for _, m := range batch {
		rest -= max(m.rows, 0)
	}
	if rest < 0 || rest > 0 && !slices.ContainsFunc(batch, func(m *member) bool { return m.rows < 0 }) {
		return nil, outcomeUnknown("Exec", errGroupTotal)
	}
	results := make([]*result, len(batch))
	for i, m := range batch {
		r := &result{rows: m.rows, idErr: errNoInsert}
		if m.rows < 0 {
			r.rows = rest
		}
		if m.generates {
			key, known := next[m.table]
			if known {
				next[m.table] = key + m.rows
			}
			r.generated(key+m.rows-1, known)
		}
		results[i] = r
	}
	return results, nil
}

// errGroupTotal: the server has not run exactly the statements of the group.
var errGroupTotal = errors.New("the server wrote another number of rows than the statements of the group hold")

// groupMember returns a member for the query t with args, or nil if its result could
// not be told apart from those of other members.
func (c *Conn) groupMember(ctx context.Context, t *query, args []driver.NamedValue) *member {
	if c.connector.cfg.GroupCommit == 0 || c.database != "" || len(t.statements) != 1 || !t.statements[0].Kind.IsDML() {
		return nil
	}
	st := &t.statements[0]
	m := &member{ctx: ctx, bound: t.bind(0, args), table: st.Table, rows: -1, reads: true, lead: make(chan struct{}, 1), outcome: make(chan memberResult, 1)}
	if st.Kind == sqltext.Insert || st.Kind == sqltext.Upsert {
		if st.NumRows < 1 || st.OnConflict != sqltext.ConflictFails {
			return nil
		}
		tab, err := c.tableWritten(ctx, st)
		if err != nil {
			return nil // the statement itself will fail with that
		}
		m.rows, m.reads = int64(st.NumRows), st.Selects
		if tab.autoIncrement != "" {
			if st.Kind == sqltext.Upsert || st.Columns == nil || slices.Contains(st.Columns, tab.autoIncrement) {
				return nil // the caller gives the key, and the server reports only the last key of a group
			}
			m.generates = true
		}
	}
	text, order := t.Positional(st)
	m.text = strings.TrimSuffix(text, st.Text[st.Returning.End:])
	if st.Returning.Has && len(m.text) == len(text) {
		return nil
	}
	m.size = len(m.text) + 16
	for _, at := range order {
		arg := &args[at]
		if t.Style == sqltext.Named {
			arg = namedArg(args, t.Names[at])
		}
		size, err := wire.ParamSize(arg.Value)
		if err != nil {
			return nil // an argument that database/sql has not converted: run it alone, so that only it fails
		}
		m.args = append(m.args, arg.Value)
		m.size += size
	}
	return m
}
