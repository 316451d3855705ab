package immudbtest

import (
	"net"
	"testing"
)

// The server binds the port of the PostgreSQL protocol long after it was found free.
func TestAPortThatAnotherProcessTakesMeanwhileIsLeftToIt(t *testing.T) {
	t.Parallel()
	thief, err := listenFree()
	if err != nil {
		t.Fatal(err)
	}
	defer thief.Close()
	taken := thief.Addr().(*net.TCPAddr).Port

	s := Start(t, WithPostgreSQL(0))
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l, err := listen(s.port)
	if err != nil {
		t.Fatal(err)
	}
	s.pgPort = 0
	ports := 0
	s.run, err = s.serveOn(l, func() (int, error) {
		if ports++; ports == 1 {
			return taken, nil
		}
		return freePort()
	})
	if err != nil {
		t.Fatal(err)
	}
	if ports != 2 || s.pgPort == taken {
		t.Errorf("%d ports were tried, and %d is the server's", ports, s.pgPort)
	}
}
