package indeximmudb

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/immudb-go/immudb/internal/feed"
	"github.com/immudb-go/immudb/internal/proof"
)

// The file has two buckets:
//
//	meta   "format" → 1, "tables" → the names of Options.Tables, "cursor" → the text of a feed.Cursor
//	rows   id of a table:4 → a bucket with, for each row, its key (see appendKey) → its transaction as a varint
//
// Rows and cursor change in one transaction of the file, so that a program that is killed goes on where the
// rows are. A deleted row is not there.
var (
	metaBucket = []byte("meta")
	rowsBucket = []byte("rows")

	formatKey = []byte("format")
	tablesKey = []byte("tables")
	cursorKey = []byte("cursor")
)

const format = "1"

// allTables stands for no Options.Tables. It is not the name of a table.
const allTables = "*"

// position is how far the index has come, and the tables there.
type position struct {
	text   string
	cursor feed.Cursor
	tables map[string]definition
}

// definition is that of a table, or why its rows cannot be read.
type definition struct {
	*proof.Table
	err error
}

// prepare makes the buckets of a new file, and checks those of an old one.
func (x *Index) prepare() error {
	names := allTables
	if x.opts.Tables != nil {
		names = strings.Join(slices.Compact(x.opts.Tables), ",")
	}
	return x.store.Update(func(tx *bolt.Tx) error {
		if meta := tx.Bucket(metaBucket); meta != nil {
			switch {
			case string(meta.Get(formatKey)) != format:
				return errors.New("the index was made by another version of this package: delete the file")
			case string(meta.Get(tablesKey)) != names:
				return fmt.Errorf("the index is of the tables %s, and not of %s: name these, or delete the file", meta.Get(tablesKey), names)
			}
			return nil
		}
		if _, err := tx.CreateBucket(rowsBucket); err != nil {
			return err
		}
		meta, err := tx.CreateBucket(metaBucket)
		if err != nil {
			return err
		}
		return errors.Join(meta.Put(formatKey, []byte(format)), meta.Put(tablesKey, []byte(names)), meta.Put(cursorKey, nil))
	})
}

// view reads the file as of one position.
func (x *Index) view(f func(*bolt.Tx, *position) error) error {
	err := x.store.View(func(tx *bolt.Tx) error {
		at, err := x.position(string(tx.Bucket(metaBucket).Get(cursorKey)))
		if err != nil {
			return err
		}
		return f(tx, at)
	})
	if errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
		return errors.New("indeximmudb: the index is closed")
	}
	return err
}

// position returns the position of a cursor. The last one is remembered.
func (x *Index) position(text string) (*position, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.at != nil && x.at.text == text {
		return x.at, nil
	}
	at := &position{text: text, tables: make(map[string]definition)}
	var ok bool
	if at.cursor, ok = feed.Parse(text); !ok {
		return nil, errors.New("indeximmudb: the cursor in the file is damaged: delete the file")
	}
	switch seen := at.cursor.Seen; {
	case seen == "":
	case x.at != nil && x.at.cursor.Seen == seen:
		at.tables = x.at.tables
	default:
		catalog, err := proof.RestoreCatalog([]byte(seen), at.cursor.After.TxID)
		if err != nil {
			return nil, err
		}
		for _, name := range catalog.TableNames() {
			table, err := catalog.Table(name)
			at.tables[name] = definition{table, err}
		}
	}
	x.at = at
	return at, nil
}

// tableKey is the name of a table's bucket.
func tableKey(id uint32) []byte { return binary.BigEndian.AppendUint32(nil, id) }

// indexedIn returns the ids of the tables that have a bucket.
func indexedIn(tx *bolt.Tx) (ids []uint32, err error) {
	err = tx.Bucket(rowsBucket).ForEachBucket(func(k []byte) error {
		ids = append(ids, binary.BigEndian.Uint32(k))
		return nil
	})
	return ids, err
}

// batch is what changes in the file together.
type batch struct {
	rows    map[uint32]map[string]uint64 // by table and key; 0: deleted
	size    int
	indexed map[uint32]bool // the tables, and whether they are indexed; nil: as before
	cursor  feed.Cursor
}

// commit writes a batch.
func (x *Index) commit(b *batch) error {
	err := x.store.Update(func(tx *bolt.Tx) error {
		if b.indexed != nil {
			if err := keepTables(tx, b.indexed); err != nil {
				return err
			}
		}
		for _, id := range slices.Sorted(maps.Keys(b.rows)) {
			if err := put(tx.Bucket(rowsBucket).Bucket(tableKey(id)), b.rows[id]); err != nil {
				return err
			}
		}
		return tx.Bucket(metaBucket).Put(cursorKey, []byte(b.cursor.String()))
	})
	if err != nil {
		return fmt.Errorf("indeximmudb: %w", err)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	close(x.moved)
	x.moved = make(chan struct{})
	return nil
}

// nextCommit is closed when the file changes.
func (x *Index) nextCommit() <-chan struct{} {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.moved
}

// keepTables makes the buckets of the tables that are indexed, and deletes the others.
func keepTables(tx *bolt.Tx, indexed map[uint32]bool) error {
	rows := tx.Bucket(rowsBucket)
	there, err := indexedIn(tx)
	if err != nil {
		return err
	}
	for _, id := range there {
		if !indexed[id] {
			if err := rows.DeleteBucket(tableKey(id)); err != nil {
				return err
			}
		}
	}
	for id, is := range indexed {
		if is && !slices.Contains(there, id) {
			if _, err := rows.CreateBucket(tableKey(id)); err != nil {
				return err
			}
		}
	}
	return nil
}

// Pages that split are left this full where keys only grow, or so many come together that
// they fill what is left. By default it is a half.
const (
	dense   = 0.9
	atLarge = 10_000
)

// put writes the rows of a table in the order of their keys.
func put(bucket *bolt.Bucket, rows map[string]uint64) error {
	keys := slices.Sorted(maps.Keys(rows))
	if last, _ := bucket.Cursor().Last(); len(keys) > atLarge || len(keys) > 0 && bytes.Compare(last, []byte(keys[0])) < 0 {
		bucket.FillPercent = dense
	}
	for _, key := range keys {
		var err error
		if tx := rows[key]; tx == 0 {
			err = bucket.Delete([]byte(key))
		} else {
			err = bucket.Put([]byte(key), binary.AppendUvarint(nil, tx))
		}
		if err != nil {
			return err
		}
	}
	return nil
}
