//go:build unix

package main

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
)

// terminal is the program on a terminal.
type terminal struct {
	t      *testing.T
	tty    *os.File
	mu     sync.Mutex
	screen strings.Builder
	ended  chan struct{}
}

// terminalRun starts this test's own program, which is the command, on a terminal.
func terminalRun(t *testing.T, dsn, history string) *terminal {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "IMMUDB_SQL_AS_PROGRAM=1", "IMMUDB_DSN="+dsn, "IMMUDB_SQL_HISTORY="+history, "TERM=xterm")
	tty, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 40, Cols: 120})
	if err != nil {
		t.Fatal(err)
	}
	term := &terminal{t: t, tty: tty, ended: make(chan struct{})}
	go func() {
		defer close(term.ended)
		buf := make([]byte, 4096)
		for answered := 0; ; {
			n, err := tty.Read(buf)
			term.mu.Lock()
			term.screen.Write(buf[:n])
			asked := strings.Count(term.screen.String(), "\x1b[6n") // where the cursor is
			term.mu.Unlock()
			for ; err == nil && answered < asked; answered++ {
				_, err = io.WriteString(tty, "\x1b[1;1R")
			}
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		tty.Close()
		<-term.ended
	})
	return term
}

// typed sends keys, and waits for the text to appear after them.
func (term *terminal) typed(keys, until string) {
	term.t.Helper()
	term.mu.Lock()
	seen := term.screen.Len()
	term.mu.Unlock()
	if _, err := io.WriteString(term.tty, keys); err != nil {
		term.t.Fatal(err)
	}
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		term.mu.Lock()
		all := term.screen.String()
		term.mu.Unlock()
		if strings.Contains(all[seen:], until) {
			return
		}
		if time.Now().After(deadline) {
			term.t.Fatalf("after %q there is no %q:\n%s", keys, until, all)
		}
	}
}

func TestOnATerminalThereAreAPromptCompletionAndAHistoryWithoutPasswords(t *testing.T) {
	dsn := database(t)
	want(t, dsn, "CREATE TABLE ledger_lines (id INTEGER, text VARCHAR, PRIMARY KEY id); UPSERT INTO ledger_lines (id, text) VALUES (1, 'found');", "", "-quiet")
	history := filepath.Join(t.TempDir(), "history")
	term := terminalRun(t, dsn, history)
	term.typed("", "=> ")
	term.typed("SELECT text\r", "-> ")
	term.typed("from ledger_l\t", "from ledger_lines ")
	term.typed("WHERE id = 1;\r", "found")
	term.typed("BEGIN;\r", "=*> ")
	term.typed("SELECT 'it\r", "'*> ")
	term.typed("\x03", "=*> ")
	term.typed("ROLLBACK;\r", "=> ")
	term.typed("CREATE USER joe WITH PASSWORD\r", "-> ")
	term.typed("'Geheim-7' ADMIN;\r", "=> ")
	term.typed("\\c immudb://joe:Geheim-7@127.0.0.1:1/x?sslmode=disable\r", "refused")
	term.typed("nonsense;\r", "syntax error")
	term.typed("exit\r", "")
	select {
	case <-term.ended:
	case <-time.After(60 * time.Second):
		t.Fatal("the shell has not ended")
	}
	text, err := os.ReadFile(history)
	if err != nil {
		t.Fatal(err)
	}
	if got, wanted := trimmed(string(text)), "SELECT text\nfrom ledger_lines WHERE id = 1;\nBEGIN;\nROLLBACK;\nnonsense;\n"; got != wanted {
		t.Errorf("the history is\n%s\nwant\n%s", got, wanted)
	}
	if info, err := os.Stat(history); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the history is for others: %v %v", info, err)
	}
}
