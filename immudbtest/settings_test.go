package immudbtest

import (
	"net"
	"testing"
)

func TestOnlyAKeptDirectoryIsSyncedUnlessAsked(t *testing.T) {
	for _, c := range []struct {
		opts []Option
		want bool
	}{
		{nil, false},                       // gone with the process anyway
		{[]Option{WithDir("d")}, true},     // somebody means to keep it
		{[]Option{WithSynced(true)}, true}, // asked
		{[]Option{WithSynced(false), WithDir("d")}, false},
		{[]Option{WithDir("d"), WithSynced(false)}, false}, // in whatever order
	} {
		s := &Server{cfg: newConfig(c.opts)}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if got := serverOptions(s, l).GetSynced(); got != c.want {
			t.Errorf("synced is %v, want %v", got, c.want)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
