package immudb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"

	"github.com/immudb-go/immudb/internal/session"
	"github.com/immudb-go/immudb/internal/wire"
)

// login makes the requests that open a connector's sessions.
type login struct {
	cfg *Config
	log *slog.Logger

	mu       sync.Mutex
	password string // the one in use: of the Config, or read last from PassFile
}

// request returns a request to open a session. refused is the request that a server has
// refused because of its user or password, or nil. Then the password is read again from
// PassFile, and nil is returned if the request would be the same.
func (l *login) request(ctx context.Context, refused []byte) ([]byte, error) {
	if refused != nil && l.cfg.PassFile == "" && l.cfg.BeforeOpen == nil {
		return nil, nil
	}
	s := l.cfg.UserDatabaseSession
	s.Password = l.current(refused != nil)
	if f := l.cfg.BeforeOpen; f != nil {
		if err := f(ctx, &s); err != nil {
			return nil, &session.RequestError{Err: &Error{Message: "no session was opened, because Config.BeforeOpen failed", SQLState: "28000", kind: ErrAuthentication, cause: err}}
		}
		if s.Database != l.cfg.Database {
			return nil, &session.RequestError{Err: errBeforeOpenDatabase}
		}
	}
	req := wire.OpenSessionRequest(s.User, s.Password, s.Database)
	if bytes.Equal(req, refused) {
		return nil, nil
	}
	return req, nil
}

var errBeforeOpenDatabase = &Error{
	Message:  "Config.BeforeOpen has changed the database, which a connector has only one of: make a connector for each database",
	SQLState: "22023",
}

// current is the password in use, after it was read from PassFile if again is set. A file
// that cannot be read, or has no line for the user, changes nothing: it may be about to
// be replaced.
func (l *login) current(again bool) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !again || l.cfg.PassFile == "" {
		return l.password
	}
	password, err := l.cfg.readPassFile()
	if err != nil {
		l.log.Warn("immudb passfile could not be read again", slog.String("reason", err.Error()))
		return l.password
	}
	l.password = password
	return password
}

// readPassFile reads the password of the user from PassFile: that of the line for the
// first host and the database.
func (c *Config) readPassFile() (string, error) {
	// pgconn ignores a file that it cannot read, and uses no password.
	if err := readable(c.PassFile); err != nil {
		return "", fmt.Errorf("passfile: %w", err)
	}
	host, port, err := net.SplitHostPort(c.Hosts[0])
	if err != nil {
		return "", fmt.Errorf("passfile: %w", err)
	}
	pc, err := parseByPgconn(map[string]string{
		"host": host, "port": port, "user": c.User, "database": c.Database, "passfile": c.PassFile,
	})
	if err != nil {
		return "", err
	}
	if pc.Password == "" {
		return "", errors.New("passfile: no line matches the first host, its port, the database and the user " +
			"(host:port:database:user:password)")
	}
	return pc.Password, nil
}
