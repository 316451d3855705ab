package migrateimmudb

import "github.com/golang-migrate/migrate/v4/database"

// Sleep makes the driver's process one that does nothing for a while: the lock
// is held and not renewed.
func Sleep(d database.Driver) { d.(*Immudb).lock.Load().Forget() }

// Kill makes the driver's process end without giving the lock back.
func Kill(d database.Driver) error {
	im := d.(*Immudb)
	im.lock.Swap(nil).Forget()
	return im.Close()
}
