package gormimmudb

import (
	"errors"
	"fmt"

	"gorm.io/gorm"

	"github.com/immudb-go/immudb"
)

// translations maps the driver's errors to gorm's. gorm.ErrForeignKeyViolated is not among
// them: the server does not enforce foreign keys.
var translations = []struct{ driver, gorm error }{
	{immudb.ErrDuplicateKey, gorm.ErrDuplicatedKey},
	{immudb.ErrCheck, gorm.ErrCheckConstraintViolated},
}

// Translate returns an error that wraps gorm's error and the driver's, so that errors.Is
// finds both. gorm calls it if TranslateError is set.
func (d *Dialector) Translate(err error) error {
	for _, t := range translations {
		if errors.Is(err, t.driver) && !errors.Is(err, t.gorm) {
			return fmt.Errorf("%w: %w", t.gorm, err)
		}
	}
	return err
}

// unsupported makes an error for something that the server does not support.
func unsupported(format string, args ...any) error {
	return fmt.Errorf("gormimmudb: %w: "+format, append([]any{immudb.ErrUnsupported}, args...)...)
}
