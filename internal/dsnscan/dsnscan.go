// Package dsnscan splits a DSN into keys and values. The driver does not use pgconn
// for it: pgconn mixes the DSN with values of the environment, keeps only the last
// of several values, and quotes a DSN that it cannot parse in its error, passwords
// included. A DSN that both accept means the same; a test of the driver compares
// them.
package dsnscan

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Setting is one key of a DSN with its value.
type Setting struct {
	Key, Value string
	// Unsure is true if Key may not be a key, but the end of the secret before it,
	// which holds a blank or an & that was not escaped.
	Unsure bool
}

// Keys reports whether a key exists, and whether its value is a secret.
type Keys func(key string) (known, secret bool)

func (k Keys) known(key string) bool {
	known, _ := k(key)
	return known
}

func (k Keys) secret(key string) bool {
	_, secret := k(key)
	return secret
}

// Scan splits a DSN in the URL form or the keyword/value form. Errors never hold a
// value.
func Scan(dsn string, keys Keys) ([]Setting, error) {
	if strings.ContainsRune(dsn, 0) {
		return nil, errors.New("must not hold a NUL byte")
	}
	scheme, rest, isURL := strings.Cut(dsn, "://")
	if !isURL || strings.ContainsAny(scheme, "= \t\n\r\v\f'") {
		return scanKeywords(dsn, keys)
	}
	if !strings.EqualFold(scheme, "immudb") {
		return nil, errors.New("the scheme must be immudb://")
	}
	return scanURL(rest, keys)
}

const lowerLetters = "abcdefghijklmnopqrstuvwxyz_"

// IsKey reports whether s looks like a key, so that an error may quote it.
func IsKey(s string) bool {
	return s != "" && len(s) <= 40 && strings.Trim(strings.ToLower(s), lowerLetters+"0123456789-.") == ""
}

const blanks = " \t\n\r\v\f"

// scanURL splits the part of a URL after immudb://.
func scanURL(s string, keys Keys) ([]Setting, error) {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] == 0x7f {
			return nil, errors.New("a URL must not hold blanks or control characters (not at its end either); write them as %XX")
		}
	}
	var settings []Setting
	var err error
	add := func(key, raw string) {
		if raw == "" || err != nil {
			return // an empty part is an option that was not given
		}
		var value string
		if value, err = unescape(raw); err != nil {
			err = fmt.Errorf("%s: %w", key, err)
			return
		}
		settings = append(settings, Setting{Key: key, Value: value})
	}

	// libpq's rule: the part before the first @ is the user, unless a / comes
	// first. An @ or ? that is not escaped is refused, because the DSN would then be
	// ambiguous.
	if i := strings.IndexAny(s, "@/"); i >= 0 && s[i] == '@' {
		user, password, _ := strings.Cut(s[:i], ":")
		if strings.Contains(s[:i], "?") {
			return nil, errors.New("write ? in a user or password as %3F, and @ in an option as %40")
		}
		add("user", user)
		add("password", password)
		s = s[i+1:]
	}
	if strings.Contains(s, "@") {
		return nil, errors.New("write / and @ in a user, password or option as %2F and %40")
	}

	s, query, _ := strings.Cut(s, "?")
	authority, database, _ := strings.Cut(s, "/")
	if strings.Contains(database, "/") {
		return nil, errors.New("database: must not hold a /")
	}
	hosts, ports, hostErr := scanHosts(authority)
	if hostErr != nil {
		return nil, hostErr
	}
	add("host", hosts)
	add("port", ports)
	add("database", database)
	if err != nil {
		return nil, err
	}

	afterSecret := false
	for query != "" {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		rawKey, rawValue, ok := strings.Cut(pair, "=")
		if !ok || strings.Contains(rawValue, "=") {
			return nil, errors.New("options must be key=value, joined by &; write & and = in a value as %26 and %3D")
		}
		key, err := unescape(rawKey)
		if err != nil {
			return nil, fmt.Errorf("the key of an option: %w", err)
		}
		value, err := unescape(rawValue)
		if err != nil {
			if !keys.known(key) {
				key = "the value of an option"
			}
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		settings = append(settings, Setting{key, value, afterSecret})
		afterSecret = afterSecret || keys.secret(key)
	}
	return settings, nil
}

