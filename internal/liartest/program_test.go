package liartest

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/immudb-go/immudb"
)

// programVariable makes the test binary a program that shares nothing with the test
// but the files of the trusted state.
const programVariable = "IMMUDB_LIAR_PROGRAM"

// order is one thing that a program is told to do: the first field that is set.
type order struct {
	Open   string // the DSN
	Exec   string
	Row    string // the table
	Accept string // the table
	Close  bool
	Args   []any
}

// outcome is what came of an order.
type outcome struct {
	Columns []string
	Values  []any
	TxID    uint64
	Err     string
	Is      string // the name of the sentinel that Err wraps, if the steps ask for it
}

// sentinels are the errors that steps tell from others.
var sentinels = map[string]error{"no rows": sql.ErrNoRows, "schema changed": immudb.ErrSchemaChanged}

// program is a client in a process of its own. It does one order at a time.
type program struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	enc *json.Encoder
	dec *json.Decoder
}

func startProgram(t testing.TB) *program {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &program{cmd: exec.Command(exe)}
	p.cmd.Env = append(os.Environ(), programVariable+"=1")
	var stderr bytes.Buffer
	p.cmd.Stderr = &stderr
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.enc, p.dec = json.NewEncoder(p.in), json.NewDecoder(out)
	p.dec.UseNumber()
	t.Cleanup(func() {
		_ = p.in.Close()
		if err := p.cmd.Wait(); err != nil {
			t.Errorf("the program: %v\n%s", err, stderr.Bytes())
		}
	})
	return p
}

// do has an order done and returns its error as the program got it.
func (p *program) do(o order) (outcome, error) {
	var r outcome
	if err := errors.Join(p.enc.Encode(o), p.dec.Decode(&r)); err != nil {
		return r, fmt.Errorf("the program: %w", err)
	}
	r.Values = plain(r.Values)
	if r.Err != "" {
		if is := sentinels[r.Is]; is != nil {
			return r, fmt.Errorf("%s: %w", r.Err, is)
		}
		return r, errors.New(r.Err)
	}
	return r, nil
}

// plain makes integers of the numbers of JSON: the tables have no others.
func plain(values []any) []any {
	for i, v := range values {
		if n, ok := v.(json.Number); ok {
			values[i], _ = n.Int64()
		}
	}
	return values
}

// beProgram does what it reads from stdin until that ends.
func beProgram() error {
	dec, enc := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	dec.UseNumber()
	var db *sql.DB
	for {
		var o order
		if err := dec.Decode(&o); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		var r outcome
		err := r.follow(o, &db)
		if err != nil {
			r.Err = strings.TrimSpace(err.Error()) + " " // never empty
			for name, is := range sentinels {
				if errors.Is(err, is) {
					r.Is = name
				}
			}
		}
		if err := enc.Encode(r); err != nil {
			return err
		}
	}
}

func (r *outcome) follow(o order, db **sql.DB) (err error) {
	ctx := context.Background()
	switch {
	case o.Open != "":
		*db, err = sql.Open("immudb", o.Open)
		return err
	case o.Exec != "":
		var info immudb.CommitInfo
		_, err = (*db).ExecContext(immudb.WithCommitInfo(ctx, &info), o.Exec, plain(o.Args)...)
		r.TxID = info.TxID
		return err
	case o.Row != "":
		row, err := immudb.VerifiedRow(ctx, *db, o.Row, plain(o.Args)...)
		if err == nil {
			r.Columns, r.Values, r.TxID = row.Columns, row.Values, row.TxID
		}
		return err
	case o.Accept != "":
		return immudb.NewVerifier(*db).AcceptSchema(ctx, o.Accept)
	}
	return (*db).Close()
}
