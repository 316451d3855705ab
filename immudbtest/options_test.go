package immudbtest_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/codenotary/immudb/pkg/signer"
	"github.com/immudb-go/immudb/immudbtest"
	"google.golang.org/protobuf/types/known/emptypb"
)

func TestWithDirKeepsTheData(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "kept")
	for i := range 2 {
		srv, err := immudbtest.New(immudbtest.WithDir(dir), immudbtest.WithTLS())
		if err != nil {
			t.Fatal(err)
		}
		c := connect(t, srv.DSN())
		if i == 0 {
			c.must(t, createT, "INSERT INTO t (v) VALUES ('kept')")
		}
		if got, want := c.rows(t, "SELECT v FROM t"), []string{"kept"}; !slices.Equal(got, want) {
			t.Errorf("run %d: got %q, want %q", i, got, want)
		}
		if err := srv.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWithDirAndTLSShowTheSameCertificateAgain(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "kept")
	var files [2][]byte
	for i := range files {
		srv, err := immudbtest.New(immudbtest.WithDir(dir), immudbtest.WithTLS())
		if err != nil {
			t.Fatal(err)
		}
		if files[i], err = os.ReadFile(srv.CAFile()); err != nil {
			t.Error(err)
		}
		if err := srv.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(files[0], files[1]) {
		t.Error("a second server with the same directory has another authority")
	}
}

func TestWithPortListensThere(t *testing.T) {
	t.Parallel()
	first, err := immudbtest.New()
	if err != nil {
		t.Fatal(err)
	}
	_, text, err := net.SplitHostPort(first.Addr())
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	port, err := net.LookupPort("tcp", text)
	if err != nil {
		t.Fatal(err)
	}
	second := immudbtest.Start(t, immudbtest.WithPort(port))
	if second.Addr() != first.Addr() {
		t.Fatalf("listens on %s, want %s", second.Addr(), first.Addr())
	}
	connect(t, second.DSN())
}

func TestWithAdminPasswordChangesTheOneOfAnOldDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, opts := range [][]immudbtest.Option{
		nil,
		{immudbtest.WithAdminPassword("Another-1")},
	} {
		srv, err := immudbtest.New(append(opts, immudbtest.WithDir(dir))...)
		if err != nil {
			t.Fatal(err)
		}
		connect(t, srv.DSN())
		if err := srv.Restart(); err != nil {
			t.Fatal(err)
		}
		connect(t, srv.DSN())
		if err := srv.Close(); err != nil {
			t.Fatal(err)
		}
	}
	// Without the option the password stays what it is.
	srv := immudbtest.Start(t, immudbtest.WithDir(dir))
	if _, err := dial(t, srv.DSN()); err == nil {
		t.Fatal("the default password was restored without the option")
	}
}

func TestWithTLSShowsACertificateToTrust(t *testing.T) {
	t.Parallel()
	srv := immudbtest.Start(t, immudbtest.WithTLS())
	connect(t, srv.DSN())
	for _, host := range []string{"localhost", "127.0.0.1"} {
		u := parse(t, srv.DSN())
		u.Host = net.JoinHostPort(host, u.Port())
		connect(t, u.String())
	}
	plain := parse(t, srv.DSN())
	plain.RawQuery = "sslmode=disable"
	if _, err := dial(t, plain.String()); err == nil {
		t.Error("the server accepted a client without TLS")
	}
	other := immudbtest.Start(t, immudbtest.WithTLS())
	stranger := parse(t, srv.DSN())
	stranger.RawQuery = "sslmode=verify-full&sslrootcert=" + url.QueryEscape(other.CAFile())
	if _, err := dial(t, stranger.String()); err == nil || !strings.Contains(err.Error(), "unknown authority") {
		t.Errorf("got %v, want an unknown authority", err)
	}
}

