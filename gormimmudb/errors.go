package gormimmudb

import (
	"errors"
	"fmt"

	"gorm.io/gorm"

	"github.com/immudb-go/immudb"
)

// translations pairs the driver's errors with gorm's. There is no pair for
// gorm.ErrForeignKeyViolated: the server enforces no foreign keys.
var translations = []struct{ driver, gorm error }{
	{immudb.ErrDuplicateKey, gorm.ErrDuplicatedKey},
	{immudb.ErrCheck, gorm.ErrCheckConstraintViolated},
}

// Translate returns an error that is gorm's own as well as the driver's, so that
// errors.Is finds both. gorm calls it when TranslateError is set.
func (d *Dialector) Translate(err error) error {
	for _, t := range translations {
		if errors.Is(err, t.driver) && !errors.Is(err, t.gorm) {
			return fmt.Errorf("%w: %w", t.gorm, err)
		}
	}
	return err
}

// unsupported makes an error for what the server cannot do.
func unsupported(format string, args ...any) error {
	return fmt.Errorf("gormimmudb: %w: "+format, append([]any{immudb.ErrUnsupported}, args...)...)
}
