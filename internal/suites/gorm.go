package main

import (
	"context"
	"os/exec"
	"path/filepath"
)

const gormRelease = "v1.31.2"

// gormSuite is the tests folder of gorm with one more dialect. It is a separate module that
// no module proxy has, so it is cloned.
func (s *settings) gormSuite(ctx context.Context, root, dir string) (tests, error) {
	clone := filepath.Join(dir, "gorm")
	if out, err := exec.CommandContext(ctx, "git", "clone", "-q", "--branch", gormRelease, s.gorm, clone).CombinedOutput(); err != nil {
		return tests{}, failedCommand("git clone "+s.gorm, out, err)
	}
	at := filepath.Join(clone, "tests")
	open := "\tcase \"immudb\":\n\t\tdb, err = gorm.Open(gormimmudb.New(gormimmudb.Config{DSN: dbDSN, RebuildTables: os.Getenv(\"IMMUDB_REBUILD\") != \"\"}), cfg)\n"
	err := edit(filepath.Join(at, "tests_test.go"),
		change{old: "\tcase \"mysql\":\n", new: open + "\tcase \"mysql\":\n", times: 1},
		change{old: "\t\"gorm.io/gorm/logger\"\n", new: "\t\"gorm.io/gorm/logger\"\n\n\t\"github.com/immudb-go/immudb/gormimmudb\"\n", times: 1})
	if err != nil {
		return tests{}, err
	}
	if err := requireModules(ctx, at, root, "gormimmudb"); err != nil {
		return tests{}, err
	}
	rebuild := ""
	if s.rebuild {
		rebuild = "1"
	}
	return tests{dir: at, depth: 1, env: func(dsn string) []string {
		return []string{"GORM_DIALECT=immudb", "GORM_DSN=" + dsn, "DEBUG=false", "IMMUDB_REBUILD=" + rebuild}
	}}, nil
}
