package dbtest

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/wire"
)

// WireTo opens a session on the database of a DSN without the driver, and closes it with the test.
func WireTo(t testing.TB, dsn string) *Wire {
	t.Helper()
	cfg, err := immudb.ParseDSN(dsn)
	if err != nil {
		t.Fatal(err)
	}
	w, err := OpenWire(t.Context(), cfg.Hosts[0], cfg.User, cfg.Password, cfg.Database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.call(context.WithoutCancel(t.Context()), wire.MethodCloseSession, nil, wire.Empty); err != nil {
			t.Error(err)
		}
		w.Close(t)
	})
	return w
}

// Told is the server's answer to a query as text: rows separated by a blank, values by a comma; or its error.
func (w *Wire) Told(t testing.TB, query string, args ...any) string {
	rows, err := w.Query(t.Context(), query, args...)
	if err != nil {
		return err.Error()
	}
	lines := make([]string, len(rows))
	for i, row := range rows {
		values := make([]string, len(row))
		for k, v := range row {
			values[k] = fmt.Sprint(v)
		}
		lines[i] = strings.Join(values, ",")
	}
	return strings.Join(lines, " ")
}
