package tampertest

import (
	"bytes"
	"testing"

	"github.com/immudb-go/immudb/internal/dbtest"
	"github.com/immudb-go/immudb/internal/tamperproxy"
)

// A session whose id or server cannot be named in a call is none: it fails the call that
// opened it, and no later one.
func TestASessionThatCannotBeNamedIsNotKept(t *testing.T) {
	for what, at := range map[string]int{"the id": 1, "the uuid": 2} {
		p, dsn := tamperproxy.Start(t, dbtest.FreshDSN(t))
		db := dbtest.OpenDSN(t, dsn)
		var opened []string
		p.Tamper(nil, on("OpenSession", func(msg []byte) []byte {
			end := 2 + int(msg[1]) // of the id, which comes first
			opened = append(opened, string(msg[2:end]))
			if at == 1 {
				return append(append(bytes.Clone(msg[:end-1]), 0x07), msg[end:]...)
			}
			return append(bytes.Clone(msg[:len(msg)-1]), 0x07)
		}))
		if err := db.Ping(); err == nil {
			t.Errorf("%s: a name that no call can hold is accepted", what)
		}
		p.Tamper(nil, nil)
		if err := db.Ping(); err != nil {
			t.Errorf("%s: the honest session: %v", what, err)
		}
		for _, id := range opened { // the driver knows none of them
			if _, err := p.AskIn(id, "CloseSession", nil); err != nil {
				t.Error(err)
			}
		}
	}
}
