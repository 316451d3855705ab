package immudb

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/immudb-go/immudb/internal/dsnscan"
	"github.com/immudb-go/immudb/internal/proof"
	"github.com/immudb-go/immudb/internal/session"
)

// An option is one key of a DSN. The functions are nil for the options that
// setServer reads and that have their own place in a URL.
type option struct {
	name   string
	valid  string // the valid values, as errors list them
	secret bool

	reset  func(c *Config)                // sets the default
	parse  func(c *Config, v string) bool // false: v is not valid
	format func(c *Config) string         // "" is the default, left out
	check  func(c *Config) bool           // false: the value in c is not valid
}

func (o *option) invalid() error { return fmt.Errorf("%s: valid values are %s", o.name, o.valid) }

// options holds every key of a DSN, sorted by name, with its default, its valid
// values and its error. Other keys are refused.
var options = sortedOptions(
	option{name: "host"},
	option{name: "port"},
	option{name: "user"},
	option{name: "password", secret: true},
	option{name: "passfile", format: func(c *Config) string { return c.PassFile }},
	option{name: "database"},

	targetOption(),
	balanceOption(),
	routingOption(),

	stringOption("sslmode", func(c *Config) *string { return &c.SSL.Mode }),
	stringOption("sslrootcert", func(c *Config) *string { return &c.SSL.RootCert }),
	stringOption("sslcert", func(c *Config) *string { return &c.SSL.Cert }),
	stringOption("sslkey", func(c *Config) *string { return &c.SSL.Key }),
	secretOption(stringOption("sslpassword", func(c *Config) *string { return &c.SSL.Password })),
	sniOption(),
	switchOption("strict", func(c *Config) *bool { return &c.Strict }),

	durationOption("connect_timeout", 10*time.Second, 0, func(c *Config) *time.Duration { return &c.ConnectTimeout }),
	intOption("max_retries", 16, 0, 1000, func(c *Config) *int { return &c.MaxRetries }),
	intOption("group_commit", 0, 0, 512, func(c *Config) *int { return &c.GroupCommit }),
	intOption("savepoint_memory", 16, 0, 1024, func(c *Config) *int { return &c.SavepointMemory }),
	switchOption("retry_commits", func(c *Config) *bool { return &c.RetryCommits }),
	intOption("own_writes_scan", 10_000, 0, 100_000, func(c *Config) *int { return &c.OwnWritesScan }),
	intOption("max_sessions", defaultMaxSessions, 1, 1000, func(c *Config) *int { return &c.MaxSessions }),
	durationOption("session_idle_timeout", 2*time.Minute, 0, func(c *Config) *time.Duration { return &c.SessionIdleTimeout }),
	durationOption("keepalive", 30*time.Second, time.Second, func(c *Config) *time.Duration { return &c.KeepAlive }),

	verifyOption(),
	stateOption(),
	stringOption("state_dir", func(c *Config) *string { return &c.Verify.StateDir }),
	stringOption("history", func(c *Config) *string { return &c.Verify.History }),
	stringOption("server_public_key", func(c *Config) *string { return &c.Verify.PublicKey }),
)

// aliases are the second names that libpq has for some options.
var aliases = map[string]string{"dbname": "database"}

func sortedOptions(os ...option) []option {
	slices.SortFunc(os, func(a, b option) int { return strings.Compare(a.name, b.name) })
	return os
}

