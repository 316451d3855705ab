package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// command is a run of the program inside the test.
type command struct {
	ready
	stdin io.WriteCloser
	out   *bufio.Reader
	end   context.CancelFunc // as SIGTERM does
	done  chan error
}

func start(t *testing.T, args ...string) *command {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	stdin, stdinWriter := io.Pipe()
	stdoutReader, stdout := io.Pipe()
	c := &command{stdin: stdinWriter, out: bufio.NewReader(stdoutReader), end: cancel, done: make(chan error, 1)}
	go func() {
		err := run(ctx, args, stdin, stdout, io.Discard)
		_ = stdout.CloseWithError(io.EOF) // never fails
		c.done <- err
	}()
	c.read(t, &c.ready)
	return c
}

func (c *command) read(t *testing.T, into any) {
	t.Helper()
	line, err := c.out.ReadBytes('\n')
	if err != nil {
		t.Fatalf("%v; the program ended with %v", err, <-c.done)
	}
	if err := json.Unmarshal(line, into); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
}

func (c *command) ask(t *testing.T, line string) answer {
	t.Helper()
	if _, err := io.WriteString(c.stdin, line+"\n"); err != nil {
		t.Fatal(err)
	}
	var a answer
	c.read(t, &a)
	return a
}

func exists(t *testing.T, path string) bool {
	t.Helper()
	_, err := os.Stat(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return err == nil
}

func TestTheReadyLineSaysWhereTheServerIs(t *testing.T) {
	t.Parallel()
	c := start(t, "-tls", "-client-certs", "-pgsql")
	for _, addr := range []string{c.Addr, c.PostgreSQLAddr} {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{c.Dir, c.CAFile, c.ClientCertFile, c.ClientKeyFile} {
		if file == "" || !exists(t, file) {
			t.Errorf("%q is not there", file)
		}
	}
	if c.PID != os.Getpid() || !strings.Contains(c.DSN, "@"+c.Addr+"/defaultdb?") {
		t.Errorf("got pid %d and %s", c.PID, c.DSN)
	}
	c.end()
	if err := <-c.done; err != nil {
		t.Fatal(err)
	}
	if exists(t, c.Dir) {
		t.Errorf("%s is still there", c.Dir)
	}
}

func TestWithControlTheServerObeysAndEndsWithItsInput(t *testing.T) {
	t.Parallel()
	c := start(t, "-control")
	if a := c.ask(t, "new-database"); !strings.HasPrefix(a.DSN, "immudb://immudb:immudb@"+c.Addr+"/db") {
		t.Errorf("new-database: %+v", a)
	}
	if a := c.ask(t, "discard immudb://immudb:immudb@"+c.Addr+"/nosuch"); a != (answer{}) {
		t.Errorf("discard: %+v", a)
	}
	for _, line := range []string{"sessions", "drop-sessions"} {
		if a := c.ask(t, line); a.Sessions == nil || *a.Sessions != 0 {
			t.Errorf("%s: %+v, want 0 sessions", line, a)
		}
	}
	if a := c.ask(t, "dance"); a.Error != `unknown command "dance"` {
		t.Errorf("dance: %+v", a)
	}
	if err := c.stdin.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-c.done; err != nil {
		t.Fatal(err)
	}
	if exists(t, c.Dir) {
		t.Errorf("%s is still there", c.Dir)
	}
}

func TestADirectoryOutlivesTheServerUnlessItIsTemporaryAndOrphaned(t *testing.T) {
	t.Parallel()
	endInput := func(c *command) { _ = c.stdin.Close() } // never fails
	endSignal := func(c *command) { c.end() }
	for _, c := range []struct {
		name string
		args []string
		end  func(*command)
		want bool
	}{
		{"signal", nil, endSignal, true},
		{"end of input", []string{"-control"}, endInput, true},
		{"temporary, signal", []string{"-control", "-temporary"}, endSignal, true}, // the parent lives and may restart it
		{"temporary, end of input", []string{"-control", "-temporary"}, endInput, false},
	} {
		dir := filepath.Join(t.TempDir(), "data")
		s := start(t, append(c.args, "-tls", "-dir="+dir)...)
		c.end(s)
		if err := <-s.done; err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		for _, path := range []string{s.Dir, s.CAFile} {
			if got := exists(t, path); got != c.want {
				t.Errorf("%s: there is a %s: %v, want %v", c.name, filepath.Base(path), got, c.want)
			}
		}
	}
}

func TestThePasswordComesFromAFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("Pass-w0rd\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := start(t, "-control", "-admin-password-file="+file)
	if !strings.HasPrefix(c.DSN, "immudb://immudb:Pass-w0rd@") {
		t.Errorf("got %s", c.DSN)
	}
	if a := c.ask(t, "new-database"); a.Error != "" { // it logs in to do so
		t.Error(a.Error)
	}
}

func TestFlagsSetTheOptionsOfTheirNames(t *testing.T) {
	t.Parallel()
	// Each value must be refused by the option that it is for.
	for flag, want := range map[string]string{
		"-max-sessions=0":           "max sessions is 0",
		"-session-idle=-1s":         "session idle timeout is -1s",
		"-session-max-age=-1s":      "session max age is -1s",
		"-max-result-size=0":        "max result size is 0",
		"-signing-key=no/such/file": "no/such/file: no such file",
		"-replica-of=nowhere":       "must start with immudb://",
		"-client-certs":             "client certificates need TLS",
		"-pgsql-port=1":             "-pgsql-port needs -pgsql",
		"-temporary":                "-temporary needs -control and -dir",
		"-admin-password-file=none": "open none:",
		"-port=-1":                  "invalid port",
		"extra":                     `unexpected argument "extra"`,
		"-nonsense":                 "flag provided but not defined",
	} {
		var stdout bytes.Buffer
		err := run(t.Context(), []string{flag}, strings.NewReader(""), &stdout, io.Discard)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", flag, err, want)
		}
		if stdout.Len() > 0 {
			t.Errorf("%s: wrote %s", flag, &stdout)
		}
	}
}

func TestTheLogGoesToStandardError(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // it ends as soon as it is ready
	var stdout, stderr bytes.Buffer
	if err := run(ctx, []string{"-log"}, strings.NewReader(""), &stdout, &stderr); err != nil {
		t.Fatal(err)
	}
	if strings.Count(stdout.String(), "\n") != 1 || !strings.Contains(stderr.String(), "INFO: ") {
		t.Errorf("standard output:\n%s\nstandard error:\n%s", &stdout, &stderr)
	}
}