func TestWithClientCertificatesDemandsOne(t *testing.T) {
	t.Parallel()
	srv := immudbtest.Start(t, immudbtest.WithTLS(), immudbtest.WithClientCertificates())
	connect(t, srv.DSN())
	if cert, key := srv.ClientCertFiles(); cert == "" || key == "" {
		t.Errorf("got %q and %q", cert, key)
	}
	u := parse(t, srv.DSN())
	q := u.Query()
	q.Del("sslcert")
	q.Del("sslkey")
	u.RawQuery = q.Encode()
	if _, err := dial(t, u.String()); err == nil {
		t.Error("the server accepted a client without a certificate")
	}
	if srv.NewDatabase(t) == "" { // the package's own calls show theirs
		t.Error("no DSN")
	}
}

func TestWithMaxSessionsIsExact(t *testing.T) {
	t.Parallel()
	const limit = 3
	srv := immudbtest.Start(t, immudbtest.WithMaxSessions(limit))
	var wg sync.WaitGroup
	errs := make([]error, 2*limit)
	for i := range errs {
		wg.Go(func() { _, errs[i] = dial(t, srv.DSN()) })
	}
	wg.Wait()
	opened := 0
	for _, err := range errs {
		switch {
		case err == nil:
			opened++
		case !strings.Contains(err.Error(), "max sessions number reached"):
			t.Errorf("got %v", err)
		}
	}
	if opened != limit || srv.Sessions() != limit {
		t.Errorf("%d sessions were opened and %d are open, want %d", opened, srv.Sessions(), limit)
	}
}

// The next two tests depend on the clock, so no other test may run at the same time.

func TestIdleSessionsAreDroppedInTime(t *testing.T) {
	const idle = 3 * time.Second
	srv := immudbtest.Start(t, immudbtest.WithSessionIdleTimeout(idle))
	for !keptBusy(t, srv, idle) {
		// The machine was too busy for the test to call in time, so the result is not valid.
	}
}

// keptBusy keeps one session busy and another idle, and checks which of them is
// dropped. It reports false if the busy one was left alone for too long.
func keptBusy(t *testing.T, srv *immudbtest.Server, idle time.Duration) bool {
	before := srv.Sessions()
	busy, quiet := connect(t, srv.DSN()), connect(t, srv.DSN())
	last := time.Now()
	for start := last; time.Since(start) < 2*idle; time.Sleep(idle / 20) {
		_, err := busy.KeepAlive(busy.ctx, &emptypb.Empty{})
		if time.Since(last) > idle/2 {
			return false
		}
		if err != nil {
			t.Fatalf("a busy session was dropped: %v", err)
		}
		last = time.Now()
	}
	if n := srv.Sessions() - before; n > 1 {
		t.Errorf("%d sessions are open, want the busy one", n)
	}
	if _, err := quiet.KeepAlive(quiet.ctx, &emptypb.Empty{}); err == nil {
		t.Error("an idle session was not dropped")
	}
	return true
}

func TestOldSessionsAreDroppedHoweverBusy(t *testing.T) {
	const age = 400 * time.Millisecond
	srv := immudbtest.Start(t, immudbtest.WithSessionMaxAge(age))
	start := time.Now()
	c := connect(t, srv.DSN())
	for ; ; time.Sleep(age / 20) {
		if _, err := c.KeepAlive(c.ctx, &emptypb.Empty{}); err != nil {
			if took := time.Since(start); took < age {
				t.Errorf("dropped after %v, want %v", took, age)
			}
			return
		}
		if time.Since(start) > 10*time.Second {
			t.Fatal("the session was not dropped")
		}
	}
}

func TestWithSigningKeySignsStates(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "signing.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	c := connect(t, immudbtest.Start(t, immudbtest.WithSigningKey(file)).DSN())
	c.must(t, createT)
	state, err := c.CurrentState(c.ctx, &emptypb.Empty{})
	if err != nil {
		t.Fatal(err)
	}
	if err := signer.Verify(state.ToBytes(), state.GetSignature().GetSignature(), &key.PublicKey); err != nil {
		t.Fatalf("the state of tx %d: %v", state.GetTxId(), err)
	}
}

