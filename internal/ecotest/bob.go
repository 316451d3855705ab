package ecotest

import (
	"context"

	"github.com/stephenafamo/bob"
	"github.com/stephenafamo/bob/dialect/psql"
	"github.com/stephenafamo/bob/dialect/psql/im"
	"github.com/stephenafamo/scan"

	_ "github.com/immudb-go/immudb"
)

func openBob(dsn string) (bob.DB, error) { return bob.Open("immudb", dsn) }

func insertWithBob(ctx context.Context, db bob.Executor, name string) (int64, error) {
	return bob.One(ctx, db, psql.Insert(im.Into("accounts", "name"), im.Values(psql.Arg(name)), im.Returning("id")), scan.SingleColumnMapper[int64])
}
