package entimmudb_test

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/immudb-go/immudb/entimmudb"
	"github.com/immudb-go/immudb/entimmudb/internal/enttest/ent"
	"github.com/immudb-go/immudb/entimmudb/internal/enttest/ent/migrate"
	"github.com/immudb-go/immudb/entimmudb/internal/enttest/ent/user"
	"github.com/immudb-go/immudb/internal/testserver"
)

func readme(ctx context.Context, dsn string) error {
	drv, err := entimmudb.Open(dsn, migrate.Tables)
	if err != nil {
		return err
	}
	client := ent.NewClient(ent.Driver(drv))
	defer client.Close()
	if err := client.Schema.Create(ctx, drv.Migrate()); err != nil {
		return err
	}
	rex, err := client.Pet.Create().SetName("Rex").Save(ctx)
	if err != nil {
		return err
	}
	err = client.User.Create().SetName("Ann").AddPets(rex).Exec(ctx)
	if ent.IsConstraintError(err) {
		err = client.User.Create().SetName("Ann").SetAge(42).OnConflictColumns(user.FieldName).UpdateNewValues().Exec(ctx)
	}
	return err
}

func TestTheCodeOfTheReadmeRuns(t *testing.T) {
	t.Parallel()
	page := got(os.ReadFile("README.md"))(t)
	source := got(os.ReadFile("readme_test.go"))(t)
	_, block, _ := strings.Cut(string(page), "```go\n")
	block, _, closed := strings.Cut(block, "```")
	if !closed || !strings.Contains(string(source), block) {
		t.Error("the code of README.md is not that of this file")
	}
	dsn := testserver.Shared(t).NewDatabase(t)
	for range 2 { // the second time Ann is there
		must(t, readme(t.Context(), dsn))
	}
	drv := got(entimmudb.Open(dsn, migrate.Tables))(t)
	client := ent.NewClient(ent.Driver(drv))
	defer client.Close()
	same(t, "age", got(client.User.Query().Only(t.Context()))(t).Age, 42)
}
