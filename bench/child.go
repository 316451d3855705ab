package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// server is the address of the server, and the user of a contender.
type server struct {
	Addr           string `json:"addr"`
	PostgreSQLAddr string `json:"pgsql_addr"`
	User           string `json:"user"`
	Password       string `json:"password"`
	Database       string `json:"database"`
}

// assignment is the first line that a contender reads: its name and its workload.
type assignment struct {
	Contender string `json:"contender"`
	Workload  string `json:"workload"`
	Server    server `json:"server"`
	Scale     scale  `json:"scale"`
	Profile   string `json:"profile"` // a directory, or "": no profiles are asked for
}

// order is each further line: what to do with the workload.
type order struct {
	Do string `json:"do"` // "measure", "watch", "count" or "profile"
	N  int    `json:"n"`  // operations
}

// report answers an assignment and each order.
type report struct {
	Sample sample         `json:"sample,omitzero"`
	Memory memory         `json:"memory,omitzero"`
	Calls  map[string]int `json:"calls,omitempty"` // gRPC calls by method
	Note   string         `json:"note,omitempty"`
	Error  string         `json:"error,omitempty"`
}

// contend is the program of a contender's process. It ends with its standard input.
func contend() int {
	// Output of the tested libraries must not be mixed with the answers.
	answers := json.NewEncoder(os.Stdout)
	os.Stdout = os.Stderr
	if err := obey(context.Background(), json.NewDecoder(os.Stdin), answers); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// obey does the work with ctx. ctx should be one that never ends, as with db.Query: for a ctx that can end, database/sql
// starts a goroutine for each query, which adds the same cost to every contender except the floor.
func obey(ctx context.Context, orders *json.Decoder, answers *json.Encoder) (err error) {
	var a assignment
	if err := orders.Decode(&a); err != nil {
		return err
	}
	w := findWorkload(a.Workload)
	if w == nil {
		return fmt.Errorf("there is no workload %q", a.Workload)
	}
	if a.Profile != "" {
		runtime.MemProfileRate = 0 // until allocations are profiled
	}
	e := &env{assignment: a, counted: w.counted}
	t, err := e.prepare(ctx, w)
	if err != nil {
		return answers.Encode(report{Error: err.Error()})
	}
	if t.close != nil {
		defer func() { err = errors.Join(err, t.close()) }()
	}
	if err := answers.Encode(report{}); err != nil {
		return err
	}
	for {
		var o order
		if err := orders.Decode(&o); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		var r report
		var err error
		switch o.Do {
		case "measure":
			r.Sample, err = t.measure(ctx, o.N)
		case "watch":
			r.Memory, r.Sample.Ops, err = t.watch(ctx, o.N)
		case "count":
			e.calls.reset()
			r.Sample.Ops, err = t.run(ctx, o.N)
			r.Calls = e.calls.reset()
		case "profile":
			name := filepath.Join(a.Profile, a.Workload+"."+a.Contender)
			r.Sample.Ops, err = t.profile(ctx, o.N, name)
		default:
			err = fmt.Errorf("there is no order %q", o.Do)
		}
		if t.note != nil {
			r.Note = t.note()
		}
		if err != nil {
			r.Error = err.Error()
		}
		if err := answers.Encode(r); err != nil {
			return err
		}
	}
}

// contender is a contender's process, seen from outside.
type contender struct {
	cmd     *exec.Cmd
	orders  io.WriteCloser
	answers chan report // closed at the end of the process's output
	said    *strings.Builder
}

// patience bounds one answer of a contender: the slowest does a run in less than a tenth of it.
const patience = 5 * time.Minute

// startContender starts the process and makes it prepare the workload. program is "" for this one.
func startContender(program string, a assignment) (*contender, error) {
	if program == "" {
		var err error
		if program, err = os.Executable(); err != nil {
			return nil, err
		}
	}
	dir, err := os.MkdirTemp("", "bench-contender-") // some libraries write files where they run
	if err != nil {
		return nil, err
	}
	c := &contender{cmd: exec.Command(program, childCommand), answers: make(chan report), said: &strings.Builder{}}
	c.cmd.Dir = dir
	c.cmd.Stderr = c.said
	if c.orders, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	go func() {
		defer close(c.answers)
		for d := json.NewDecoder(bufio.NewReader(stdout)); ; {
			var r report
			if d.Decode(&r) != nil {
				return
			}
			c.answers <- r
		}
	}()
	if _, err := c.ask(a); err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

// ask sends an assignment or an order and waits for the report. If the report has a failure, ask returns it and an error.
func (c *contender) ask(what any) (report, error) {
	line, err := json.Marshal(what)
	if err != nil {
		return report{}, err
	}
	if _, err := c.orders.Write(append(line, '\n')); err != nil {
		return report{}, fmt.Errorf("the process has ended: %w", err)
	}
	select {
	case r, ok := <-c.answers:
		if !ok {
			return r, errors.New("the process has ended")
		}
		if r.Error != "" {
			return r, errors.New(r.Error)
		}
		return r, nil
	case <-time.After(patience):
		_ = c.cmd.Process.Kill() // fails only when it has ended
		return report{}, fmt.Errorf("no answer within %v", patience)
	}
}

// close ends the process.
func (c *contender) close() error {
	_ = c.orders.Close() // fails only when the process has ended
	timer := time.AfterFunc(10*time.Second, func() { _ = c.cmd.Process.Kill() })
	defer timer.Stop()
	for range c.answers { // the pipe must be read to its end before Wait closes it
	}
	err := c.cmd.Wait()
	if said := strings.TrimSpace(c.said.String()); err != nil && said != "" {
		err = fmt.Errorf("%w: %s", err, said)
	}
	return errors.Join(err, os.RemoveAll(c.cmd.Dir))
}
