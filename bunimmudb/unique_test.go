package bunimmudb_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/migrate"

	"github.com/immudb-go/immudb"
)

type Account struct {
	ID     int64   `bun:",pk,autoincrement"`
	Email  *string `bun:",unique,type:varchar(50)"`
	Visits int
}

func account(email string, visits int) *Account { return &Account{Email: &email, Visits: visits} }

func accounts(t *testing.T, db bun.IDB) (list []string) {
	t.Helper()
	var all []Account
	must(t, db.NewSelect().Model(&all).Order("id").Scan(t.Context()))
	for _, a := range all {
		email := "NULL"
		if a.Email != nil {
			email = *a.Email
		}
		list = append(list, fmt.Sprintf("%d %s %d", a.ID, email, a.Visits))
	}
	return list
}

func TestOnConflictOfAUniqueIndexUpdatesTheRow(t *testing.T) {
	db, ctx := open(t, (*Account)(nil)), t.Context()
	upsert := func(db bun.IDB, model any) *bun.InsertQuery {
		return db.NewInsert().Model(model).On("CONFLICT (email) DO UPDATE").Set("visits = visits + EXCLUDED.visits")
	}
	first, again := account("a@x", 1), account("a@x", 10)
	_, err := upsert(db, first).Exec(ctx)
	must(t, err)
	_, err = upsert(db, again).Exec(ctx)
	must(t, err)
	if again.ID != first.ID {
		t.Errorf("the second has id %d, want that of the first, %d", again.ID, first.ID)
	}
	res, err := upsert(db, &[]*Account{account("b@x", 3), account("a@x", 100), {Visits: 7}}).Returning("NULL").Exec(ctx)
	must(t, err)
	if n, err := res.RowsAffected(); n != 3 || err != nil {
		t.Errorf("%d rows (%v), want 3", n, err)
	}
	failed := errors.New("failed")
	err = db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		_, err := upsert(tx, &[]*Account{account("c@x", 1), account("c@x", 1)}).Returning("NULL").Exec(ctx)
		must(t, err)
		if got, want := accounts(t, tx)[3], "4 c@x 2"; got != want {
			t.Errorf("in the transaction %s, want %s", got, want)
		}
		return failed
	})
	if !errors.Is(err, failed) {
		t.Error(err)
	}
	if got, want := accounts(t, db), []string{"1 a@x 111", "2 b@x 3", "3 NULL 7"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestUpsertsOfOneKeyAtOnceLoseNothing(t *testing.T) {
	db, ctx := open(t, (*Account)(nil)), t.Context()
	const writers = 4
	var group sync.WaitGroup
	failed := make([]error, writers)
	for i := range writers {
		group.Go(func() {
			_, failed[i] = db.NewInsert().Model(account("a@x", 1)).On("CONFLICT (email) DO UPDATE").Set("visits = visits + 1").Exec(ctx)
		})
	}
	group.Wait()
	succeeded := 0
	for _, err := range failed {
		switch {
		case err == nil:
			succeeded++
		case !errors.Is(err, immudb.ErrConflict) && !errors.Is(err, immudb.ErrDuplicateKey):
			t.Error(err)
		}
	}
	if got, want := accounts(t, db), []string{fmt.Sprint("1 a@x ", succeeded)}; succeeded == 0 || !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestUpsertsThatCannotBeDividedAreRefused(t *testing.T) {
	db, ctx := open(t, (*Account)(nil)), t.Context()
	for name, err := range map[string]error{
		"WHERE":     second(db.NewInsert().Model(account("a@x", 1)).On("CONFLICT (email) DO UPDATE").Set("visits = 1").Where("visits > 1").Exec(ctx)),
		"no index":  second(db.NewInsert().Model(account("a@x", 1)).On("CONFLICT (visits) DO UPDATE").Set("visits = 1").Exec(ctx)),
		"nothing":   second(db.NewInsert().Model(account("a@x", 1)).On("CONFLICT (email) DO NOTHING").Exec(ctx)),
		"arguments": second(db.DB.ExecContext(ctx, "INSERT INTO accounts (email, visits) VALUES (?, 1) ON CONFLICT (email) DO UPDATE SET visits = 2", "a@x")),
		"prepared":  second(db.DB.PrepareContext(ctx, "INSERT INTO accounts (email, visits) VALUES (?, 1) ON CONFLICT (email) DO UPDATE SET visits = 2")),
	} {
		if !errors.Is(err, immudb.ErrUnsupported) {
			t.Errorf("%s: %v, want ErrUnsupported", name, err)
		}
	}
	if got := accounts(t, db); got != nil {
		t.Errorf("written: %q", got)
	}
}

func second[T any](_ T, err error) error { return err }

func TestAMigrationRunsAgainWithUpsert(t *testing.T) {
	db, ctx := open(t), t.Context()
	ran := 0
	ms := migrate.NewMigrations()
	ms.Add(migrate.Migration{Name: "1", Up: func(context.Context, *migrate.Migrator, *migrate.Migration) error { ran++; return nil }})
	m := migrate.NewMigrator(db, ms, migrate.WithUpsert(true))
	must(t, m.Init(ctx))
	must(t, second(m.Migrate(ctx)))
	must(t, m.Init(ctx)) // the table has rows now
	must(t, m.RunMigration(ctx, "1"))
	applied, err := m.AppliedMigrations(ctx)
	must(t, err)
	if ran != 2 || len(applied) != 1 || applied[0].GroupID != 2 || applied[0].MigratedAt.IsZero() {
		t.Errorf("ran %d times, applied %+v, want 2 and one in group 2", ran, applied)
	}
}
