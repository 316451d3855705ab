package bunimmudb_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/migrate"

	"github.com/immudb-go/immudb"
)

// The server accepts an index with keys that it cannot store, and the first row too; after
// that every write to the database hangs. The driver refuses such an index, for each method of
// bun.
func TestIndexesWithKeysThatAreTooLongAreRefused(t *testing.T) {
	type Note struct {
		ID   int64  `bun:",pk,autoincrement"`
		Text string `bun:"type:varchar(1000)"`
	}
	type Unique struct {
		ID   int64  `bun:",pk,autoincrement"`
		Text string `bun:"type:varchar(1000),unique"`
	}
	type LongKey struct {
		ID string `bun:"type:varchar(502),pk"`
	}
	db, ctx := open(t, (*Note)(nil)), t.Context()
	raw := func(query string) error {
		_, err := db.NewRaw(query).Exec(ctx)
		return err
	}
	prepared := func(query string) error {
		st, err := db.PrepareContext(ctx, query)
		if err != nil {
			return err
		}
		defer st.Close()
		_, err = st.ExecContext(ctx)
		return err
	}
	migration := func(text string) error {
		ms := migrate.NewMigrations()
		must(t, ms.Discover(fstest.MapFS{"1_x.tx.up.sql": {Data: []byte(text)}}))
		m := migrate.NewMigrator(db, ms, migrate.WithMarkAppliedOnSuccess(true))
		must(t, m.Init(ctx))
		_, err := m.Migrate(ctx)
		return err
	}
	create := func(q interface {
		Exec(ctx context.Context, dest ...any) (sql.Result, error)
	}) error {
		_, err := q.Exec(ctx)
		return err
	}
	const table = "CREATE TABLE a (id INTEGER, b VARCHAR[500], c VARCHAR(500), PRIMARY KEY id)"
	for _, row := range []struct {
		reason string
		err    error
	}{
		{"unique in a model", create(db.NewCreateTable().Model((*Unique)(nil)))},
		{"if it does not exist", create(db.NewCreateTable().Model((*Unique)(nil)).IfNotExists())},
		{"a primary key", create(db.NewCreateTable().Model((*LongKey)(nil)))},
		{"an index of a model", create(db.NewCreateIndex().Model((*Note)(nil)).Index("i").Column("text"))},
		{"a unique one", create(db.NewCreateIndex().Model((*Note)(nil)).Index("i").Unique().IfNotExists().Column("text", "id"))},
		{"raw SQL", raw("CREATE INDEX ON notes(text)")},
		{"raw SQL in upper case behind a comment", raw(`/* x */ CREATE UNIQUE INDEX i ON "NOTES" ("TEXT")`)},
		{"with its table", raw(table + "; CREATE INDEX ON a(b, c)")},
		{"with its table in a migration", migration(table + ";\nCREATE INDEX ON a(b, c);\n")},
		{"behind its table in a migration", migration(table + ";\n--bun:split\nCREATE INDEX ON a(b, c);\n")},
		{"prepared", prepared("CREATE INDEX ON notes(text)")},
		{"in a transaction", db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
			_, err := tx.NewRaw("CREATE INDEX ON notes(text)").Exec(ctx)
			return err
		})},
	} {
		if !errors.Is(row.err, immudb.ErrUnsupported) || !strings.Contains(row.err.Error(), "1,024 bytes") {
			t.Errorf("%s: %v, want ErrUnsupported that says how long a key may be", row.reason, row.err)
		}
	}
	for range 3 {
		_, err := db.NewInsert().Model(&Note{Text: strings.Repeat("t", 1000)}).Exec(ctx)
		must(t, err)
	}
	for _, name := range []string{"uniques", "long_keys", "a"} {
		if err := raw("SELECT * FROM " + name); !errors.Is(err, immudb.ErrNoSuchTable) {
			t.Errorf("table %s: %v, want ErrNoSuchTable", name, err)
		}
	}
}

func TestKeysAsLongAsTheServerStoresThem(t *testing.T) {
	type Note struct {
		ID   int64  `bun:",pk,autoincrement"`
		Text string `bun:"type:varchar(999),unique"`
	}
	type Open struct { // the lengths are the dialect's
		A       string `bun:",pk"`
		B       string `bun:",pk"`
		C, D, E string `bun:",unique:cde"`
		F       []byte `bun:",unique"`
	}
	db, ctx := open(t, (*Note)(nil), (*Open)(nil)), t.Context()
	var shortest int
	must(t, db.NewRaw("SELECT MIN(max_length) FROM COLUMNS('opens')").Scan(ctx, &shortest))
	for _, c := range []string{"x", "y", "z"} {
		_, err := db.NewInsert().Model(&Note{Text: strings.Repeat(c, 999)}).Exec(ctx)
		must(t, err)
		text := strings.Repeat(c, shortest)
		_, err = db.NewInsert().Model(&Open{A: text, B: text, C: text, D: text, E: text, F: []byte(text)}).Exec(ctx)
		must(t, err)
	}
	if shortest < 100 {
		t.Errorf("a column of %d bytes, want room for 100", shortest)
	}
}
