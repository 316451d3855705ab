package gormimmudb_test

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

// open opens a new database for the test and creates the models' tables.
func open(t testing.TB, models ...any) *gorm.DB {
	t.Helper()
	return openWith(t, gormimmudb.Config{}, &gorm.Config{}, models...)
}

func openWith(t testing.TB, config gormimmudb.Config, gormConfig *gorm.Config, models ...any) *gorm.DB {
	t.Helper()
	config.DSN = testserver.Shared(t).NewDatabase(t)
	return openDialector(t, gormimmudb.New(config), gormConfig, models...)
}

func openDSN(t testing.TB, dsn string, gormConfig *gorm.Config, models ...any) *gorm.DB {
	t.Helper()
	return openDialector(t, gormimmudb.Open(dsn), gormConfig, models...)
}

func openDialector(t testing.TB, dialector gorm.Dialector, gormConfig *gorm.Config, models ...any) *gorm.DB {
	t.Helper()
	if gormConfig.Logger == nil {
		gormConfig.Logger = logger.Discard
	}
	db, err := gorm.Open(dialector, gormConfig)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		pool, err := db.DB()
		if err == nil {
			err = pool.Close()
		}
		if err != nil {
			t.Error(err)
		}
	})
	if len(models) > 0 {
		must(t, db.AutoMigrate(models...))
	}
	return db
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// count counts the rows of a model's table, deleted ones included.
func count(t testing.TB, db *gorm.DB, model any) int64 {
	t.Helper()
	var n int64
	must(t, db.Unscoped().Model(model).Count(&n).Error)
	return n
}