// optionNames lists the valid keys for an error.
func optionNames() string {
	var names []string
	for _, o := range options {
		names = append(names, o.name)
	}
	for a := range aliases {
		names = append(names, a)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

func stringOption(name string, field func(*Config) *string) option {
	return option{
		name:   name,
		parse:  func(c *Config, v string) bool { *field(c) = v; return true },
		format: func(c *Config) string { return *field(c) },
	}
}

func secretOption(o option) option {
	o.secret = true
	return o
}

func targetOption() option {
	o := stringOption("target_session_attrs", func(c *Config) *string { return &c.TargetSessionAttrs })
	o.valid = "any, read-write, primary, read-only, standby and prefer-standby"
	o.check = func(c *Config) bool {
		return slices.Contains([]string{"", "any", "read-write", "primary", "read-only", "standby", "prefer-standby"}, c.TargetSessionAttrs)
	}
	return o
}

func balanceOption() option {
	o := stringOption("load_balance_hosts", func(c *Config) *string { return &c.LoadBalanceHosts })
	o.valid = "disable and random"
	o.check = func(c *Config) bool { return slices.Contains([]string{"", "disable", "random"}, c.LoadBalanceHosts) }
	return o
}

func routingOption() option {
	o := stringOption("read_routing", func(c *Config) *string { return &c.ReadRouting })
	o.valid = "primary and replica; replica needs several hosts, target_session_attrs=read-write or primary, and does not go with verify=reads"
	o.check = func(c *Config) bool {
		return c.ReadRouting == "" || c.ReadRouting == "primary" ||
			c.ReadRouting == "replica" && len(c.Hosts) > 1 && c.target() == session.Primary && !c.Verify.Reads
	}
	return o
}

func sniOption() option {
	return option{
		name:  "sslsni",
		valid: "0 and 1",
		parse: func(c *Config, v string) bool { c.SSL.NoSNI = v == "0"; return v == "0" || v == "1" },
		format: func(c *Config) string {
			if c.SSL.NoSNI {
				return "0"
			}
			return ""
		},
	}
}

// switchOption is off unless it is 1.
func switchOption(name string, field func(*Config) *bool) option {
	return option{
		name:  name,
		valid: "0 and 1",
		parse: func(c *Config, v string) bool { *field(c) = v == "1"; return v == "0" || v == "1" },
		format: func(c *Config) string {
			if *field(c) {
				return "1"
			}
			return ""
		},
	}
}

// verifyWords are the values of verify, which stand with commas between them.
var verifyWords = []struct {
	word  string
	field func(*VerifyConfig) *bool
}{
	{"trust-first-use", func(v *VerifyConfig) *bool { return &v.TrustFirstUse }},
	{"commits", func(v *VerifyConfig) *bool { return &v.Commits }},
	{"writes", func(v *VerifyConfig) *bool { return &v.Writes }},
	{"reads", func(v *VerifyConfig) *bool { return &v.Reads }},
	{"strict", func(v *VerifyConfig) *bool { return &v.Strict }},
}

func verifyOption() option {
	return option{
		name:  "verify",
		valid: "trust-first-use, commits, writes, reads and strict, each once and with a comma between them; strict needs reads",
		parse: func(c *Config, v string) bool {
			if v == "" {
				return true // the default
			}
			for word := range strings.SplitSeq(v, ",") {
				found := false
				for _, w := range verifyWords {
					if w.word == word && !*w.field(&c.Verify) {
						*w.field(&c.Verify), found = true, true
					}
				}
				if !found {
					return false
				}
			}
			return true
		},
		check: func(c *Config) bool { return c.Verify.Reads || !c.Verify.Strict },
		format: func(c *Config) string {
			var words []string
			for _, w := range verifyWords {
				if *w.field(&c.Verify) {
					words = append(words, w.word)
				}
			}
			return strings.Join(words, ",")
		},
	}
}

func stateOption() option {
	o := stringOption("trusted_state", func(c *Config) *string { return &c.Verify.State })
	o.valid = "tx:hash, a transaction id above 0 and 64 hex digits"
	o.check = func(c *Config) bool {
		_, err := proof.ParseState(c.Verify.State)
		return err == nil || c.Verify.State == ""
	}
	return o
}

func intOption(name string, def, least, most int, field func(*Config) *int) option {
	return option{
		name:  name,
		valid: fmt.Sprintf("whole numbers from %d to %d", least, most),
		reset: func(c *Config) { *field(c) = def },
		parse: func(c *Config, v string) bool {
			n, err := strconv.Atoi(v)
			*field(c) = n
			return err == nil && n >= least
		},
		format: func(c *Config) string {
			if n := *field(c); n != def {
				return strconv.Itoa(n)
			}
			return ""
		},
		check: func(c *Config) bool { n := *field(c); return least <= n && n <= most },
	}
}

// maxDuration is far beyond any sensible setting, and far below overflow.
const maxDuration = 24 * time.Hour

// durationOption takes seconds, as libpq does, or a Go duration: 0, or from
// least to maxDuration.
func durationOption(name string, def, least time.Duration, field func(*Config) *time.Duration) option {
	valid := "0 and seconds (5) or durations (500ms, 2m) up to 24h"
	if least > 0 {
		valid = fmt.Sprintf("0 and seconds (5) or durations (90s, 2m) from %v to 24h", least)
	}
	return option{
		name:  name,
		valid: valid,
		reset: func(c *Config) { *field(c) = def },
		parse: func(c *Config, v string) bool {
			if v != "" && strings.Trim(v, "0123456789") == "" {
				v += "s"
			}
			d, err := time.ParseDuration(v)
			*field(c) = d
			return err == nil
		},
		format: func(c *Config) string {
			if d := *field(c); d != def {
				return d.String()
			}
			return ""
		},
		check: func(c *Config) bool {
			d := *field(c)
			return d == 0 || least <= d && 0 < d && d <= maxDuration
		},
	}
}

// knownSettings indexes settings by their canonical names; unknown and repeated ones
// are errors.
func knownSettings(settings []dsnscan.Setting) (map[string]string, error) {
	given := make(map[string]string, len(settings))
	for _, s := range settings {
		name := s.Key
		if canonical, ok := aliases[name]; ok {
			name = canonical
		}
		o := findOption(name)
		switch {
		case o == nil && (s.Unsure || !dsnscan.IsKey(name)):
			return nil, errors.New("unknown key; valid keys are " + optionNames() +
				" (if this was part of a password: in a URL write its special characters as %XX, elsewhere quote it)")
		case o == nil:
			return nil, fmt.Errorf("unknown key %q; valid keys are %s", name, optionNames())
		}
		if _, twice := given[name]; twice {
			return nil, fmt.Errorf("%s: given twice%s", name, alsoCalled(name))
		}
		given[name] = s.Value
	}
	return given, nil
}

func findOption(name string) *option {
	for i := range options {
		if options[i].name == name {
			return &options[i]
		}
	}
	return nil
}

func alsoCalled(name string) string {
	for alias, canonical := range aliases {
		if canonical == name {
			return " (" + alias + " is the same option)"
		}
	}
	return ""
}

// isKey tells [dsnscan.Scan] which keys a DSN may have, and which hold secrets.
func isKey(key string) (known, secret bool) {
	o := findOption(key)
	return o != nil, o != nil && o.secret
}
