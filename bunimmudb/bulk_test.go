package bunimmudb_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/uptrace/bun"

	"github.com/immudb-go/immudb"
)

type Event struct {
	ID   int64 `bun:",pk,autoincrement"`
	Kind string
}

func TestRowsBeyondATransactionAreRefusedWithTheRemedy(t *testing.T) {
	db, ctx := open(t, (*Event)(nil)), t.Context()
	rows := make([]Event, 2500)
	for i := range rows {
		rows[i].Kind = "old"
	}
	_, whole := db.NewInsert().Model(&rows).Exec(ctx)
	chunks := func(db bun.IDB) error {
		for chunk := range slices.Chunk(rows, 1000) {
			if _, err := db.NewInsert().Model(&chunk).Exec(ctx); err != nil {
				return err
			}
		}
		return nil
	}
	inTx := db.RunInTx(ctx, nil, func(_ context.Context, tx bun.Tx) error { return chunks(tx) })
	if n := count(t, db, (*Event)(nil)); n != 0 {
		t.Errorf("%d rows, want none", n)
	}
	must(t, chunks(db))
	_, update := db.NewUpdate().Model((*Event)(nil)).Set("kind = 'older'").Where("kind = 'old'").Exec(ctx)
	_, remove := db.NewDelete().Model((*Event)(nil)).Where("kind = 'old'").Exec(ctx)
	for _, c := range []struct {
		name, remedy string
		err          error
	}{
		{"insert", "CopyFrom", whole},
		{"insert of chunks in a transaction", "commit in between", inTx},
		{"update", "portions with LIMIT", update},
		{"delete", "portions with LIMIT", remove},
	} {
		if !errors.Is(c.err, immudb.ErrTooManyEntries) || !strings.Contains(c.err.Error(), c.remedy) {
			t.Errorf("%s: err = %v, want ErrTooManyEntries that says %s", c.name, c.err, c.remedy)
		}
	}
	// bun has no Limit for databases without ORDER BY in DELETE.
	for left := int64(2500); left > 0; left -= 1000 {
		res, err := db.NewRaw("DELETE FROM events WHERE kind = ? LIMIT 1000", "old").Exec(ctx)
		must(t, err)
		if n, err := res.RowsAffected(); err != nil || n != min(left, 1000) {
			t.Fatalf("%d rows deleted (%v), want %d", n, err, min(left, 1000))
		}
	}
}
