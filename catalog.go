package immudb

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/immudb-go/immudb/internal/sqltext"
)

// table is what the driver needs to know of a table.
type table struct {
	columns       []string
	autoIncrement string // the AUTO_INCREMENT column, or ""
}

// catalog remembers tables for all connections of a connector. Other clients
// may change them at any time, so nothing is believed for long; changes made
// through this connector make it forget at once. The zero value is ready to use.
type catalog struct {
	mu      sync.Mutex
	tables  map[string]rememberedTable // by database and table
	changes int                        // how often it was made to forget
}

type rememberedTable struct {
	*table
	until time.Time
}

// catalogTTL is how long a table is remembered: it costs a query to look it up
// again, a third of a millisecond.
const catalogTTL = 5 * time.Second

func (c *catalog) get(key string) *table {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r, ok := c.tables[key]; ok && time.Now().Before(r.until) {
		return r.table
	}
	return nil
}

// put remembers a table as it was when there had been that many changes. If there
// were more since, it may be another one now.
func (c *catalog) put(key string, t *table, changes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.changes != changes {
		return
	}
	if c.tables == nil {
		c.tables = make(map[string]rememberedTable)
	}
	c.tables[key] = rememberedTable{t, time.Now().Add(catalogTTL)}
}

func (c *catalog) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.tables)
	c.changes++
}

func (c *catalog) changed() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changes
}

// table looks a table up as the open transaction, if there is one, sees it.
func (c *Conn) table(ctx context.Context, name string) (*table, error) {
	key := c.Database() + "." + name
	own := c.tx != nil && c.tx.tables != nil // this transaction changed the catalog
	if own {
		if t := c.tx.tables[key]; t != nil {
			return t, nil
		}
	} else if t := c.connector.catalog.get(key); t != nil {
		return t, nil
	}
	changes := c.connector.catalog.changed()
	if c.tx != nil {
		changes = c.tx.changes // what it sees is from when it began
	}
	t, err := c.describe(ctx, name)
	if err != nil {
		return nil, err
	}
	if own {
		c.tx.tables[key] = t
	} else {
		c.connector.catalog.put(key, t, changes)
	}
	return t, nil
}

// describe asks the server about a table.
func (c *Conn) describe(ctx context.Context, name string) (*table, error) {
	q, err := c.connector.texts.parse(`SELECT name, "auto_increment" FROM COLUMNS(?)`)
	if err != nil {
		return nil, err
	}
	if c.tx != nil {
		if err := c.tx.settle(ctx); err != nil {
			return nil, err
		}
	}
	args := []driver.NamedValue{{Ordinal: 1, Value: name}}
	set, err := c.stream(ctx, c.tx, q.Text, q, &q.statements[0], args)
	if err != nil {
		return nil, err
	}
	set.tx = c.tx
	defer set.close()
	if len(set.columns.list) != 2 {
		return nil, &Error{Message: fmt.Sprintf("the server describes table %s in %d columns, want 2", name, len(set.columns.list)), GRPC: codes.Internal}
	}
	t := &table{}
	row := make([]driver.Value, 2)
	for {
		switch err := set.next(row); {
		case errors.Is(err, io.EOF):
			return t, nil
		case err != nil:
			return nil, err
		}
		column, _ := row[0].(string)
		t.columns = append(t.columns, column)
		if auto, _ := row[1].(bool); auto {
			t.autoIncrement = column
		}
	}
}

// checkReturning refuses columns that the table does not have: the server
// answers NULL for them.
func (c *Conn) checkReturning(ctx context.Context, st *sqltext.Statement) error {
	if !st.Returning.Has || st.Returning.Star {
		return nil
	}
	for fresh := false; ; fresh = true {
		t, err := c.table(ctx, st.Table)
		if err != nil {
			return err
		}
		missing := slices.IndexFunc(st.Returning.Items, func(it sqltext.ReturnItem) bool {
			return !slices.Contains(t.columns, it.Column)
		})
		switch {
		case missing < 0:
			return nil
		case fresh:
			return newError(ErrNoSuchColumn, "42703", fmt.Sprintf("RETURNING %s: column does not exist in table %s",
				st.Returning.Items[missing].Column, st.Table))
		}
		c.connector.catalog.forget() // another client may have added it
	}
}

// quoteName writes a name that the catalog gave. The server folds quoted names
// to lower case but leaves unquoted names that are keywords as they are, so a
// name with upper case in it only works as it stands.
func quoteName(name string) string {
	if strings.ToLower(name) != name {
		return name
	}
	return `"` + name + `"`
}
