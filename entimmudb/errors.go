package entimmudb

import (
	"errors"
	"fmt"

	"github.com/immudb-go/immudb"
)

// constraint is an error that ent knows, by its text, as one of a constraint.
type constraint struct {
	error
	kind string
}

func (e constraint) Error() string { return e.error.Error() + ": " + e.kind }
func (e constraint) Unwrap() error { return e.error }

// named adds to an error what ent looks for in the errors of databases.
func named(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.As(err, new(constraint)):
		return err
	case errors.Is(err, immudb.ErrDuplicateKey):
		return constraint{err, "UNIQUE constraint failed"}
	case errors.Is(err, immudb.ErrCheck):
		return constraint{err, "CHECK constraint failed"}
	}
	return err
}

func unsupported(format string, args ...any) error {
	return fmt.Errorf("entimmudb: %w: "+format, append([]any{immudb.ErrUnsupported}, args...)...)
}
