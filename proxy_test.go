package immudb_test

import (
	"testing"

	"github.com/immudb-go/immudb/internal/tamperproxy"
)

// proxy is the server that nobody should have to believe.
type proxy struct{ *tamperproxy.Proxy }

func startProxy(t testing.TB, dsn string) (*proxy, string) {
	t.Helper()
	p, through := tamperproxy.Start(t, dsn)
	return &proxy{p}, through
}

func (p *proxy) connect(t testing.TB, dsn string) { p.Connect(t, dsn) }

func (p *proxy) tamper(request, answer func(method string, msg []byte) []byte) {
	p.Tamper(request, answer)
}

func (p *proxy) count(method string) int { return p.Count(method) }

func (p *proxy) refusing(method string, err error) { p.Refuse(method, err) }
