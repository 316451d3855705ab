package main

import (
	"context"
	"path/filepath"
)

const datatypesRelease = "v1.2.7"

// datatypesSuite is gorm.io/datatypes with its tests, which open gormimmudb in place of SQLite. All
// of them run, except one of functions that PostgreSQL alone has.
func (s *settings) datatypesSuite(ctx context.Context, root, dir string) (tests, error) {
	at := filepath.Join(dir, "datatypes")
	if err := download(ctx, at, "gorm.io/datatypes", datatypesRelease); err != nil {
		return tests{}, err
	}
	err := edit(filepath.Join(at, "main_test.go"),
		change{old: `gorm.Open(sqlite.Open(filepath.Join(os.TempDir(), "gorm.db")), &gorm.Config{})`, new: "gorm.Open(gormimmudb.Open(dbDSN), &gorm.Config{})", times: 1},
		change{old: "\t\"path/filepath\"\n", times: 1},
		change{old: "\t\"gorm.io/driver/sqlite\"\n", new: "\t\"github.com/immudb-go/immudb/gormimmudb\"\n", times: 1},
		change{old: "func SupportedDriver(dialectors ...string) bool {\n", new: "func SupportedDriver(dialectors ...string) bool {\n\tif len(dialectors) > 1 {\n\t\treturn true\n\t}\n", times: 1})
	if err != nil {
		return tests{}, err
	}
	if err := requireModules(ctx, at, root, "gormimmudb"); err != nil {
		return tests{}, err
	}
	return tests{dir: at, depth: 1, env: func(dsn string) []string { return []string{"GORM_DIALECT=immudb", "GORM_DSN=" + dsn, "DEBUG=false"} }}, nil
}
