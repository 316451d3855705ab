package main

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/testserver"
)

func TestMain(m *testing.M) { os.Exit(testserver.Main(m, testserver.NoSessions)) }

func TestNoRowIsLostWhileOthersWrite(t *testing.T) {
	db, err := sql.Open("immudb", testserver.Shared(t).NewDatabase(t))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	exec := func(query string, args ...any) {
		t.Helper()
		if _, err := db.Exec(query, args...); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
	}
	exec("CREATE TABLE payments (id INTEGER AUTO_INCREMENT, payer VARCHAR[64] NOT NULL, amount VARCHAR, PRIMARY KEY id)")
	const before = 1200
	for range before / 100 {
		exec("INSERT INTO payments (payer, amount) VALUES ('ada', '1')" + strings.Repeat(", ('ada', '1')", 99))
	}

	// A program inserts, changes and deletes rows all the time. Before the switch it must
	// write text, after it numbers.
	ctx, stop := context.WithCancel(t.Context())
	var writer sync.WaitGroup
	inserted, deleted := 0, 0
	changed := map[int]bool{}
	write := func(query string) bool {
		_, err := db.Exec(fmt.Sprintf(query, "'2'"))
		if err != nil {
			_, err = db.Exec(fmt.Sprintf(query, "2"))
		}
		if err != nil {
			t.Error(err)
		}
		return err == nil
	}
	busy := make(chan struct{})
	writer.Go(func() {
		var took time.Duration // by the last write: on a slow machine the copy is slow too, and needs pauses in which it can commit
		for i := 1; ctx.Err() == nil && i < 400; i++ {
			if i == 4 { // one of each kind is done
				close(busy)
			}
			time.Sleep(20*time.Millisecond + 5*took)
			began := time.Now()
			switch i % 3 {
			case 0:
				if write("INSERT INTO payments (payer, amount) VALUES ('bob', %s)") {
					inserted++
				}
			case 1:
				if write(fmt.Sprintf("UPDATE payments SET amount = %%s WHERE id = %d", i)) {
					changed[i] = true
				}
			case 2:
				if _, err := db.Exec(fmt.Sprintf("DELETE FROM payments WHERE id = %d", before-i)); err != nil {
					t.Error(err)
				} else {
					deleted++
				}
			}
			took = time.Since(began)
		}
	})
	<-busy
	err = alter(t.Context(), db)
	stop()
	writer.Wait()
	if err != nil {
		t.Fatal(err)
	}

	var rows, sum int
	if err := db.QueryRow("SELECT COUNT(*), SUM(amount) FROM payments").Scan(&rows, &sum); err != nil {
		t.Fatal(err)
	}
	if want := before + inserted - deleted; rows != want {
		t.Errorf("%d rows, want %d", rows, want)
	}
	if want := before - deleted + len(changed) + 2*inserted; sum != want {
		t.Errorf("the amounts add up to %d, want %d", sum, want)
	}
	if inserted == 0 || deleted == 0 || len(changed) == 0 {
		t.Errorf("the writer did too little: %d, %d, %d", inserted, deleted, len(changed))
	}

	var revisions int
	if err := db.QueryRow("SELECT COUNT(*) FROM (HISTORY OF payments_v1)").Scan(&revisions); err != nil || revisions < before {
		t.Errorf("%d revisions of the old table are left (%v), want %d or more", revisions, err, before)
	}
}
