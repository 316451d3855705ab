package main

import (
	"database/sql"
	"os"
	"strings"
	"testing"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/testserver"
)

func TestMain(m *testing.M) { os.Exit(testserver.Main(m, testserver.NoSessions)) }

func TestBootstrapCanBeRunAgain(t *testing.T) {
	admin := testserver.Shared(t).DSN()
	env := map[string]string{
		"BOOTSTRAP_ADMIN_DSN": admin,
		"BOOTSTRAP_DATABASE":  "app",
		"BOOTSTRAP_USER":      "app_user",
	}
	for _, password := range []string{"F1rst'quoted", "F1rst'quoted", "Sec0nd!one"} {
		env["BOOTSTRAP_PASSWORD"] = password
		if err := bootstrap(t.Context(), func(name string) string { return env[name] }); err != nil {
			t.Fatal(err)
		}
		cfg, err := immudb.ParseDSN(admin)
		if err != nil {
			t.Fatal(err)
		}
		cfg.User, cfg.Password, cfg.Database = "app_user", password, "app"
		if err := withDB(cfg, func(db *sql.DB) error {
			_, err := db.Exec("CREATE TABLE IF NOT EXISTS t (id INTEGER, PRIMARY KEY id); UPSERT INTO t (id) VALUES (1)")
			return err
		}); err != nil {
			t.Errorf("the user cannot work: %v", err)
		}
	}
}

func TestSettingsThatAreWrongAreNamed(t *testing.T) {
	good := map[string]string{
		"BOOTSTRAP_ADMIN_DSN": "immudb://immudb:s3cr3t@localhost/defaultdb?nonsense=1",
		"BOOTSTRAP_DATABASE":  "app", "BOOTSTRAP_USER": "app", "BOOTSTRAP_PASSWORD": "s3cr3t",
	}
	for name, value := range map[string]string{
		"BOOTSTRAP_DATABASE": "a; DROP TABLE t", "BOOTSTRAP_USER": "A b", "BOOTSTRAP_PASSWORD": "", "BOOTSTRAP_ADMIN_DSN": good["BOOTSTRAP_ADMIN_DSN"],
	} {
		err := bootstrap(t.Context(), func(n string) string {
			if n == name {
				return value
			}
			return good[n]
		})
		if err == nil || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