func TestWithReplicaOfFollowsAndRefusesWrites(t *testing.T) {
	t.Parallel()
	primary := immudbtest.Start(t, immudbtest.WithAdminPassword("Replicated-1"))
	writer := connect(t, primary.DSN())
	writer.must(t, createT, "INSERT INTO t (v) VALUES ('before')")
	replica := immudbtest.Start(t, immudbtest.WithReplicaOf(primary.DSN()))
	reader := connect(t, replica.DSN())
	awaitTx(t, reader, writer)
	awaitRows(t, reader, "before")
	writer.must(t, "INSERT INTO t (v) VALUES ('after')")
	awaitRows(t, reader, "before", "after")
	if err := reader.exec("INSERT INTO t (v) VALUES ('x')"); err == nil || !strings.Contains(err.Error(), "replica") {
		t.Errorf("a write on the replica: got %v", err)
	}
	if err := replica.Restart(); err != nil {
		t.Fatal(err)
	}
	awaitRows(t, connect(t, replica.DSN()), "before", "after")

	// An unreachable primary must not delay the end of the replica for long.
	if err := primary.Stop(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(200 * time.Millisecond)
	start := time.Now()
	if err := replica.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(start); took > 15*time.Second {
		t.Errorf("closing the replica took %v", took)
	}
}

func TestPromotedReplicaTakesWritesAndTheOldPrimaryFollowsIt(t *testing.T) {
	t.Parallel()
	first := immudbtest.Start(t)
	old := connect(t, first.DSN())
	old.must(t, createT, "INSERT INTO t (v) VALUES ('first')")
	second := immudbtest.Start(t, immudbtest.WithReplicaOf(first.DSN()))
	reader := connect(t, second.DSN())
	awaitTx(t, reader, old)
	awaitRows(t, reader, "first")
	if err := first.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := second.Promote(); err != nil {
		t.Fatal(err)
	}
	writer := connect(t, second.DSN())
	writer.must(t, "INSERT INTO t (v) VALUES ('second')")
	if err := first.Follow(second.DSN()); err != nil {
		t.Fatal(err)
	}
	follower := connect(t, first.DSN())
	awaitTx(t, follower, writer)
	awaitRows(t, follower, "first", "second")
	if err := follower.exec("INSERT INTO t (v) VALUES ('x')"); err == nil || !strings.Contains(err.Error(), "replica") {
		t.Errorf("a write on the old primary: %v", err)
	}
	if err := first.Follow("postgres://immudb:secret@h/d"); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("Follow of another database: %v", err)
	}
}

// awaitTx waits until the replica has all transactions of its primary. No query may come before: the server's first query
// of a database races with its replication (an unlocked map of indexes), which the race detector finds.
func awaitTx(t *testing.T, replica, of *client) {
	t.Helper()
	newest, err := of.CurrentState(of.ctx, &emptypb.Empty{})
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if state, err := replica.CurrentState(replica.ctx, &emptypb.Empty{}); err == nil && state.GetTxId() >= newest.GetTxId() {
			return
		}
	}
	t.Fatalf("the replica does not have transaction %d", newest.GetTxId())
}

func awaitRows(t *testing.T, c *client, want ...string) {
	t.Helper()
	var rows []string
	var err error
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if rows, _, err = c.query("SELECT v FROM t"); err == nil && slices.Equal(rows, want) {
			return
		}
	}
	t.Fatalf("the replica has %q (%v), want %q", rows, err, want)
}

func TestWithPostgreSQLAnswersOnItsPort(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		opts []immudbtest.Option
		want byte // the answer to "will you speak TLS?"
	}{
		{nil, 'N'},
		{[]immudbtest.Option{immudbtest.WithTLS()}, 'S'},
	} {
		srv := immudbtest.Start(t, append(c.opts, immudbtest.WithPostgreSQL(0))...)
		conn, err := net.Dial("tcp", srv.PostgreSQLAddr())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		sslRequest := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, 8), 80877103)
		if _, err := conn.Write(sslRequest); err != nil {
			t.Fatal(err)
		}
		answer := make([]byte, 1)
		if _, err := io.ReadFull(conn, answer); err != nil || answer[0] != c.want {
			t.Errorf("got %q, %v; want %q", answer, err, c.want)
		}
	}
	if addr := immudbtest.Start(t).PostgreSQLAddr(); addr != "" {
		t.Errorf("the port %s is open without the option", addr)
	}
}

