package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"github.com/immudb-go/immudb"
)

// changesSettings are the command line of "immudb-audit changes".
type changesSettings struct {
	dsn     string
	opts    immudb.ChangesOptions
	timeout time.Duration
	json    bool
}

func parseChanges(args []string, env string, stderr io.Writer) (changesSettings, error) {
	var s changesSettings
	fs := flag.NewFlagSet("immudb-audit changes", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.Usage = func() {
		fmt.Fprintln(stderr, "usage: immudb-audit changes [flags] [DSN]\n\nThe DSN may also be in IMMUDB_DSN. The flags:")
		fs.PrintDefaults()
	}
	after := fs.String("after", "", "begin after this `cursor`, or after a state as tx:hash (default the first transaction)")
	tables := fs.String("tables", "", "only changes of these `tables` (a,b)")
	fs.BoolVar(&s.opts.Follow, "follow", false, "wait for new transactions")
	fs.DurationVar(&s.timeout, "timeout", 0, "give up after this time (default none)")
	fs.BoolVar(&s.json, "json", false, "each change as one line of JSON")
	if err := fs.Parse(args); err != nil {
		return s, err
	}
	s.opts.Tables = tableNames(*tables)
	var err error
	if s.dsn, err = dsnOf(fs, env); err != nil {
		return s, err
	}
	s.opts.After, err = immudb.ParseCursor(*after)
	return s, err
}

// runChanges prints the changes after a cursor.
func runChanges(ctx context.Context, args []string, env string, stdout, stderr io.Writer) int {
	s, err := parseChanges(args, env, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return statusOK
	}
	var db *sql.DB
	if err == nil {
		db, err = sql.Open(immudb.DriverName, s.dsn)
	}
	if err != nil {
		fmt.Fprintln(stderr, "immudb-audit:", err)
		return statusUsage
	}
	defer db.Close()
	reading := ctx
	if s.timeout > 0 {
		var cancel context.CancelFunc
		reading, cancel = context.WithTimeout(ctx, s.timeout)
		defer cancel()
	}
	print := printChange
	if s.json {
		print = printChangeJSON
	}
	at := s.opts.After
	for c, e := range immudb.Changes(reading, db, s.opts) {
		if err = e; err == nil {
			err = print(stdout, &c)
		}
		if err != nil {
			break
		}
		at = c.Cursor
	}
	if s.opts.Follow && ctx.Err() != nil { // a signal is how a feed that follows ends
		err = nil
	}
	if !s.json {
		fmt.Fprintf(stderr, "the next run goes on with -after %s\n", at)
	}
	if err != nil {
		fmt.Fprintln(stderr, "immudb-audit:", printable(err.Error()))
	}
	return statusOf(err)
}

func printChange(w io.Writer, c *immudb.Change) error {
	var b strings.Builder
	fmt.Fprintf(&b, "tx %d  %s  %s %s", c.TxID, c.Time.Format(time.RFC3339), c.Kind, c.Table)
	if c.Row == nil {
		fmt.Fprintf(&b, ": %s", c.Schema)
	} else {
		for i, name := range c.Row.Columns {
			v, err := json.Marshal(jsonValue(c.Row.Values[i]))
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, " %s=%s", name, v)
		}
	}
	_, err := fmt.Fprintln(w, printable(b.String()))
	return err
}

func printChangeJSON(w io.Writer, c *immudb.Change) error {
	line := struct {
		Kind   immudb.ChangeKind `json:"kind"`
		TxID   uint64            `json:"tx_id"`
		Time   time.Time         `json:"time"`
		Table  string            `json:"table"`
		Schema string            `json:"schema,omitempty"`
		Key    object            `json:"key,omitempty"`
		Row    object            `json:"row,omitempty"`
		Cursor immudb.Cursor     `json:"cursor"`
	}{Kind: c.Kind, TxID: c.TxID, Time: c.Time, Table: c.Table, Schema: c.Schema, Cursor: c.Cursor}
	if c.Row != nil {
		for i, name := range c.Row.Columns {
			line.Row = append(line.Row, field{name, c.Row.Values[i]})
		}
		for i, v := range c.Key() {
			line.Key = append(line.Key, field{c.PrimaryKey[i], v})
		}
	}
	return json.NewEncoder(w).Encode(line)
}

// object is a JSON object whose fields keep their order.
type object []field

type field struct {
	name  string
	value any
}

func (o object) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for i, f := range o {
		if i > 0 {
			b = append(b, ',')
		}
		name, err := json.Marshal(f.name)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(jsonValue(f.value))
		if err != nil {
			return nil, err
		}
		b = append(append(append(b, name...), ':'), value...)
	}
	return append(b, '}'), nil
}

// jsonValue is what stands in JSON for a value. []byte becomes base64.
func jsonValue(v any) any {
	if f, ok := v.(float64); ok && (math.IsNaN(f) || math.IsInf(f, 0)) {
		return fmt.Sprint(f)
	}
	return v
}
