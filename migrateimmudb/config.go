package migrateimmudb

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/immudb-go/immudb/internal/dblock"
)

const (
	// DefaultMigrationsTable keeps the version unless Config says otherwise.
	DefaultMigrationsTable = "schema_migrations"
	// DefaultLockTimeout is below golang-migrate's own patience of 15 s, so
	// that it is this driver that says who has the lock.
	DefaultLockTimeout = 14 * time.Second
	// DefaultLockLease is below DefaultLockTimeout, so that one killed process
	// never makes the next one fail.
	DefaultLockLease = 10 * time.Second
)

// Config is what the x- options of a URL say; see the package comment. Zero
// fields stand for their defaults.
type Config struct {
	// MigrationsTable keeps the version: letters, digits and _, at most 100.
	// Like all names on the server it is folded to lower case. The lock is in
	// a table of the same name with _lock behind it.
	MigrationsTable string
	// StatementTimeout is the longest a statement may take. 0: as long as it takes.
	StatementTimeout time.Duration
	// MultiStatementEnabled makes each statement a transaction of its own. By
	// default a migration is one transaction.
	MultiStatementEnabled bool
	// LockTimeout is the longest wait for another process's migrations.
	LockTimeout time.Duration
	// LockLease is how long the lock outlives a process that was killed, at
	// least 100 ms. A living one renews it.
	LockLease time.Duration
}

// normalize fills in the defaults and refuses what cannot work.
func (c *Config) normalize() error {
	if c.MigrationsTable == "" {
		c.MigrationsTable = DefaultMigrationsTable
	}
	c.MigrationsTable = strings.ToLower(c.MigrationsTable)
	if !dblock.ValidName(c.MigrationsTable) {
		return fmt.Errorf("x-migrations-table: valid names are %s", dblock.ValidNames)
	}
	if c.StatementTimeout < 0 {
		return errors.New("x-statement-timeout: must not be negative")
	}
	if c.LockTimeout == 0 {
		c.LockTimeout = DefaultLockTimeout
	}
	if c.LockTimeout < 0 {
		return errors.New("x-lock-timeout: must not be negative")
	}
	if c.LockLease == 0 {
		c.LockLease = DefaultLockLease
	}
	if c.LockLease < dblock.MinLease {
		return fmt.Errorf("x-lock-lease: must be at least %v", dblock.MinLease)
	}
	return nil
}

// lockTable is the name of the table that keeps the lock.
func (c *Config) lockTable() string { return c.MigrationsTable + "_lock" }

// urlOptions are the options that a URL may hold beside those of a DSN.
var urlOptions = []struct {
	name  string
	valid string
	set   func(c *Config, v string) (ok bool)
}{
	{"x-lock-lease", "seconds (10) and durations (500ms)", func(c *Config, v string) bool {
		return parseDuration(&c.LockLease, v, "s")
	}},
	{"x-lock-timeout", "seconds (30) and durations (2m)", func(c *Config, v string) bool {
		return parseDuration(&c.LockTimeout, v, "s")
	}},
	{"x-migrations-table", "names", func(c *Config, v string) bool {
		c.MigrationsTable = v
		return v != ""
	}},
	{"x-multi-statement", "true and false", func(c *Config, v string) (ok bool) {
		var err error
		c.MultiStatementEnabled, err = strconv.ParseBool(v)
		return err == nil
	}},
	{"x-statement-timeout", "milliseconds (500) and durations (2m)", func(c *Config, v string) bool {
		return parseDuration(&c.StatementTimeout, v, "ms") // the unit that other drivers of golang-migrate count in
	}},
}

func parseDuration(d *time.Duration, v, unit string) bool {
	if strings.Trim(v, "0123456789") == "" {
		v += unit
	}
	var err error
	*d, err = time.ParseDuration(v)
	return err == nil
}

// parseURL takes the x- options out of the URL; what remains is a DSN. The URL
// is not read as one here: a DSN with several hosts is none. No error quotes
// it, for it holds a password.
func parseURL(text string) (dsn string, cfg *Config, err error) {
	cfg = &Config{}
	base, query, _ := strings.Cut(text, "?")
	var rest []string
	given := map[string]bool{}
	for pair := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(name, "x-") {
			if pair != "" {
				rest = append(rest, pair)
			}
			continue
		}
		if given[name] {
			return "", nil, fmt.Errorf("%s: given twice", name)
		}
		given[name] = true
		if value, err = url.QueryUnescape(value); err != nil {
			return "", nil, fmt.Errorf("%s: not a valid value of a URL", name)
		}
		if err := setOption(cfg, name, value); err != nil {
			return "", nil, err
		}
	}
	if len(rest) > 0 {
		base += "?" + strings.Join(rest, "&")
	}
	return base, cfg, nil
}

func setOption(cfg *Config, name, value string) error {
	var known []string
	for _, o := range urlOptions {
		if o.name == name {
			if !o.set(cfg, value) {
				return fmt.Errorf("%s: valid values are %s", name, o.valid)
			}
			return nil
		}
		known = append(known, o.name)
	}
	return fmt.Errorf("%s: unknown option; the x- options are %s", name, strings.Join(known, ", "))
}