// scanHosts splits name:port,[address]:port,… into a list of hosts and one of
// ports, still escaped. ports is empty when none is given.
func scanHosts(s string) (hosts, ports string, err error) {
	var hostList, portList []string
	for entry := range strings.SplitSeq(s, ",") {
		host, port := entry, ""
		if strings.HasPrefix(entry, "[") {
			addr, after, ok := strings.Cut(entry[1:], "]")
			if !ok || addr == "" || after != "" && after[0] != ':' {
				return "", "", errors.New("host: write an IPv6 address as [address] or [address]:port")
			}
			host, port = addr, strings.TrimPrefix(after, ":")
		} else {
			host, port, _ = strings.Cut(entry, ":")
			if strings.Contains(port, ":") {
				return "", "", errors.New("host: put an IPv6 address in brackets ([::1]:3322), and write : in a user or password as %3A")
			}
		}
		hostList, portList = append(hostList, host), append(portList, port)
	}
	ports = strings.Join(portList, ",")
	if strings.Trim(ports, ",") == "" {
		ports = ""
	}
	return strings.Join(hostList, ","), ports, nil
}

// unescape decodes %XX. Unlike url.PathUnescape, it refuses %00 and its error does
// not quote the value.
func unescape(s string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		n := uint64(0)
		if i+2 < len(s) {
			n, _ = strconv.ParseUint(s[i+1:i+3], 16, 8)
		}
		if n == 0 {
			return "", errBadEscape
		}
		b.WriteByte(byte(n))
		i += 2
	}
	return b.String(), nil
}

var errBadEscape = errors.New("% must be followed by two hexadecimal digits other than 00; write % itself as %25")

// scanKeywords splits the keyword/value form.
func scanKeywords(s string, keys Keys) ([]Setting, error) {
	var settings []Setting
	afterSecret := false
	for {
		if s = strings.TrimLeft(s, blanks); s == "" {
			return settings, nil
		}
		// The word before = may be the rest of a password that was not
		// quoted, so it is not repeated.
		key, rest, ok := strings.Cut(s, "=")
		key = strings.TrimRight(key, blanks)
		if !ok || key == "" || strings.ContainsAny(key, blanks) {
			return nil, errors.New("must be immudb://… or key=value pairs; quote a value that holds blanks or is empty: password='two words'")
		}
		value, rest, err := scanValue(strings.TrimLeft(rest, blanks))
		if err != nil {
			if !keys.known(key) {
				key = "the value of a key"
			}
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		// A plain word counts as a key: mistyped keys are more common than passwords
		// with a blank.
		settings = append(settings, Setting{key, value, afterSecret && strings.Trim(key, lowerLetters) != ""})
		afterSecret = afterSecret || keys.secret(key)
		s = rest
	}
}

// scanValue reads one value, quoted or not. A backslash escapes the next character.
func scanValue(s string) (value, rest string, err error) {
	quoted := strings.HasPrefix(s, "'")
	if quoted {
		s = s[1:]
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		case c == '\\':
			return "", "", errors.New(`ends in a backslash; write \ as \\`)
		case quoted && c == '\'':
			if rest = s[i+1:]; rest != "" && !strings.ContainsRune(blanks, rune(rest[0])) {
				return "", "", errors.New(`text follows the closing quote; write ' in a value as \'`)
			}
			return b.String(), rest, nil
		case !quoted && strings.IndexByte(blanks, c) >= 0:
			return b.String(), s[i:], nil
		default:
			b.WriteByte(c)
		}
	}
	if quoted {
		return "", "", errors.New(`the closing quote is missing; write ' in a value as \'`)
	}
	return b.String(), "", nil
}
