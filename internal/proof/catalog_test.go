package proof

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"reflect"
	"strings"
	"testing"
)

func catalogKey(kind string, ids ...uint32) []byte {
	key := []byte("\x02CTL." + kind + ".")
	for _, id := range append([]uint32{1}, ids...) {
		key = binary.BigEndian.AppendUint32(key, id)
	}
	return key
}

func entry(key []byte, value string) Entry {
	return Entry{Key: key, Value: []byte(value), ValueHash: sha256.Sum256([]byte(value))}
}

func gone(key []byte) Entry {
	return Entry{Key: key, ValueHash: sha256.Sum256(nil), Metadata: EntryMetadata{Deleted: true}}
}

func column(table, id uint32, typ Type) []byte {
	return append(catalogKey("COLUMN", table, id), typ...)
}

// created defines table 2, "t", with key a and a column b that has a default.
func created() []Entry {
	return []Entry{
		entry(catalogKey("INDEX", 2, 0), "\x01\x00\x00\x00\x01\x00"),
		entry(column(2, 1, Integer), "\x03\x00\x00\x00\x08a"), // NOT NULL, AUTO_INCREMENT
		entry(column(2, 2, Varchar), "\x04\x00\x00\x00\x05\x00\x01b'dflt'"),
		entry(catalogKey("TABLE", 2), "t"),
		entry(catalogKey("INDEX", 2, 1), "not read: a secondary index"),
		entry(catalogKey("VIEW", 2), "not read"),
		entry([]byte("a key of another engine"), ""),
	}
}

func apply(t *testing.T, c *Catalog, entries ...Entry) error {
	t.Helper()
	return c.Apply(&Tx{header: &Header{ID: c.Through() + 1}, entries: entries})
}

func TestACatalogFollowsDefinitions(t *testing.T) {
	c := NewCatalog()
	a := Column{ID: 1, Name: "a", Type: Integer, MaxLen: 8, NotNull: true, AutoIncrement: true}
	b := Column{ID: 2, Name: "b", Type: Varchar, MaxLen: 5}
	want := &Table{ID: 2, Name: "t", PrimaryKey: []uint32{1}, Columns: []Column{a, b}, MaxColID: 2}
	step := func(name string, entries ...Entry) {
		t.Helper()
		if err := apply(t, c, entries...); err != nil {
			t.Fatal(err)
		}
		if got, err := c.Table(name); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%+v, %v; want %+v", got, err, want)
		}
	}
	step("t", created()...)

	b.Name = "renamed"
	want.Columns = []Column{a, b}
	step("t", entry(column(2, 2, Varchar), "\x00\x00\x00\x00\x05renamed"))

	want.Columns = []Column{a}
	step("t", gone(column(2, 2, Varchar))) // MaxColID stays: rows still hold values of column 2

	want.Columns, want.MaxColID = []Column{a, {ID: 3, Name: "c", Type: JSON}}, 3
	step("t", entry(column(2, 3, JSON), "\x00\x00\x00\x00\x00c"))

	want.Name = "u"
	step("u", entry(catalogKey("TABLE", 2), "u"))
	if _, err := c.Table("t"); !errors.Is(err, ErrSchema) {
		t.Errorf("the old name: %v", err)
	}
	if err := apply(t, c, gone(catalogKey("TABLE", 2))); err != nil {
		t.Fatal(err)
	}
	if names := c.TableNames(); len(names) != 0 {
		t.Errorf("dropped, but there is %v", names)
	}
	if !c.Complete() || c.Through() != 6 {
		t.Errorf("complete %v through %d", c.Complete(), c.Through())
	}
}

func TestACatalogKnowsWhetherItIsComplete(t *testing.T) {
	c := NewCatalog()
	if err := c.Apply(&Tx{header: &Header{ID: 5}, entries: created()}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Table("t"); err != nil || c.Complete() || c.Through() != 5 {
		t.Errorf("%v, complete %v through %d", err, c.Complete(), c.Through())
	}
	if err := c.Apply(&Tx{header: &Header{ID: 5}}); !errors.Is(err, ErrArgument) {
		t.Errorf("the same transaction again: %v", err)
	}
}

func TestMalformedCatalogEntriesAreRejected(t *testing.T) {
	for reason, e := range map[string]Entry{
		"value left out":               {Key: catalogKey("TABLE", 2), ValueHash: sha256.Sum256([]byte("t"))},
		"another value":                {Key: catalogKey("TABLE", 2), ValueHash: sha256.Sum256([]byte("t")), Value: []byte("u")},
		"no table id":                  entry(catalogKey("TABLE"), "t"),
		"one id too many":              entry(catalogKey("TABLE", 2, 2), "t"),
		"another database":             entry([]byte("\x02CTL.TABLE.\x00\x00\x00\x02\x00\x00\x00\x01"), "t"),
		"no column id":                 entry(catalogKey("COLUMN", 2), "\x00\x00\x00\x00\x05b"),
		"column 0":                     entry(column(2, 0, Varchar), "\x00\x00\x00\x00\x05b"),
		"half a column":                entry(column(2, 3, Varchar), "\x00\x00\x00"),
		"a name longer than its value": entry(column(2, 3, Varchar), "\x04\x00\x00\x00\x05\x00\x09b"),
		"an index without an id":       entry(catalogKey("INDEX", 2), "\x01\x00\x00\x00\x01\x00"),
		"an index without columns":     entry(catalogKey("INDEX", 2, 0), "\x01"),
		"half an index column":         entry(catalogKey("INDEX", 2, 0), "\x01\x00\x00\x00"),
		"an unknown order":             entry(catalogKey("INDEX", 2, 0), "\x01\x00\x00\x00\x01\x01"),
		"an entry that expires":        {Key: catalogKey("TABLE", 2), ValueHash: sha256.Sum256(nil), Metadata: EntryMetadata{Expires: true}},
	} {
		c := NewCatalog()
		if err := apply(t, c, created()...); err != nil {
			t.Fatal(err)
		}
		if err := apply(t, c, e); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", reason, err)
		}
	}
}

