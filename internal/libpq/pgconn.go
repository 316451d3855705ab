package libpq

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// pgconnSettings are the settings that pgconn would otherwise take from PG* variables,
// ~/.postgresql or ~/.pgpass, each with a value that means "not set". (The user, which
// pgconn takes from the operating system, is always given.)
var pgconnSettings = map[string]string{
	"host": DefaultHost, "port": DefaultPort, "database": "defaultdb", "password": "", "passfile": "",
	"sslmode": "disable", "sslrootcert": "", "sslcert": "", "sslkey": "", "sslpassword": "", "sslsni": "1",
	"sslcertmode": "allow", "sslnegotiation": "", "connect_timeout": "0", "target_session_attrs": "any",
	"min_protocol_version": "", "max_protocol_version": "", "channel_binding": "", "require_auth": "",
}

// Parse makes pgconn interpret only these settings. pgconn's errors hold the
// whole connection string; the returned error does not.
func Parse(settings map[string]string) (*pgconn.Config, error) {
	var b strings.Builder
	write := func(key, value string) {
		fmt.Fprintf(&b, "%s='%s' ", key, strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(value))
	}
	for key, unset := range pgconnSettings {
		if _, ok := settings[key]; !ok {
			write(key, unset)
		}
	}
	for key, value := range settings {
		write(key, value)
	}
	if os.Getenv("PGSERVICE") != "" {
		// A connection string cannot unset this variable, but it can name another file
		// with an empty service.
		path, err := emptyServiceFile()
		if err != nil {
			return nil, fmt.Errorf("PGSERVICE is set, and overriding it needs a writable temporary directory; unset it: %w", err)
		}
		defer os.Remove(path)
		write("service", "none")
		write("servicefile", path)
	}
	pc, err := pgconn.ParseConfig(b.String())
	if err == nil {
		return pc, nil
	}
	// The text and the ConnString field of this error hold the passwords; the wrapped
	// error does not. pgconn wraps none only when it refuses a port.
	if reason := errors.Unwrap(err); reason != nil {
		return nil, reason
	}
	return nil, ErrInvalidPort
}

func emptyServiceFile() (path string, err error) {
	f, err := os.CreateTemp("", "immudb-service-*")
	if err != nil {
		return "", err
	}
	_, err = f.WriteString("[none]\n")
	if err = errors.Join(err, f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}
