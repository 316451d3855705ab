package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/immudb-go/immudb"
)

// verify prints a proven row, the transaction that wrote it, and what is trusted then.
func (s *shell) verify(ctx context.Context, args string) error {
	if err := s.outsideTx(`\verify`); err != nil {
		return err
	}
	parts, err := words(args)
	if err != nil {
		return err
	}
	if len(parts) < 2 {
		return errors.New(`\verify takes a table and the values of its primary key: \verify accounts 42`)
	}
	table := strings.ToLower(parts[0])
	key, err := s.key(ctx, table, parts[1:])
	if err != nil {
		return err
	}
	v := immudb.NewVerifier(s.db)
	row, err := v.Row(ctx, table, key...)
	if err != nil {
		return err
	}
	trusted, err := v.State(ctx)
	if err != nil {
		return err
	}
	columns, err := s.columns(ctx, table)
	if err != nil {
		return err
	}
	blobs := map[string]bool{}
	for _, c := range columns {
		blobs[c.name] = c.typ == "BLOB"
	}
	shown := &values{literal: s.format == "aligned" || s.format == "html", blob: make([]bool, len(row.Columns))}
	result := &list{columns: row.Columns, rows: [][]any{make([]any, len(row.Columns))}}
	for i, value := range row.Values {
		shown.blob[i] = blobs[row.Columns[i]]
		result.rows[0][i] = shown.shown(i, value)
	}
	if err := s.encode(s.stdout, result, true, ""); err != nil {
		return err
	}
	s.tag("proven: transaction %d wrote it, %s by the server's clock", row.TxID, row.Time.UTC().Format("2006-01-02 15:04:05Z"))
	s.tag("trusted: transaction %d, %s", trusted.TxID, trusted.Hash)
	return nil
}

// key reads the values of a primary key.
func (s *shell) key(ctx context.Context, table string, texts []string) ([]any, error) {
	columns, err := s.columns(ctx, table)
	if err != nil {
		return nil, err
	}
	types := map[string]string{}
	for _, c := range columns {
		types[c.name] = c.typ
	}
	indexes, err := s.indexes(ctx, table)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, x := range indexes {
		if x.primary {
			names = x.columns
		}
	}
	if len(names) != len(texts) {
		return nil, fmt.Errorf("the primary key of %s is (%s): give a value for each column", table, strings.Join(names, ", "))
	}
	key := make([]any, len(names))
	for i, name := range names {
		if key[i], err = valueOf(types[name], texts[i]); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return key, nil
}
