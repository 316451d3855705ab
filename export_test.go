package immudb

import "time"

// AgeCatalog makes what the connector remembers of tables older.
func (c *Conn) AgeCatalog(by time.Duration) {
	catalog := &c.connector.catalog
	catalog.mu.Lock()
	defer catalog.mu.Unlock()
	for key, r := range catalog.tables {
		r.from = r.from.Add(-by)
		catalog.tables[key] = r
	}
}
