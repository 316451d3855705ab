package tlscreds

import (
	"context"
	"log/slog"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc/credentials"
)

// renewed are credentials that are made again when the files of SSL have changed, so that
// a certificate can be replaced while the program runs. They look at the files before
// each handshake: in TLS 1.3 a server refuses the client's certificate after the client's
// part of the handshake has succeeded, so a failed handshake alone does not tell.
// Connections that are open are not affected.
type renewed struct {
	files []string
	load  func() (credentials.TransportCredentials, error)
	log   *slog.Logger
	addr  string

	mu    sync.Mutex
	seen  []fileVersion // of files, when current was made
	creds credentials.TransportCredentials
}

// fileVersion tells one content of a file from the next.
type fileVersion struct {
	info os.FileInfo // nil: the file could not be found
}

func versionOf(path string) fileVersion {
	info, err := os.Stat(path)
	if err != nil {
		return fileVersion{}
	}
	return fileVersion{info}
}

func (v fileVersion) same(other fileVersion) bool {
	if v.info == nil || other.info == nil {
		return v.info == other.info
	}
	return os.SameFile(v.info, other.info) && v.info.Size() == other.info.Size() && v.info.ModTime().Equal(other.info.ModTime())
}

// settled reports whether a later change of the file would show in its version: file
// systems round times.
func (v fileVersion) settled() bool {
	return v.info == nil || time.Since(v.info.ModTime()) > 2*time.Second
}

func (r *renewed) versions() []fileVersion {
	var all []fileVersion
	for _, path := range r.files {
		all = append(all, versionOf(path))
	}
	return all
}

// current returns the credentials, made of the files as they are now. If that fails,
// those from before are used: the files may be in the middle of a replacement.
func (r *renewed) current() credentials.TransportCredentials {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.versions()
	if slices.EqualFunc(now, r.seen, func(a, b fileVersion) bool { return a.same(b) && a.settled() }) {
		return r.creds
	}
	creds, err := r.load()
	if err != nil {
		r.log.Warn("immudb certificate files could not be read again", slog.String("host", r.addr), slog.String("reason", err.Error()))
		return r.creds
	}
	r.creds, r.seen = creds, now
	return creds
}

func (r *renewed) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return r.current().ClientHandshake(ctx, authority, raw)
}

func (r *renewed) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return r.current().ServerHandshake(raw)
}

func (r *renewed) Info() credentials.ProtocolInfo {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.creds.Info()
}

// Clone returns r: what it shares may be shared.
func (r *renewed) Clone() credentials.TransportCredentials { return r }

func (r *renewed) OverrideServerName(name string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	//lint:ignore SA1019 the interface has the method
	return r.creds.OverrideServerName(name)
}

// New makes credentials that follow the files that SSL names.
func New(s Settings, log *slog.Logger) (credentials.TransportCredentials, error) {
	var files []string
	if s.TLS == nil {
		for _, path := range []string{s.SSL.RootCert, s.SSL.Cert, s.SSL.Key} {
			if path != "" && path != "system" {
				files = append(files, path)
			}
		}
	}
	r := &renewed{files: files, log: log, addr: s.Addr, load: s.credentials}
	seen := r.versions()
	creds, err := r.load()
	if err != nil || len(files) == 0 {
		return creds, err
	}
	r.creds, r.seen = creds, seen
	return r, nil
}
