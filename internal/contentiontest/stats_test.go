package contentiontest

import (
	"database/sql"
	"sync"
	"testing"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/dbtest"
)

// The statistics add up: every statement is in one group, sizes are those of the groups, and what is open now is what
// database/sql has open. A point SELECT changes nothing but the gauges.
func TestStatisticsAddUp(t *testing.T) {
	cfg, err := immudb.ParseDSN(dbtest.FreshDSN(t, "group_commit=4", "max_sessions=1"))
	if err != nil {
		t.Fatal(err)
	}
	connector, err := immudb.NewConnector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	db.SetMaxIdleConns(16)
	dbtest.Exec(t, db, "CREATE TABLE t (id INTEGER, PRIMARY KEY id)")
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			if _, err := db.Exec("INSERT INTO t (id) VALUES (?)", i); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	s := connector.Stats()
	sum := uint64(0)
	for i, n := range s.Groups.Sizes {
		sum += n
		if n > 0 && i > 2 {
			t.Errorf("%d groups of more than 4 statements", n)
		}
	}
	if s.Groups.Statements != 16 || sum != s.Groups.Groups || s.Groups.Groups < 4 {
		t.Errorf("groups: %+v, want 16 statements in at least 4", s.Groups)
	}
	if open := db.Stats().OpenConnections; s.Total.Conns != open || s.Total.Sessions != 1 || s.Total.Opens != 1 || (s.Total.Shared == 1) != (open > 1) {
		t.Errorf("%d connections are open; %+v", open, s.Total)
	}
	if len(s.Hosts) != 1 || s.Hosts[0].Addr != cfg.Hosts[0] || s.Hosts[0].State != "connected" || s.Hosts[0].ServerUUID == "" {
		t.Errorf("hosts: %+v", s.Hosts)
	}
	before := connector.Stats()
	before.Hosts = nil
	dbtest.Get[int](t, db, "SELECT id FROM t WHERE id = 3")
	after := connector.Stats()
	after.Hosts = nil
	if a, b := after, before; a.Groups != b.Groups || a.Retries != b.Retries || a.Conflicts != b.Conflicts || a.Total != b.Total {
		t.Errorf("a point SELECT has changed %+v to %+v", b, a)
	}
	tx := dbtest.Begin(t, db, nil)
	if n := connector.Stats().Total.Transactions; n != 1 {
		t.Errorf("%d transactions, want 1", n)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if s := connector.Stats().Total; s.Sessions != 0 || s.Conns != 0 || s.Retired != 1 {
		t.Errorf("after Close: %+v", s)
	}
}
