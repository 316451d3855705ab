package migrateimmudb

import "github.com/golang-migrate/migrate/v4/database"

// Sleep makes the driver's process pause: it holds the lock and does not renew it.
func Sleep(d database.Driver) { d.(*Immudb).lock.Load().Forget() }

// Kill ends the driver's process without a release of the lock.
func Kill(d database.Driver) error {
	im := d.(*Immudb)
	im.lock.Swap(nil).Forget()
	return im.Close()
}
