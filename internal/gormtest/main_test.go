package gormtest

import (
	"os"
	"testing"

	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/immudb-go/immudb/gormimmudb"
	"github.com/immudb-go/immudb/internal/testserver"
)

// The tests share a real server; each uses its own database.
func TestMain(m *testing.M) { os.Exit(testserver.Main(m, testserver.NoSessions)) }

// open opens a new database for the test and creates the tables of the models.
func open(t *testing.T, models ...any) *gorm.DB {
	return openDSN(t, testserver.Shared(t).NewDatabase(t), models...)
}

func openDSN(t *testing.T, dsn string, models ...any) *gorm.DB {
	t.Helper()
	g, err := gorm.Open(gormimmudb.Open(dsn), &gorm.Config{Logger: logger.Discard})
	must(t, err)
	t.Cleanup(func() {
		db, err := g.DB()
		must(t, err)
		must(t, db.Close())
	})
	must(t, g.AutoMigrate(models...))
	return g
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
