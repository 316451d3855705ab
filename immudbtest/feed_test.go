package immudbtest_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/immudb-go/immudb/immudbtest"
)

func TestPausedReplicaLagsUntilItsReplicationIsResumed(t *testing.T) {
	t.Parallel()
	primary := immudbtest.Start(t)
	writer := connect(t, primary.DSN())
	writer.must(t, createT, "INSERT INTO t (v) VALUES ('before')")
	replica := immudbtest.Start(t, immudbtest.WithReplicaOf(primary.DSN()))
	reader := connect(t, replica.DSN())
	awaitTx(t, reader, writer)
	awaitRows(t, reader, "before")
	for range 2 { // a second pause is the same one
		if err := replica.PauseReplication(); err != nil {
			t.Fatal(err)
		}
	}
	writer.must(t, "INSERT INTO t (v) VALUES ('after')")
	time.Sleep(300 * time.Millisecond)
	awaitRows(t, reader, "before")
	if err := replica.Restart(); err != nil {
		t.Fatal(err)
	}
	reader = connect(t, replica.DSN())
	time.Sleep(300 * time.Millisecond)
	awaitRows(t, reader, "before")
	for range 2 {
		if err := replica.ResumeReplication(); err != nil {
			t.Fatal(err)
		}
	}
	awaitTx(t, reader, writer)
	awaitRows(t, reader, "before", "after")
	if err := errors.Join(primary.PauseReplication(), primary.ResumeReplication()); err == nil || !strings.Contains(err.Error(), "not a replica") {
		t.Errorf("of a primary: %v", err)
	}
	// A replica can be closed, and promoted, in a pause.
	if err := errors.Join(replica.PauseReplication(), replica.Promote()); err != nil {
		t.Fatal(err)
	}
	connect(t, replica.DSN()).must(t, "INSERT INTO t (v) VALUES ('promoted')")
	if err := replica.PauseReplication(); err == nil {
		t.Error("a promoted replica has nothing to pause")
	}
}
