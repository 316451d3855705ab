package testserver

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// child is a running process with its standard streams.
type child struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser // when it closes, the child knows that its parent has died
	lines  chan []byte    // standard output, closed at its end
	tail   *tail          // the end of standard error, for error texts
	ending atomic.Bool    // the process was asked to end
	done   chan struct{}  // closed when the process has ended
	err    error          // how it ended; read after done

	// unanswered is set for good when an answer is late, because later answers could not be matched to their commands.
	unanswered error
}

// startChild runs a program in dir. With tie the kernel ends it when this process dies, on systems that can; tie is for
// programs that do not watch their standard input.
func startChild(bin string, args []string, dir string, tie bool) (*child, error) {
	c := &child{
		cmd:   exec.Command(bin, args...),
		lines: make(chan []byte, 16),
		tail:  new(tail),
		done:  make(chan struct{}),
	}
	c.cmd.Dir = dir
	c.cmd.Stderr = c.tail
	var err error
	if c.stdin, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	started := make(chan error)
	go func() {
		if tie {
			// The kernel ends the child when the thread that started it ends, so this thread must stay.
			runtime.LockOSThread()
			tieToThread(c.cmd)
		}
		err := c.cmd.Start()
		started <- err
		if err != nil {
			return
		}
		c.read(stdout)
		c.err = c.cmd.Wait()
		close(c.done)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return c, nil
}

// died returns how the process ended if it was not asked to end, and nil otherwise.
func (c *child) died() error {
	select {
	case <-c.done:
	default:
		return nil
	}
	if c.ending.Load() {
		return nil
	}
	how := "exit status 0"
	if c.err != nil {
		how = c.err.Error()
	}
	return fmt.Errorf("the server under test died (%s, process %d): %s", c.cmd.Path, c.cmd.Process.Pid, how)
}

// reportDeath writes to standard error, once, that a server died after its start without being stopped, with the end of its
// output. The tests report only that it died.
func (c *child) reportDeath() {
	<-c.done
	if err := c.died(); err != nil {
		fmt.Fprintf(os.Stderr, "testserver: %v%s\n", err, c.said())
	}
}

// read passes lines on. Lines that are not read are dropped, so that the child never blocks.
func (c *child) read(stdout io.Reader) {
	defer close(c.lines)
	for r := bufio.NewReader(stdout); ; {
		line, err := r.ReadBytes('\n')
		if err != nil {
			return
		}
		select {
		case c.lines <- line:
		default:
		}
	}
}

// answer reads one line of JSON that the process writes.
func (c *child) answer(into any, patience time.Duration) error {
	select {
	case line, ok := <-c.lines:
		if !ok {
			<-c.done
			if err := c.died(); err != nil {
				return err
			}
			return errors.New("the process ended")
		}
		return json.Unmarshal(line, into)
	case <-time.After(patience):
		c.unanswered = fmt.Errorf("no answer within %v", patience)
		return c.unanswered
	}
}

// ask writes a command and reads the answer. Calls must not overlap.
func (c *child) ask(command string, into any, patience time.Duration) error {
	if err := c.died(); err != nil {
		return err
	}
	if c.unanswered != nil {
		return fmt.Errorf("an earlier command failed: %w", c.unanswered)
	}
	if _, err := io.WriteString(c.stdin, command+"\n"); err != nil {
		return err
	}
	return c.answer(into, patience)
}

// terminate asks the process to end, and kills it if that takes longer than patience.
func (c *child) terminate(patience time.Duration) error {
	if err := c.died(); err != nil {
		return err
	}
	c.ending.Store(true)
	if err := askToEnd(c.cmd.Process); err != nil {
		select {
		case <-c.done: // it had ended already
		default:
			return err
		}
	}
	select {
	case <-c.done:
	case <-time.After(patience):
		c.kill()
		return fmt.Errorf("the process did not end within %v of SIGTERM and was killed%s", patience, c.said())
	}
	if c.err != nil && !endedAsAsked(c.cmd.ProcessState) {
		return fmt.Errorf("%w%s", c.err, c.said())
	}
	return nil
}

func (c *child) kill() {
	c.ending.Store(true)
	_ = c.cmd.Process.Kill() // fails only when the process has ended
	<-c.done
}

// said returns the end of the process's standard error, as a suffix for an error text.
func (c *child) said() string {
	if text := c.tail.String(); text != "" {
		return "; it said:\n" + text
	}
	return ""
}

// tail keeps the last few kilobytes written to it.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

const tailSize = 8 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if over := len(t.buf) - tailSize; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.TrimSpace(t.buf))
}
