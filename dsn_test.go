package immudb

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"google.golang.org/grpc"
)

// configWith returns the Config of a DSN with the user "ann", changed by change.
func configWith(change func(*Config)) *Config {
	c := NewConfig()
	c.User = "ann"
	if change != nil {
		change(c)
	}
	return c
}

var pinnedHash = strings.Repeat("0af9", 16)

var readDSNs = []struct {
	reason string
	dsn    string
	want   func(*Config)
}{
	{"the least there can be, URL", "immudb://ann@", nil},
	{"the least there can be, keywords", "user=ann", nil},
	{"the defaults written out",
		"immudb://ann@127.0.0.1:3322/defaultdb?connect_timeout=10&max_retries=16&group_commit=0&max_sessions=8&session_idle_timeout=2m&keepalive=30s&sslsni=1", nil},
	{"everything in its place", "immudb://ann:pw@db1:3323/ledger", func(c *Config) {
		c.Password, c.Hosts, c.Database = "pw", []string{"db1:3323"}, "ledger"
	}},
	{"the same by keywords", "user=ann password=pw host=db1 port=3323 dbname=ledger", func(c *Config) {
		c.Password, c.Hosts, c.Database = "pw", []string{"db1:3323"}, "ledger"
	}},
	{"the same by options of a URL", "immudb:///?user=ann&password=pw&host=db1&port=3323&dbname=ledger", func(c *Config) {
		c.Password, c.Hosts, c.Database = "pw", []string{"db1:3323"}, "ledger"
	}},
	{"database is dbname", "user=ann database=ledger", func(c *Config) { c.Database = "ledger" }},
	{"a scheme has no case", "IMMUDB://ann@db1", func(c *Config) { c.Hosts = []string{"db1:3322"} }},
	{"an empty path is the default database", "immudb://ann@db1/?max_retries=1", func(c *Config) {
		c.Hosts, c.MaxRetries = []string{"db1:3322"}, 1
	}},
	{"options need no path", "immudb://ann@db1?max_retries=1", func(c *Config) {
		c.Hosts, c.MaxRetries = []string{"db1:3322"}, 1
	}},
	{"a port alone is of the default host", "immudb://ann@:3323", func(c *Config) { c.Hosts = []string{"127.0.0.1:3323"} }},
	{"a port with zeros in front", "user=ann port=03323", func(c *Config) { c.Hosts = []string{"127.0.0.1:3323"} }},
	{"hosts with and without a port, in order", "immudb://ann@b,a:3323,c/", func(c *Config) {
		c.Hosts = []string{"b:3322", "a:3323", "c:3322"}
	}},
	{"one port for all hosts", "user=ann host=a,b port=3323", func(c *Config) { c.Hosts = []string{"a:3323", "b:3323"} }},
	{"one port for each host, one of them the default", "user=ann host=a,b,c port=1,,3", func(c *Config) {
		c.Hosts = []string{"a:1", "b:3322", "c:3"}
	}},
	{"IPv6 in a URL", "immudb://ann@[::1]:3323,[fe80::1%25eth0]/", func(c *Config) {
		c.Hosts = []string{"[::1]:3323", "[fe80::1%eth0]:3322"}
	}},
	{"IPv6 by keyword", "user=ann host=::1", func(c *Config) { c.Hosts = []string{"[::1]:3322"} }},
	{"any byte can be escaped", "immudb://a%6En:%3A%2f%3F%40%25%20%26%3D%27@", func(c *Config) { c.Password = ":/?@% &='" }},
	{"a colon and a # in a password need no escape", "immudb://ann:a:b#c@", func(c *Config) { c.Password = "a:b#c" }},
	{"+ is a plus, not a blank", "immudb://ann:a+b@", func(c *Config) { c.Password = "a+b" }},
	{"a password need not be UTF-8", "immudb://ann:%ff@", func(c *Config) { c.Password = "\xff" }},
	{"quotes keep blanks", "user = ann  password = 'two words'\n", func(c *Config) { c.Password = "two words" }},
	{"a backslash takes the next as it is", `user=ann password='it\'s \\'`, func(c *Config) { c.Password = `it's \` }},
	{"also outside quotes", `user=ann password=two\ words`, func(c *Config) { c.Password = "two words" }},
	{"a quote within a word is a character", `user=ann password=it's`, func(c *Config) { c.Password = "it's" }},
	{"a URL as a value is no URL", "user=ann password=immudb://x", func(c *Config) { c.Password = "immudb://x" }},
	{"seconds, as libpq has them", "user=ann connect_timeout=5 keepalive=60", func(c *Config) {
		c.ConnectTimeout, c.KeepAlive = 5*time.Second, time.Minute
	}},
	{"durations", "user=ann connect_timeout=500ms session_idle_timeout=1m30s", func(c *Config) {
		c.ConnectTimeout, c.SessionIdleTimeout = 500*time.Millisecond, 90*time.Second
	}},
	{"0 turns things off", "user=ann connect_timeout=0 keepalive=0 session_idle_timeout=0s max_retries=0", func(c *Config) {
		c.ConnectTimeout, c.KeepAlive, c.SessionIdleTimeout, c.MaxRetries = 0, 0, 0, 0
	}},
	{"the largest values", "user=ann max_retries=1000 group_commit=512 max_sessions=1000 keepalive=24h", func(c *Config) {
		c.MaxRetries, c.GroupCommit, c.MaxSessions, c.KeepAlive = 1000, 512, 1000, 24*time.Hour
	}},
	{"TLS, no file opened", "immudb://ann@db1/?sslmode=verify-ca&sslrootcert=%2Fno%2Fca.pem&sslcert=c&sslkey=k&sslpassword=p%26w&sslsni=0", func(c *Config) {
		c.Hosts = []string{"db1:3322"}
		c.SSL = SSLConfig{Mode: "verify-ca", RootCert: "/no/ca.pem", Cert: "c", Key: "k", Password: "p&w", NoSNI: true}
	}},
	{"what is trusted and verified, no file opened", "user=ann verify=commits,trust-first-use trusted_state=7:" + pinnedHash +
		" state_dir=/no/dir history=prod server_public_key=/no/key.pem", func(c *Config) {
		c.Verify = VerifyConfig{TrustFirstUse: true, Commits: true, PublicKey: "/no/key.pem", StateDir: "/no/dir", State: "7:" + pinnedHash, History: "prod"}
	}},
	{"an option left empty is its default", "user=ann sslmode='' host='' port='' verify='' trusted_state=''", nil},
}

func TestParseDSNReads(t *testing.T) {
	for _, row := range readDSNs {
		got, err := ParseDSN(row.dsn)
		if err != nil {
			t.Errorf("%s: %s: %v", row.reason, row.dsn, err)
			continue
		}
		if want := configWith(row.want); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %s:\n got %s\nwant %s", row.reason, row.dsn, got.FormatDSN(), want.FormatDSN())
		}
	}
}

// Each DSN holds the secret at a place where a user could have written it by mistake.
var refusedDSNs = []struct {
	reason string
	dsn    string
	want   string // part of the error
}{
	{"nothing at all", "", "user: missing"},
	{"no user, URL", "immudb://:hunter2@db1/ledger", "user: missing"},
	{"no user, keywords", "host=db1 password=hunter2", "user: missing"},
	{"an empty user", "user='' password=hunter2", "user: missing"},
	{"another scheme", "postgres://ann:hunter2@db1/ledger", "scheme must be immudb://"},
	{"no scheme", "ann:hunter2@db1:3322", "key=value pairs"},
	{"a NUL byte", "immudb://ann:hunter2\x00@db1", "NUL"},
	{"an escaped NUL byte", "immudb://ann:hunter2%00@db1", "password: % must be followed"},
	{"a NUL byte by keyword", "user=ann password=hunter2\x00", "NUL"},
	{"a bad escape in the password", "immudb://ann:hunter2%zz@db1", "password: % must be followed"},
	{"a % at the end of the password", "immudb://ann:hunter2%@db1", "write % itself as %25"},
	{"a bad escape in the user", "immudb://hunter2%:x@db1", "user: % must be followed"},
	{"a bad escape in the database", "immudb://ann:hunter2@db1/%x", "database: % must be followed"},
	{"a bad escape in an option", "immudb://ann:hunter2@db1/?sslpassword=hunter2%1", "sslpassword: % must be followed"},
	{"a bad escape in an unknown option", "immudb://ann@db1/?hunter2=%1", "the value of an option: %"},
	{"a bad escape in a key", "immudb://ann@db1/?hunter2%1=1", "the key of an option: %"},
	{"a blank in the URL", "immudb://ann:hunter2 x@db1", "blanks"},
	{"a line end after the URL", "immudb://ann:hunter2@db1\n", "blanks"},
	{"/ in the password", "immudb://ann:hunter2/x@db1/ledger", "%2F"},
	{"/ and = in the password", "immudb://ann:12/?hunter2=x@db1/ledger", "%2F"},
	{"@ in the password", "immudb://ann:p@hunter2@db1/ledger", "%40"},
	{"? in the password", "immudb://ann:p?hunter2@db1/ledger", "%3F"},
	{"the host forgotten", "immudb://ann:hunter2", "user: missing"},
	{"the host forgotten, : in the password", "immudb://ann:x:hunter2", "%3A"},
	{"two databases", "immudb://ann:hunter2@db1/a/b", "database: must not hold a /"},
	{"a database that is not UTF-8", "immudb://ann:hunter2@db1/%ff", "database: must be valid UTF-8"},
	{"& in an option", "immudb://ann@db1/?password=x&hunter2=y", "unknown key; valid keys"},
	{"& in an option, later", "immudb://ann@db1/?password=x&max_retries=1&hunter2=y", "unknown key; valid keys"},
	{"no = in an option", "immudb://ann@db1/?password=x&hunter2", "key=value"},
	{"= in an option", "immudb://ann@db1/?password=x=hunter2", "%3D"},
	{"a blank in an unquoted password", "user=ann password=my hunter2 host=db1", "quote a value"},
	{"a blank and a = in an unquoted password", "user=ann password=my hunter2=x host=db1", "unknown key; valid keys"},
	{"an unquoted password that looks like more", "user=ann password=my host=x hunter2=x", "unknown key; valid keys"},
	{"a quote in a quoted password", "user=ann password='x'hunter2'", `password: text follows the closing quote`},
	{"no closing quote", "user=ann password='hunter2", "password: the closing quote is missing"},
	{"no closing quote, unknown key", "hunter2='x", "the value of a key: the closing quote"},
	{"a backslash at the end", `user=ann password=hunter2\`, "password: ends in a backslash"},
	{"no key", "user=ann =hunter2", "key=value pairs"},

	{"an unknown option", "immudb://ann:hunter2@db1/?nosuch=1", `unknown key "nosuch"; valid keys are connect_timeout, database, dbname,`},
	{"an unknown option by keyword", "user=ann password=hunter2 nosuch=1", `unknown key "nosuch"; valid keys are connect_timeout`},
	{"a key has a case", "user=ann SSLMODE=disable password=hunter2", `unknown key "SSLMODE"`},
	{"a quote and a blank in a quoted password", "user=ann password='x' hunter2=1'", "unknown key; valid keys"},
	{"a key that is no word", "user=ann hunter2!=1", "unknown key; valid keys"},
	{"a long key", "user=ann " + strings.Repeat("hunter2", 9) + "=1", "unknown key; valid keys"},
	{"libpq's service files", "user=ann password=hunter2 service=x", `unknown key "service"`},
	{"libpq's channel binding", "user=ann password=hunter2 channel_binding=require", `unknown key "channel_binding"`},
	{"an option twice", "immudb://ann:hunter2@db1/?keepalive=1s&keepalive=2s", "keepalive: given twice"},
	{"an option twice under two names", "user=ann password=hunter2 dbname=a database=b", "database: given twice (dbname is the same option)"},
	{"a password twice", "immudb://ann:hunter2@db1/?password=hunter2", "password: given twice"},
	{"a host twice", "immudb://ann:hunter2@db1/?host=db2", "host: given twice"},

	{"port 0", "immudb://ann:hunter2@db1:0", "port: valid values are 1 to 65535"},
	{"port 65536", "immudb://ann:hunter2@db1:65536", "port: valid values are 1 to 65535"},
	{"a port's name", "user=ann password=hunter2 port=immudb", "port: valid values are 1 to 65535"},
	{"fewer ports than hosts", "user=ann password=hunter2 host=a,b,c port=1,2", "one for all hosts or one for each"},
	{"more ports than hosts", "user=ann password=hunter2 host=a port=1,2", "one for all hosts or one for each"},
	{"an empty host in a list", "immudb://ann:hunter2@a,,b", "host: valid values are"},
	{"an IPv6 address without brackets", "immudb://ann:hunter2@::1/", "brackets"},
	{"brackets left open", "immudb://ann:hunter2@[::1/", "host: write an IPv6 address as"},
	{"text after the brackets", "immudb://ann:hunter2@[::1]3322/", "host: write an IPv6 address as"},
	{"a port in the host", "user=ann password=hunter2 host=db1:3322", "the port is an option of its own"},
	{"a Unix socket", "user=ann password=hunter2 host=/run/immudb", "Unix socket"},
	{"an abstract Unix socket", "user=ann password=hunter2 host=@immudb", "Unix socket"},
	{"a Windows path", `user=ann password=hunter2 host='C:\\immudb'`, "port: valid values are"},
	{"blanks in a host", "user=ann host='db1 hunter2'", "host: valid values are"},

	{"libpq's default sslmode", "user=ann password=hunter2 sslmode=prefer", "valid values are disable, require, verify-ca, verify-full"},
	{"plaintext if that is all there is", "user=ann password=hunter2 sslmode=allow", "fall back to plaintext silently and are refused"},
	{"a wrong sslmode", "user=ann password=hunter2 sslmode=hunter2", "sslmode: valid values are disable,"},
	{"a certificate without its key", "user=ann sslpassword=hunter2 sslcert=x", "sslcert, sslkey: give both"},
	{"a key without its certificate", "user=ann sslpassword=hunter2 sslkey=x", "sslcert, sslkey: give both"},
	{"public authorities, any name", "user=ann password=hunter2 sslmode=verify-ca sslrootcert=system", "sslrootcert: system needs sslmode=verify-full"},
	{"public authorities in plaintext", "user=ann password=hunter2 sslmode=disable sslrootcert=system", "sslrootcert: system needs sslmode=verify-full"},
	{"a wrong sslsni", "user=ann sslpassword=hunter2 sslsni=yes", "sslsni: valid values are 0 and 1"},

	{"a wrong verify", "user=ann password=hunter2 verify=yes", "verify: valid values are trust-first-use, commits, writes, reads"},
	{"a word of verify twice", "user=ann password=hunter2 verify=commits,commits", "verify: valid values are"},
	{"strict without reads", "user=ann password=hunter2 verify=commits,strict", "strict needs reads"},
	{"an empty word of verify", "user=ann password=hunter2 verify=commits,", "verify: valid values are"},
	{"a state without a hash", "user=ann password=hunter2 trusted_state=7", "trusted_state: valid values are tx:hash"},
	{"a state without a transaction", "user=ann password=hunter2 trusted_state=0:" + pinnedHash, "trusted_state: valid values are tx:hash"},
	{"a state with a short hash", "user=ann password=hunter2 trusted_state=7:" + pinnedHash[1:], "trusted_state: valid values are tx:hash"},
	{"a negative number", "user=ann password=hunter2 max_retries=-1", "max_retries: valid values are whole numbers from 0 to 1000"},
	{"too large a number", "user=ann password=hunter2 group_commit=513", "group_commit: valid values are whole numbers from 0 to 512"},
	{"a number beyond int", "user=ann password=hunter2 max_sessions=99999999999999999999", "max_sessions: valid values are whole"},
	{"no session at all", "user=ann password=hunter2 max_sessions=0", "max_sessions: valid values are whole numbers from 1 to 1000"},
	{"a secret for a number", "user=ann max_retries=hunter2", "max_retries: valid values are"},
	{"no number", "immudb://ann:hunter2@db1/?max_retries=", "max_retries: valid values are"},
	{"a negative time", "user=ann password=hunter2 connect_timeout=-1s", "connect_timeout: valid values are 0 and seconds"},
	{"a time without a unit that is not whole", "user=ann password=hunter2 connect_timeout=1.5", "connect_timeout: valid values are"},
	{"a time beyond int64", "user=ann password=hunter2 connect_timeout=9999999999999999999", "connect_timeout: valid values are"},
	{"a keepalive that would be a flood", "user=ann password=hunter2 keepalive=1ms", "keepalive: valid values are 0 and seconds (5) or durations (90s, 2m) from 1s to 24h"},
	{"a time of more than a day", "user=ann password=hunter2 session_idle_timeout=25h", "session_idle_timeout: valid values are"},

	{"a passfile that is not there", "user=ann passfile=/no/such/file", "passfile: open /no/such/file"},
}

func TestParseDSNRefusesWithTheNameAndTheRemedyAndNoSecret(t *testing.T) {
	for _, row := range refusedDSNs {
		c, err := ParseDSN(row.dsn)
		if err == nil {
			t.Errorf("%s: %q was read as %s", row.reason, row.dsn, c.FormatDSN())
			continue
		}
		msg := err.Error()
		if !strings.HasPrefix(msg, "immudb: dsn: ") || strings.Count(msg, "immudb: ") != 1 {
			t.Errorf("%s: the error must begin with its origin, once: %s", row.reason, msg)
		}
		if !strings.Contains(msg, row.want) {
			t.Errorf("%s: got %q, want %q in it", row.reason, msg, row.want)
		}
		for e := err; e != nil; e = errors.Unwrap(e) {
			mustHideSecret(t, e)
		}
		if _, ok := errors.AsType[*pgconn.ParseConfigError](err); ok {
			t.Errorf("%s: the error leads to the DSN through pgconn's", row.reason)
		}
	}
}

// hostileEnvironment sets every variable that pgconn reads to a value that a test would
// notice.
func hostileEnvironment(t *testing.T) {
	t.Helper()
	home := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(home, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	bad := write("bad.pem", "not a certificate")
	write(".pgpass", "*:*:*:*:leaked\n")
	write(".pg_service.conf", "[leak]\nhost=leaked\npassword=leaked\nsslmode=require\n")
	for _, name := range []string{"postgresql.crt", "postgresql.key", "root.crt"} {
		write(".postgresql/"+name, "not a certificate")
	}
	t.Setenv("HOME", home)
	t.Setenv("USERPROFILE", home)
	t.Setenv("APPDATA", home)
	for name, value := range map[string]string{
		"PGHOST": "leaked", "PGPORT": "1", "PGDATABASE": "leaked", "PGUSER": "leaked", "PGPASSWORD": "leaked",
		"PGPASSFILE": filepath.Join(home, ".pgpass"), "PGAPPNAME": "leaked", "PGCONNECT_TIMEOUT": "leaked",
		"PGSSLMODE": "leaked", "PGSSLKEY": bad, "PGSSLCERT": bad, "PGSSLCERTMODE": "leaked", "PGSSLSNI": "0",
		"PGSSLROOTCERT": bad, "PGSSLPASSWORD": "leaked", "PGSSLNEGOTIATION": "direct",
		"PGTARGETSESSIONATTRS": "leaked", "PGSERVICE": "leak",
		"PGSERVICEFILE": filepath.Join(home, ".pg_service.conf"), "PGTZ": "leaked", "PGOPTIONS": "leaked",
		"PGMINPROTOCOLVERSION": "leaked", "PGMAXPROTOCOLVERSION": "leaked", "PGCHANNELBINDING": "leaked",
		"PGREQUIREAUTH": "leaked", "USER": "leaked", "LOGNAME": "leaked", "USERNAME": "leaked",
	} {
		t.Setenv(name, value)
	}
}

func TestNothingButTheDSNChangesTheResult(t *testing.T) {
	hostileEnvironment(t)
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	t.Setenv("TMP", tmp)
	t.Run("ParseDSN reads", TestParseDSNReads)
	t.Run("ParseDSN refuses", TestParseDSNRefusesWithTheNameAndTheRemedyAndNoSecret)
	t.Run("TLS", TestEverySSLModeMeansWhatLibpqSays)

	c, err := ParseDSN("user=ann host=db1 sslmode=verify-full")
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.tlsOf("db1:3322").Config()
	if err != nil {
		t.Fatal(err)
	}
	if got.RootCAs != nil || got.Certificates != nil || got.NextProtos != nil || got.ServerName != "db1" {
		t.Errorf("the environment shows in %+v", got)
	}
	if left, _ := os.ReadDir(tmp); slices.ContainsFunc(left, func(e fs.DirEntry) bool { return strings.HasPrefix(e.Name(), "immudb-") }) {
		t.Errorf("files left behind: %v", left)
	}
}

func TestAVariableThatCannotBeOverruledIsNamed(t *testing.T) {
	t.Setenv("PGSERVICE", "x")
	for _, name := range []string{"TMPDIR", "TMP", "TEMP"} {
		t.Setenv(name, filepath.Join(t.TempDir(), "missing"))
	}
	_, err := ParseDSN("user=ann password=" + secret)
	if err == nil || !strings.HasPrefix(err.Error(), "immudb: dsn: PGSERVICE is set") || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	mustHideSecret(t, err)
}

func TestPassfileIsReadOnlyWhenNamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pass")
	text := "# comment\ndb1:3322:ledger:ann:hunter2\ndb2:*:*:*:other\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct{ reason, dsn, want string }{
		{"a line for the first host", "user=ann host=db1,db2 dbname=ledger", "hunter2"},
		{"the port of a DSN without one is immudb's", "user=ann host=db1 port=3322 dbname=ledger", "hunter2"},
		{"a wildcard", "user=bob host=db2 port=1", "other"},
		{"a password in the DSN wins, as in libpq", "user=bob host=db2 password=mine", "mine"},
	} {
		c, err := ParseDSN(row.dsn + " passfile='" + strings.ReplaceAll(path, `\`, `\\`) + "'")
		if err != nil || c.Password != row.want {
			t.Errorf("%s: got %v, %v", row.reason, c.Password, err)
		}
	}
	_, err := ParseDSN("user=ann host=db3 passfile=" + path)
	if err == nil || !strings.Contains(err.Error(), "immudb: dsn: passfile: no line matches") || strings.Contains(err.Error(), secret) {
		t.Errorf("a file without a line for the host: %v", err)
	}
	_, err = ParseDSN("user=ann passfile=" + path + "x")
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}

func TestFormatDSNSortsOptionsAndLeavesDefaultsOut(t *testing.T) {
	for _, row := range []struct {
		reason string
		dsn    string
		want   string
		shown  string // by String
	}{
		{"defaults", "user=ann", "immudb://ann@127.0.0.1:3322/defaultdb", "immudb://ann@127.0.0.1:3322/defaultdb"},
		{"order, escapes, secrets",
			`user='a n' password='h/@:?%' host=db1,::1 dbname=l sslpassword=p&q sslsni=0 max_retries=3 connect_timeout=5 sslmode=require`,
			"immudb://a%20n:h%2F%40%3A%3F%25@db1:3322,[::1]:3322/l?connect_timeout=5s&max_retries=3&sslmode=require&sslpassword=p%26q&sslsni=0",
			"immudb://a%20n:xxxxx@db1:3322,[::1]:3322/l?connect_timeout=5s&max_retries=3&sslmode=require&sslpassword=xxxxx&sslsni=0"},
	} {
		c, err := ParseDSN(row.dsn)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.FormatDSN(); got != row.want {
			t.Errorf("%s: FormatDSN\n got %s\nwant %s", row.reason, got, row.want)
		}
		if got := c.String(); got != row.shown {
			t.Errorf("%s: String\n got %s\nwant %s", row.reason, got, row.shown)
		}
	}
}

func TestEveryOptionAndDefaultIsDocumentedAtParseDSN(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "dsn.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	var doc string
	for _, d := range file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Name.Name == "ParseDSN" {
			doc = f.Doc.Text()
		}
	}
	entries := make(map[string]string) // option → its lines
	var last []string
	for line := range strings.Lines(doc) {
		if m := regexp.MustCompile(`^\t([a-z_]+(?:, [a-z_]+)*)  +\S`).FindStringSubmatch(line); m != nil {
			last = strings.Split(m[1], ", ")
		} else if !strings.HasPrefix(line, "\t") {
			last = nil
		}
		for _, name := range last {
			entries[name] += line
		}
	}
	c := NewConfig()
	for _, o := range options {
		entry, ok := entries[o.name]
		if !ok {
			t.Errorf("%s is not documented", o.name)
		}
		delete(entries, o.name)
		var def string
		switch o.name { // the values of other options are described in prose
		case "connect_timeout":
			def = "(10s)"
		case "session_idle_timeout":
			def = "(2m)"
		case "keepalive":
			def = "(30s)"
		case "max_retries":
			def = fmt.Sprintf("(%d)", c.MaxRetries)
		case "max_sessions":
			def = fmt.Sprintf("(%d)", c.MaxSessions)
		case "group_commit":
			def = fmt.Sprintf("(%d)", c.GroupCommit)
		default:
			continue
		}
		if !strings.Contains(entry, def) {
			t.Errorf("%s: the default %s is not documented", o.name, def)
		}
		if v := strings.Trim(def, "()"); !o.parse(c, v) || o.format(c) != "" {
			t.Errorf("%s: %s is documented as the default and is not", o.name, v)
		}
	}
	for alias := range aliases {
		if _, ok := entries[alias]; !ok {
			t.Errorf("%s is not documented", alias)
		}
		delete(entries, alias)
	}
	for name := range entries {
		t.Errorf("%s is documented and does not exist", name)
	}
}

func TestCloneSharesNothingChangeable(t *testing.T) {
	c := configWith(nil)
	c.TLS = &tls.Config{ServerName: "a"}
	c.DialOptions = []grpc.DialOption{grpc.EmptyDialOption{}}
	c.Logger = slog.New(slog.DiscardHandler)
	c.DialContext = func(context.Context, string) (net.Conn, error) { return nil, errors.ErrUnsupported }
	d := c.Clone()
	if d.Logger != c.Logger || d.DialContext == nil || d.FormatDSN() != c.FormatDSN() {
		t.Errorf("the clone differs: %v", d)
	}
	d.Hosts[0], d.TLS.ServerName, d.DialOptions[0], d.User = "x", "x", nil, "x"
	if c.Hosts[0] != "127.0.0.1:3322" || c.TLS.ServerName != "a" || c.DialOptions[0] == nil || c.User != "ann" {
		t.Errorf("a change of the clone shows in %v", c)
	}
	if (&Config{}).Clone().TLS != nil {
		t.Error("the clone has TLS settings of its own")
	}
}

func TestValidateFillsInWhatCannotBeZeroAndNothingElse(t *testing.T) {
	c := &Config{}
	c.User = "ann"
	if err := c.validate(); err != nil {
		t.Fatal(err)
	}
	want := &Config{Hosts: []string{"127.0.0.1:3322"}, MaxSessions: 8}
	want.User, want.Database = "ann", "defaultdb"
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got %v, want %v", c, want)
	}

	c.Hosts = []string{"db1", "db2:1", "::1", "[::1]", "[::1]:2", "10.0.0.1", "10.0.0.1:3"}
	if err := c.validate(); err != nil {
		t.Fatal(err)
	}
	if got, want := c.Hosts, []string{"db1:3322", "db2:1", "[::1]:3322", "[::1]:3322", "[::1]:2", "10.0.0.1:3322", "10.0.0.1:3"}; !slices.Equal(got, want) {
		t.Errorf("hosts: got %v, want %v", got, want)
	}
}

func TestValidateRefusesWhatADSNCouldNotSay(t *testing.T) {
	for _, row := range []struct {
		reason string
		change func(*Config)
		want   string
	}{
		{"no user", func(c *Config) { c.User = "" }, "user: missing"},
		{"a NUL byte", func(c *Config) { c.Password = secret + "\x00" }, "password: must not hold a NUL byte"},
		{"a negative number", func(c *Config) { c.MaxRetries = -1 }, "max_retries: valid values"},
		{"a negative time", func(c *Config) { c.ConnectTimeout = -1 }, "connect_timeout: valid values"},
		{"too short a time", func(c *Config) { c.KeepAlive = time.Millisecond }, "keepalive: valid values"},
		{"a wrong mode", func(c *Config) { c.SSL.Mode = "prefer" }, "sslmode: allow and prefer"},
		{"a URL for a host", func(c *Config) { c.Hosts = []string{"immudb://" + secret} }, "port: valid values"},
		{"a socket", func(c *Config) { c.Hosts = []string{"unix:" + secret} }, "host: a Unix socket"},
		{"no port after the colon", func(c *Config) { c.Hosts = []string{"db1:"} }, "port: valid values"},
	} {
		c := configWith(row.change)
		err := c.validate()
		if err == nil || !strings.HasPrefix(err.Error(), "immudb: config: "+row.want) {
			t.Errorf("%s: got %v, want %q", row.reason, err, row.want)
		}
		mustHideSecret(t, err)
	}
}