func TestWithMaxResultSizeSplitsResults(t *testing.T) {
	t.Parallel()
	c := connect(t, immudbtest.Start(t, immudbtest.WithMaxResultSize(2)).DSN())
	c.must(t, createT, "INSERT INTO t (v) VALUES ('1'), ('2'), ('3'), ('4'), ('5')")
	_, batches, err := c.query("SELECT v FROM t")
	if err != nil {
		t.Fatal(err)
	}
	if want := []int{2, 2, 1}; !slices.Equal(batches, want) {
		t.Fatalf("messages brought %v rows, want %v", batches, want)
	}
}

// lateWriter fails when written to after the end, as the output of a test does.
type lateWriter struct {
	mu    sync.Mutex
	buf   bytes.Buffer
	ended bool
	late  []string
}

func (w *lateWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		w.late = append(w.late, string(p))
	}
	return w.buf.Write(p)
}

func TestWithLoggerLogsUntilCloseAndNoPassword(t *testing.T) {
	t.Parallel()
	for _, password := range []string{"Secret-of-1", "immudb"} {
		w := new(lateWriter)
		srv, err := immudbtest.New(immudbtest.WithLogger(w), immudbtest.WithAdminPassword(password))
		if err != nil {
			t.Fatal(err)
		}
		if err := srv.Close(); err != nil {
			t.Fatal(err)
		}
		w.mu.Lock()
		w.ended = true
		text := w.buf.String()
		w.mu.Unlock()
		if !strings.Contains(text, "sessions") && !strings.Contains(text, "stopping immudb") {
			t.Errorf("the log lacks the end of the server:\n%s", text)
		}
		if strings.Contains(text, "Secret-of-1") || strings.Contains(text, "default credentials") {
			t.Errorf("the log tells the password:\n%s", text)
		}
		w.mu.Lock()
		if len(w.late) > 0 {
			t.Errorf("logged after Close: %q", w.late)
		}
		w.mu.Unlock()
	}
}

func TestImpossibleOptionsAreRefusedByName(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		option immudbtest.Option
		want   string
	}{
		{immudbtest.WithMaxSessions(0), "max sessions is 0; it must be at least 1"},
		{immudbtest.WithMaxResultSize(-1), "max result size is -1; it must be at least 1"},
		{immudbtest.WithSessionIdleTimeout(0), "session idle timeout is 0s; it must be positive"},
		{immudbtest.WithSessionMaxAge(-time.Second), "session max age is -1s; it must be positive"},
		{immudbtest.WithAdminPassword(""), "the admin password is empty; the server needs one"},
		{immudbtest.WithClientCertificates(), "client certificates need TLS; add WithTLS"},
		{immudbtest.WithSigningKey("no/such/file"), "no such file or directory"},
		{immudbtest.WithReplicaOf("postgres://immudb:secret@h/d"), `starts with "postgres"; it must start with immudb://`},
		{immudbtest.WithReplicaOf("immudb://immudb:secret@[::1/d"), "the primary's DSN is not a URL"},
		{immudbtest.WithReplicaOf("immudb://immudb:secret@h:0/d"), `port "0" is not a number from 1 to 65535`},
		{immudbtest.WithReplicaOf("immudb://immudb:secret@h/d?sslmode=verify-full"), "replicates without TLS only"},
		{immudbtest.WithReplicaOf("immudb://other:secret@h/d?sslmode=disable"), "must log in as immudb"},
		{immudbtest.WithReplicaOf("immudb://immudb@h/d?sslmode=disable"), "with the password"},
	} {
		srv, err := immudbtest.New(c.option)
		if err == nil {
			t.Errorf("accepted, want %q", c.want)
			if err := srv.Close(); err != nil {
				t.Error(err)
			}
			continue
		}
		text := err.Error()
		if !strings.Contains(text, c.want) || strings.Contains(text, "secret") || strings.Count(text, "immudbtest: ") != 1 {
			t.Errorf("got  %s\nwant immudbtest: …%s…", text, c.want)
		}
	}
}

func parse(t *testing.T, dsn string) *url.URL {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
