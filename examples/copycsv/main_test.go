package main

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/immudb-go/immudb/internal/testserver"
)

func TestMain(m *testing.M) { os.Exit(testserver.Main(m, testserver.NoSessions)) }

func openTable(t *testing.T) (*sql.DB, string) {
	t.Helper()
	dsn := testserver.Shared(t).NewDatabase(t)
	db, err := sql.Open("immudb", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	if _, err := db.Exec("CREATE TABLE people (id INTEGER, name VARCHAR, paid FLOAT, ok BOOLEAN, at TIMESTAMP, photo BLOB, PRIMARY KEY id)"); err != nil {
		t.Fatal(err)
	}
	return db, dsn
}

func TestEveryColumnIsReadAsItsType(t *testing.T) {
	db, dsn := openTable(t)
	path := filepath.Join(t.TempDir(), "people.csv")
	text := "ID,name,paid,ok,at,photo\n1,\"O'Hara, Ann\",12.5,true,2024-02-29T12:00:00Z,aGk=\n2,,,,,\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), dsn, path, &load{table: "people"}); err != nil {
		t.Fatal(err)
	}
	var name, at string
	var paid float64
	var photo []byte
	if err := db.QueryRow("SELECT name, paid, at, photo FROM people WHERE ok").Scan(&name, &paid, &at, &photo); err != nil {
		t.Fatal(err)
	}
	if name != "O'Hara, Ann" || paid != 12.5 || at != "2024-02-29T12:00:00Z" || string(photo) != "hi" {
		t.Errorf("%q %v %q %q", name, paid, at, photo)
	}
	var empty int
	if err := db.QueryRow("SELECT COUNT(*) FROM people WHERE id = 2 AND name IS NULL AND paid IS NULL").Scan(&empty); err != nil || empty != 1 {
		t.Errorf("%d rows of NULLs, err = %v", empty, err)
	}
}

func TestBarReachesItsEnd(t *testing.T) {
	db, _ := openTable(t)
	var text, screen strings.Builder
	text.WriteString("id,name\n")
	for id := range 3000 {
		fmt.Fprintf(&text, "%d,name %d\n", id, id)
	}
	l := &load{table: "people", size: int64(text.Len()), terminal: true}
	if err := l.run(t.Context(), db, strings.NewReader(text.String()), &screen); err != nil {
		t.Fatal(err)
	}
	bars := strings.Split(strings.TrimSpace(screen.String()), "\r")
	if last := bars[len(bars)-1]; len(bars) < 3 || !strings.HasPrefix(last, "3000 rows 100%") {
		t.Errorf("bars %q", bars)
	}
}

func TestALogHasNoBar(t *testing.T) {
	db, _ := openTable(t)
	var text, lines strings.Builder
	text.WriteString("id,name\n")
	for id := range 3000 {
		fmt.Fprintf(&text, "%d,name %d\n", id, id)
	}
	l := &load{table: "people", size: int64(text.Len())}
	if err := l.run(t.Context(), db, strings.NewReader(text.String()), &lines); err != nil {
		t.Fatal(err)
	}
	if said := lines.String(); strings.ContainsAny(said, "\r\x1b") || !strings.Contains(said, "copycsv: ") || !strings.Contains(said, " 3000 rows are committed after ") {
		t.Errorf("%q", said)
	}
}

func TestTimesAreReadAsPeopleHaveThem(t *testing.T) {
	noon := time.Date(2026, 2, 28, 12, 0, 0, 0, time.UTC)
	for _, row := range []struct {
		text   string
		layout string
		want   time.Time // zero: refused
	}{
		{text: "2026-02-28T12:00:00Z", want: noon},
		{text: "2026-02-28T13:00:00.25+01:00", want: noon.Add(250 * time.Millisecond)},
		{text: "2026-02-28 13:00:00+01", want: noon},
		{text: "2026-02-28 13:00:00.000001+01:00", want: noon.Add(time.Microsecond)},
		{text: "2026-02-28 13:00:00 +0100", want: noon},
		{text: "2026-02-28 13:00:00 +0100 CET", want: noon},
		{text: "2026-02-28 12:00:00 UTC", want: noon},
		{text: "2026-02-28 12:00:00.5", want: noon.Add(500 * time.Millisecond)},
		{text: "2026-02-28 12:00", want: noon},
		{text: "2026-02-28T12:00", want: noon},
		{text: "2026-02-28", want: noon.Add(-12 * time.Hour)},
		{text: "28/02/2026 12:00", layout: "02/01/2006 15:04", want: noon},
		{text: "1772280000", layout: "unix", want: noon},
		{text: "1772280000500", layout: "unixms", want: noon.Add(500 * time.Millisecond)},
		{text: "03/04/2026"},
		{text: "2026-02-28 12:00:00 CET"},
		{text: "2026-02-30"},
		{text: "today", layout: "unix"},
	} {
		got, err := (&load{layout: row.layout}).time(row.text)
		if (err != nil) != row.want.IsZero() || err == nil && !got.Equal(row.want) {
			t.Errorf("%s: %v, %v; want %v", row.text, got, err, row.want)
		}
	}
	zone := time.FixedZone("here", 3600)
	if got, err := (&load{zone: zone}).time("2026-02-28 13:00:00"); err != nil || !got.Equal(noon) {
		t.Errorf("in a zone one hour east: %v, %v", got, err)
	}
}

func TestFailureSaysHowToGoOn(t *testing.T) {
	db, _ := openTable(t)
	text := "id,paid\n1,1.5\n2,2.5\n3,much\n4,4.5\n"
	var screen strings.Builder
	err := (&load{table: "people"}).run(t.Context(), db, strings.NewReader(text), &screen)
	if err == nil || !strings.Contains(err.Error(), "line 4, column 3") || !strings.HasSuffix(err.Error(), "go on with -skip 2") {
		t.Fatalf("err = %v, want the line and -skip 2", err)
	}
	text = strings.Replace(text, "much", "3.5", 1)
	if err := (&load{table: "people", skip: 2}).run(t.Context(), db, strings.NewReader(text), &screen); err != nil {
		t.Fatal(err)
	}
	var n int
	var sum float64
	if err := db.QueryRow("SELECT COUNT(*), SUM(paid) FROM people").Scan(&n, &sum); err != nil || n != 4 || sum != 12 {
		t.Errorf("%d rows with a sum of %v, err = %v", n, sum, err)
	}
}