func TestDefinitionsThatMakeNoSenseTogetherAreRefused(t *testing.T) {
	for reason, e := range map[string]Entry{
		"a key column that is dropped": gone(column(2, 1, Integer)),
		"no key":                       gone(catalogKey("INDEX", 2, 0)),
		"an unknown type":              entry(column(2, 3, "ANY"), "\x00\x00\x00\x00\x05c"),
	} {
		c := NewCatalog()
		if err := apply(t, c, created()...); err != nil {
			t.Fatal(err)
		}
		if err := apply(t, c, e); err != nil {
			t.Fatal(err)
		}
		if table, err := c.Table("t"); !errors.Is(err, ErrSchema) || table != nil {
			t.Errorf("%s: %v, %v", reason, table, err)
		}
	}
}

// A server whose cached catalog lacks a table gives the table's id to the next one.
// That is a fault of the server, not tampering: the rows of the two tables cannot be
// told apart.
func TestATableCreatedOverAnotherIsNoneAndLeavesTheRestReadable(t *testing.T) {
	other := []Entry{
		entry(catalogKey("TABLE", 3), "other"),
		entry(column(3, 1, Integer), "\x01\x00\x00\x00\x08a"),
		entry(catalogKey("INDEX", 3, 0), "\x01\x00\x00\x00\x01\x00"),
	}
	for reason, over := range map[string][]Entry{
		"with a column of another type": {
			entry(catalogKey("TABLE", 2), "u"),
			entry(column(2, 1, Integer), "\x01\x00\x00\x00\x08a"),
			entry(column(2, 2, Boolean), "\x00\x00\x00\x00\x01c"),
			entry(catalogKey("INDEX", 2, 0), "\x01\x00\x00\x00\x01\x00"),
		},
		"with fewer columns": {
			entry(catalogKey("INDEX", 2, 0), "\x01\x00\x00\x00\x01\x00"),
			entry(column(2, 1, Integer), "\x01\x00\x00\x00\x08a"),
			entry(catalogKey("TABLE", 2), "u"),
		},
		"with a key of other columns": {
			entry(catalogKey("TABLE", 2), "u"),
			entry(column(2, 1, Integer), "\x01\x00\x00\x00\x08a"),
			entry(column(2, 2, Varchar), "\x04\x00\x00\x00\x05\x00\x01b'dflt'"),
			entry(catalogKey("INDEX", 2, 0), "\x01\x00\x00\x00\x02\x00"),
		},
		"of the same make": append(created(), entry(catalogKey("TABLE", 2), "u")),
	} {
		c := NewCatalog()
		if err := apply(t, c, append(created(), other...)...); err != nil {
			t.Fatal(err)
		}
		if err := apply(t, c, over...); err != nil {
			t.Fatalf("%s: %v", reason, err)
		}
		if table, err := c.Table("u"); !errors.Is(err, ErrSchema) || !strings.Contains(err.Error(), "tx 2") {
			t.Errorf("%s: %+v, %v; want an ErrSchema that names the transaction", reason, table, err)
		}
		if _, err := c.Table("other"); err != nil {
			t.Errorf("%s: the other table: %v", reason, err)
		}
		if err := apply(t, c, gone(catalogKey("TABLE", 2)), gone(catalogKey("INDEX", 2, 0))); err != nil {
			t.Errorf("%s, dropped: %v", reason, err)
		}
	}
}

func TestATableCreatedOnceMoreAsItWasIsTheSame(t *testing.T) {
	c := NewCatalog()
	for range 2 {
		if err := apply(t, c, created()...); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Table("t"); err != nil {
		t.Error(err)
	}
}

func TestTwoTablesOfOneNameAreRefused(t *testing.T) {
	c := NewCatalog()
	second := []Entry{
		entry(catalogKey("TABLE", 3), "t"),
		entry(column(3, 1, Integer), "\x01\x00\x00\x00\x08a"),
		entry(catalogKey("INDEX", 3, 0), "\x01\x00\x00\x00\x01\x00"),
	}
	if err := apply(t, c, append(created(), second...)...); err != nil {
		t.Fatal(err)
	}
	if table, err := c.Table("t"); !errors.Is(err, ErrSchema) {
		t.Errorf("%v, %v", table, err)
	}
}

// The server loads its catalog from the index, so entries that are not indexed are
// not part of it.
func TestEntriesThatAreNotIndexedDefineNothing(t *testing.T) {
	c := NewCatalog()
	hidden := entry(catalogKey("TABLE", 2), "u")
	hidden.Metadata.NonIndexable = true
	if err := apply(t, c, append(created(), hidden)...); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Table("t"); err != nil {
		t.Error(err)
	}
}
