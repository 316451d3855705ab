package immudb

import (
	"context"
	"errors"
	"regexp"
	"sync"
	"time"

	"github.com/immudb-go/immudb/internal/session"
	"github.com/immudb-go/immudb/internal/wire"
)

// routing is what the caller says about where a read goes.
type routing struct {
	primary   bool
	staleness time.Duration
}

type routingKey struct{}

// WithPrimary returns a context whose queries and read-only transactions go to the
// primary, whatever Config.ReadRouting says: to see a change that another program has
// made.
func WithPrimary(ctx context.Context) context.Context {
	return context.WithValue(ctx, routingKey{}, routing{primary: true})
}

// WithMaxStaleness returns a context whose queries and read-only transactions may go to a
// replica that has all that was committed until d ago, with Config.ReadRouting "replica".
// They may then be older than what the same program has written or read. Without it they
// are never older than that. A d that is not above 0 changes nothing.
func WithMaxStaleness(ctx context.Context, d time.Duration) context.Context {
	return context.WithValue(ctx, routingKey{}, routing{staleness: d})
}

// replicaFor returns the replica that a read goes to, or nil for the primary. The read
// must see the transaction must.
func (c *Conn) replicaFor(ctx context.Context, must uint64) *session.Link {
	how, _ := ctx.Value(routingKey{}).(routing)
	if how.primary || c.database != "" {
		return nil
	}
	head := func() (uint64, bool) {
		s := c.session()
		if s.Leaving() {
			return 0, false // the read itself finds another session
		}
		tx, f := s.Head(ctx)
		return tx, f == nil
	}
	if how.staleness > 0 {
		return c.connector.replicas.LeaseWithin(must, how.staleness, head)
	}
	return c.connector.replicas.Lease(must, head)
}

// catalogQuery finds the functions that tell what is in the catalog.
var catalogQuery = regexp.MustCompile(`(?i)^\s*SHOW\b|\b(TABLES|COLUMNS|INDEXES|CONSTRAINTS|DATABASES|USERS|GRANTS|TABLE)\s*\(|\b(pg_|information_schema)`)

// readsCatalog reports whether the query may ask for the schema. That of a replica may be
// outdated, without an error.
func (q *query) readsCatalog() bool {
	known := q.schema.Load()
	if known == 0 {
		known = 1
		if catalogQuery.MatchString(q.Text) {
			known = 2
		}
		q.schema.Store(known)
	}
	return known == 2
}

// readAnywhere runs a query outside a transaction, on a replica if one may answer it.
func (c *Conn) readAnywhere(ctx context.Context, b bound) (*resultSet, error) {
	if c.connector.replicas == nil || b.query.readsCatalog() {
		return c.read(ctx, b)
	}
	replica := c.replicaFor(ctx, 0)
	if replica == nil {
		return c.read(ctx, b)
	}
	set, err := c.streamOn(ctx, replica, b)
	if err == nil {
		replica.Answered()
		set.replica = replica
		return set, nil
	}
	if ctx.Err() != nil {
		return nil, err
	}
	outdated := isOutdated(err)
	set, err = c.read(ctx, b)
	if err == nil && outdated {
		replica.Stale()
	}
	return set, err
}

// onReplica makes a call on a replica.
func (c *Conn) onReplica(replica *session.Link, call func(*session.Session) *wire.Failure) error {
	f := call(replica.Session())
	if f == nil {
		return nil
	}
	replica.Failed(f)
	return callError(reads, "", f)
}

// isOutdated reports an error that a replica gives when its catalog is older than its
// rows, or than the query.
func isOutdated(err error) bool {
	return errors.Is(err, ErrNoSuchTable) || errors.Is(err, ErrNoSuchColumn) || isCorrupted(err)
}

func isCorrupted(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Message == "data is corrupted"
}

// ifOutdated marks an error in the midst of the rows of a replica, if it may come from an
// outdated catalog, as safe: the next try goes to the primary.
func (s *resultSet) ifOutdated(err error) error {
	if s.replica == nil || !isCorrupted(err) {
		return err
	}
	s.replica.Stale()
	if e, ok := errors.AsType[*Error](err); ok {
		e.safe = true
	}
	return err
}

