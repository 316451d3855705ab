package libpq

import (
	"errors"
	"fmt"
	"net"
	"os"
)

// ReadPassFile reads the password of a user from a file in the format of libpq's
// .pgpass: that of the first line for the address (host:port), the database and the
// user.
func ReadPassFile(path, addr, database, user string) (string, error) {
	// pgconn ignores a file that it cannot read, and uses no password.
	if err := Readable(path); err != nil {
		return "", fmt.Errorf("passfile: %w", err)
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", fmt.Errorf("passfile: %w", err)
	}
	pc, err := Parse(map[string]string{"host": host, "port": port, "user": user, "database": database, "passfile": path})
	if err != nil {
		return "", err
	}
	if pc.Password == "" {
		return "", errors.New("passfile: no line matches the first host, its port, the database and the user " +
			"(host:port:database:user:password)")
	}
	return pc.Password, nil
}

// Readable returns why a file cannot be opened, or nil.
func Readable(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return f.Close()
}
