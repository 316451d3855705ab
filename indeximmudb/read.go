package indeximmudb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/inside"
	"github.com/immudb-go/immudb/internal/proof"
	"github.com/immudb-go/immudb/internal/trust"
)

// Row returns the row of a table with the given primary key, proven to be the latest
// revision as of [Index.Tx], or a later transaction that the index has reached meanwhile. If the error matches
// sql.ErrNoRows, it is proven that there is no such row, for which no server is asked. The columns
// have the names of that time.
//
// The other errors are those of immudb.VerifiedRow, and immudb.ErrNoSuchTable if there is
// no such table as of that transaction. Row never updates the index.
func (x *Index) Row(ctx context.Context, table string, pk ...any) (*immudb.ProvenRow, error) {
	name, values, err := inside.RowKey(table, pk)
	if err != nil {
		return nil, err
	}
	if err := x.anchor(ctx); err != nil {
		return nil, err
	}
	var t *proof.Table
	var asOf uint64
	var at entry
	err = x.view(func(tx *bolt.Tx, p *position) error {
		bucket, def, err := p.find(tx, name)
		if err != nil {
			return err
		}
		key, err := def.RowKey(values...)
		if err != nil {
			return invalid(err.Error())
		}
		key = appendKey(nil, key[proof.RowKeyHead:])
		t, asOf, at = def, p.cursor.After.TxID, entry{key: string(key)}
		if v := bucket.Get(key); v != nil {
			at.tx, _ = binary.Uvarint(v)
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case at.tx == 0:
		return nil, fmt.Errorf("immudb: it is proven that table %s has no such row as of tx %d: %w", name, asOf, sql.ErrNoRows)
	}
	rows, err := x.fetch(ctx, t, []entry{at})
	if err != nil {
		return nil, err
	}
	return rows[0], nil
}

// Rows returns the rows of a table that meet a condition, in the order of the primary key,
// and proves that none of them is missing as of [Index.Tx], or a later transaction that the index has reached
// meanwhile. tail is empty, for the whole table, or a WHERE with the conditions of immudb.VerifyRows. It is
// evaluated by the client; ORDER BY, LIMIT and OFFSET are refused.
//
// Rows asks for each transaction that wrote some of the rows, with all of its rows. What it asks for is
// narrowed by conditions on the first columns of the primary key: =, <, <=, >, >= and BETWEEN with a constant or
// an argument, joined by AND, if the column is an INTEGER, VARCHAR, BLOB or UUID. Any other
// condition has the whole table read.
func (x *Index) Rows(ctx context.Context, table, tail string, args ...any) ([]*immudb.ProvenRow, error) {
	name, _, err := inside.RowKey(table, nil)
	if err != nil {
		return nil, err
	}
	q, err := newQuery(name, tail, args)
	if err != nil {
		return nil, err
	}
	if err := x.anchor(ctx); err != nil {
		return nil, err
	}
	var t *proof.Table
	var entries []entry
	err = x.view(func(tx *bolt.Tx, p *position) error {
		bucket, def, err := p.find(tx, name)
		if err != nil {
			return err
		}
		if err := q.bind(def); err != nil {
			return err
		}
		t = def
		entries = within(bucket, q.keys(def))
		return nil
	})
	if err != nil {
		return nil, err
	}
	rows, err := x.fetch(ctx, t, entries)
	if err != nil {
		return nil, err
	}
	met := rows[:0]
	var values []driver.Value
	for _, row := range rows {
		values = values[:0]
		for _, v := range row.Values {
			values = append(values, v)
		}
		switch ok, err := q.bound.Satisfies(values); {
		case err != nil:
			return nil, inside.NewError(immudb.ErrUnsupported, "0A000", err.Error())
		case ok:
			met = append(met, row)
		}
	}
	return met, nil
}

// find finds the bucket and the definition of a table by its name as of the position.
func (p *position) find(tx *bolt.Tx, name string) (*bolt.Bucket, *proof.Table, error) {
	def, ok := p.tables[name]
	switch {
	case !ok:
		return nil, nil, inside.Error(&trust.Error{Kind: trust.NoSuchTable, SQLState: "42P01",
			Message: fmt.Sprintf("it is proven that there is no table %s as of tx %d, which the index has reached", name, p.cursor.After.TxID)})
	case def.err != nil:
		return nil, nil, inside.Error(&trust.Error{SQLState: "XX000", Message: def.err.Error()})
	}
	bucket := tx.Bucket(rowsBucket).Bucket(tableKey(def.ID))
	if bucket == nil {
		return nil, nil, invalid(fmt.Sprintf("table %s is not in the index: make one with the name that the table was created with in Options.Tables", name))
	}
	return bucket, def.Table, nil
}

// invalid is an error for a mistake of the caller.
func invalid(message string) error {
	return inside.NewError(immudb.ErrInvalidValue, "22023", message)
}

// entry is a row of the index.
type entry struct {
	key string
	tx  uint64 // the transaction that wrote its latest revision
}

// within returns the rows of a table whose keys are in a range.
func within(bucket *bolt.Bucket, r keyRange) (list []entry) {
	c := bucket.Cursor()
	for k, v := c.Seek(r.from); k != nil && (r.to == nil || string(k) < string(r.to)); k, v = c.Next() {
		tx, _ := binary.Uvarint(v)
		list = append(list, entry{string(k), tx})
	}
	return list
}

var errUnfit = errors.New("indeximmudb: the index does not fit the history, so its file was changed: delete it")
