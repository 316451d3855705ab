package immudb

import (
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/immudb-go/immudb/internal/dsnscan"
	"github.com/immudb-go/immudb/internal/libpq"
)

// namesPassfile reports whether ParseDSN would open a file. With a random name it could
// be a terminal or a pipe.
func namesPassfile(dsn string) bool {
	settings, _ := dsnscan.Scan(dsn, isKey)
	return slices.ContainsFunc(settings, func(s dsnscan.Setting) bool { return s.Key == "passfile" })
}

// cleanEnvironment makes pgconn use only the connection string, so that the results are
// comparable.
func cleanEnvironment(tb testing.TB) {
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "PG") {
			tb.Setenv(name, "")
			os.Unsetenv(name)
		}
	}
	tb.Setenv("HOME", tb.TempDir())
	tb.Setenv("PGSSLMODE", "disable") // with prefer, its default, pgconn lists every host twice
}

// asPgconnReads is pgconn's reading of the options that both know. ok is false if pgconn
// refuses the DSN (for example because of a duration or a missing file).
func asPgconnReads(dsn string) (c *pgconn.Config, ok bool) {
	if len(dsn) >= 9 && strings.EqualFold(dsn[:9], "immudb://") {
		dsn = "postgres://" + dsn[9:]
	}
	c, err := pgconn.ParseConfig(dsn)
	return c, err == nil
}

// mustAgree compares users, passwords, databases and hosts. The defaults differ on
// purpose.
func mustAgree(t *testing.T, dsn string, c *Config, pc *pgconn.Config) {
	t.Helper()
	type server struct{ user, password, database, hosts string }
	database := pc.Database
	if database == "" {
		database = defaultDatabase
	}
	host := func(host string, port uint16) string {
		if strings.HasPrefix(host, "/") || host == "localhost" && !strings.Contains(dsn, "localhost") {
			host = libpq.DefaultHost
		}
		p := strconv.Itoa(int(port))
		if p == "5432" && !strings.Contains(dsn, "5432") {
			p = libpq.DefaultPort
		}
		return host + " " + p
	}
	hosts := host(pc.Host, pc.Port)
	for _, f := range pc.Fallbacks {
		hosts += "," + host(f.Host, f.Port)
	}
	var ours []string
	for _, h := range c.Hosts {
		host, port, err := libpq.SplitHostPort(h)
		if err != nil {
			t.Fatal(err)
		}
		ours = append(ours, host+" "+port)
	}
	got := server{c.User, c.Password, c.Database, strings.Join(ours, ",")}
	if want := (server{pc.User, pc.Password, database, hosts}); got != want {
		t.Errorf("%q is read as %q, by pgconn as %q", dsn, got, want)
	}
}

func TestAnAcceptedDSNMeansWhatPgconnReadsInIt(t *testing.T) {
	cleanEnvironment(t)
	compared := 0
	for _, row := range readDSNs {
		c, err := ParseDSN(row.dsn)
		if err != nil {
			t.Fatal(err)
		}
		if pc, ok := asPgconnReads(row.dsn); ok {
			mustAgree(t, row.dsn, c, pc)
			compared++
		}
	}
	if compared < 25 {
		t.Errorf("pgconn read only %d of %d", compared, len(readDSNs))
	}
}

func FuzzDSN(f *testing.F) {
	cleanEnvironment(f)
	for _, row := range readDSNs {
		f.Add(row.dsn)
	}
	for _, row := range refusedDSNs {
		f.Add(row.dsn)
	}
	f.Fuzz(func(t *testing.T, dsn string) {
		if namesPassfile(dsn) {
			return
		}
		c, err := ParseDSN(dsn)
		if err != nil {
			return
		}
		formatted := c.FormatDSN()
		again, err := ParseDSN(formatted)
		if err != nil {
			t.Fatalf("%q is formatted as %q: %v", dsn, formatted, err)
		}
		if !reflect.DeepEqual(c, again) {
			t.Fatalf("%q\nis formatted as %q\nwhich is read as %q", dsn, formatted, again.FormatDSN())
		}
		if twice := again.FormatDSN(); twice != formatted {
			t.Fatalf("%q is formatted as %q and then as %q", dsn, formatted, twice)
		}
		if err := c.Clone().validate(); err != nil {
			t.Fatalf("%q was read and is not valid: %v", dsn, err)
		}
		if strings.Contains(dsn, "%") && strings.Contains(dsn, "?") || strings.Contains(dsn, "ssl") || strings.Contains(dsn, "service") {
			return // pgconn would open the files
		}
		if pc, ok := asPgconnReads(dsn); ok {
			mustAgree(t, dsn, c, pc)
		}
	})
}

// An error never shows a secret, for all texts around it and special characters in it.
func FuzzDSNErrorsHideThePassword(f *testing.F) {
	for _, s := range []string{"", "%", "@", "/", "?", "&", "=", " ", "'", `\`, "#", "a b=", "x' ", "host=", "/?x=1&", "%zz"} {
		f.Add(s, "")
		f.Add("", s)
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, before, after string) {
		password := before + secret + after
		for _, dsn := range []string{
			"immudb://ann:" + password + "@db1/ledger",
			"immudb://ann:" + password + "@db1:3322/ledger?nosuch=1",
			"immudb://ann:" + password + "@db1/ledger?sslmode=prefer",
			"immudb://ann@db1/ledger?password=" + password,
			"immudb://ann@db1/ledger?password=" + password + "&max_retries=x",
			"user=ann host=db1 password=" + password,
			"user=ann host=db1 password='" + password + "' nosuch=1",
			"user=ann password=" + password + " host=db1 sslmode=x",
		} {
			if namesPassfile(dsn) {
				continue
			}
			if c, err := ParseDSN(dsn); err != nil {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("%q: %v", dsn, err)
				}
			} else if strings.Contains(c.Password, secret) && strings.Contains(c.String(), secret) {
				t.Errorf("%q: prints as %s", dsn, c)
			}
		}
	})
}