// ifOutdated marks the error of a query in a transaction on a replica as safe, if the
// primary answers the query: the transaction's next try goes there.
func (t *tx) ifOutdated(ctx context.Context, b bound, err error) error {
	if t.replica == nil || !isOutdated(err) {
		return err
	}
	set, onPrimary := t.conn.read(ctx, b)
	if onPrimary != nil {
		return err
	}
	set.close()
	t.replica.Stale()
	if e, ok := errors.AsType[*Error](err); ok {
		e.safe = true
	}
	return err
}

// beginOnReplica begins a read-only transaction on a replica. It returns nil if the
// primary must begin it.
func (c *Conn) beginOnReplica(ctx context.Context, req wire.NewTxRequest, m *snapshots) (*session.Tx, *session.Link) {
	if req.SnapshotRenewalPeriod != 0 {
		return nil, nil // its snapshot may be older than what was asked about
	}
	replica := c.replicaFor(ctx, req.SnapshotMustIncludeTx)
	if replica == nil {
		return nil, nil
	}
	// By default a snapshot includes all that the server has. If it must include only a
	// certain transaction, the server may give one that is older than an earlier read.
	req.SnapshotMustIncludeTx = 0
	server, f := replica.Begin(ctx, req.Append(nil))
	if f == nil {
		if f = m.begins(ctx, server.Session()); f == nil {
			return server, replica
		}
		server.Undo()
	}
	replica.Failed(f)
	return nil, nil
}

// leaveReplica moves a transaction from its replica to the primary, if that has answered
// nothing in it yet, and has failed with f or must not answer the next query.
func (t *tx) leaveReplica(ctx context.Context, f *wire.Failure) bool {
	if t.answered || ctx.Err() != nil {
		return false
	}
	server, err := t.conn.beginOnServer(ctx, t.begin)
	if err != nil {
		return false
	}
	if f != nil {
		t.replica.Failed(f)
		if isOutdated(newCallError(f)) {
			t.outdated = t.replica
		}
	}
	t.server.Undo()
	t.server, t.replica = server, nil
	return t.snapshots.begins(ctx, server.Session()) == nil
}

// sawPrimary tells the replicas of an answer of the primary outside a transaction.
func (c *Conn) sawPrimary() {
	if c.connector.replicas != nil {
		c.connector.replicas.Saw()
	}
}

// saw tells the replicas of an answer in the transaction.
func (t *tx) saw(f *wire.Failure) {
	replicas := t.conn.connector.replicas
	if replicas == nil {
		return
	}
	if t.replica != nil {
		t.answered = t.answered || f == nil
		t.replica.Answered()
		return
	}
	replicas.Saw()
	if t.outdated != nil && f == nil {
		t.outdated.Stale()
		t.outdated = nil
	}
}

// schemaHistory is what a connector has changed of the schema. A replica must show all
// of it to be read from.
type schemaHistory struct {
	mu    sync.Mutex
	shows schemaChange
	never bool // a change does not show in the names of the catalog
}

// schemaChanged takes the replicas out of use until they show a change of the schema,
// if it may have been committed; err is the outcome.
func (c *Conn) schemaChanged(s *schemaChange, err error) {
	replicas := c.connector.replicas
	if replicas == nil || s == nil || err != nil && !errors.Is(err, ErrOutcomeUnknown) {
		return
	}
	h := &c.connector.changed
	h.mu.Lock()
	h.never = h.never || s.hidden || s.renewed
	for name, there := range s.shows {
		if there && h.shows.gone(name) {
			h.never = true
		}
		h.shows.set(name, there)
	}
	h.mu.Unlock()
	replicas.SchemaChanged()
}

// fits reports whether the server of a lease shows all changes of the schema. The lease
// is not used otherwise meanwhile.
func (c *Connector) fits(ctx context.Context, lease *session.Lease) bool {
	c.changed.mu.Lock()
	s := schemaChange{shows: make(map[schemaName]bool)}
	for name, there := range c.changed.shows.shows {
		s.shows[name] = there
	}
	never := c.changed.never
	c.changed.mu.Unlock()
	if never {
		return false
	}
	conn := &Conn{connector: c, lease: lease}
	// The query that fills the catalog's cache sees its own catalog, the second one the
	// cached one.
	if _, err := conn.shown(ctx, &s); err != nil {
		return false
	}
	shown, err := conn.shown(ctx, &s)
	return err == nil && shown
}
