package proof

import (
	"errors"
	"fmt"
	"slices"
	"testing"
)

// followed is the catalog after the transactions, each a list of entries.
func followed(t *testing.T, txs ...[]Entry) *Catalog {
	t.Helper()
	c := NewCatalog()
	for _, entries := range txs {
		if err := apply(t, c, entries...); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func TestAnIDThatLivesAgainAfterItsDropIsNoTable(t *testing.T) {
	dropped := []Entry{gone(catalogKey("TABLE", 2)), gone(column(2, 1, Integer)), gone(column(2, 2, Varchar)), gone(catalogKey("INDEX", 2, 0))}
	if _, err := followed(t, created(), dropped, created()).Table("t"); !errors.Is(err, ErrSchema) {
		t.Errorf("a table: %v, want ErrSchema", err)
	}
	again := []Entry{entry(column(2, 2, Varchar), "\x00\x00\x00\x00\x05b")}
	if _, err := followed(t, created(), []Entry{gone(column(2, 2, Varchar))}, again).Table("t"); !errors.Is(err, ErrSchema) {
		t.Errorf("a column: %v, want ErrSchema", err)
	}
	other := []Entry{entry(catalogKey("INDEX", 3, 0), "\x01\x00\x00\x00\x01\x00"), entry(column(3, 1, Integer), "\x01\x00\x00\x00\x08a"), entry(catalogKey("TABLE", 3), "t")}
	if got, err := followed(t, created(), dropped, other).Table("t"); err != nil || got.ID != 3 {
		t.Errorf("a table of that name with an id of its own: %+v, %v", got, err)
	}
}

func TestACatalogKnowsEveryDefinitionThatATableHad(t *testing.T) {
	c := followed(t,
		created(),
		[]Entry{entry([]byte("a row"), "")},
		[]Entry{entry(column(2, 2, Varchar), "\x00\x00\x00\x00\x05renamed")},
		[]Entry{entry(catalogKey("TABLE", 2), "u")},
		[]Entry{gone(catalogKey("TABLE", 2))})
	for tx, want := range map[uint64]string{0: "", 1: "t b", 2: "t b", 3: "t renamed", 4: "u renamed", 5: "", 9: ""} {
		got := ""
		if d := c.At(2, tx); d != nil {
			got = d.Name + " " + d.Columns[1].Name
		}
		if got != want {
			t.Errorf("as of tx %d: %q, want %q", tx, got, want)
		}
	}
	if c.At(7, 5) != nil {
		t.Error("a table that never was has a definition")
	}
	first := c.At(2, 1)
	if c.Had("t", first.Fingerprint()) == nil || c.Had("u", first.Fingerprint()) != nil || c.Had("t", Digest{1}) != nil {
		t.Error("what the table was is not told from what it was not")
	}
	if got := c.Dropped(); !slices.Equal(got, []uint32{2}) {
		t.Errorf("dropped: %v, want 2", got)
	}
	want := "[{1 t the table is created} {3 t column b is renamed to renamed} {4 t the table is renamed to u} {5 u the table is dropped}]"
	if got := fmt.Sprint(c.Changes(0)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := c.Changes(4); len(got) != 2 {
		t.Errorf("since tx 4: %v", got)
	}
	drop := &Tx{entries: []Entry{gone(catalogKey("TABLE", 2)), gone(catalogKey("TABLE", 2, 3)), gone(column(4, 1, Integer)), entry(catalogKey("TABLE", 5), "x")}}
	if got := DroppedBy(drop); !slices.Equal(got, []uint32{2}) {
		t.Errorf("a transaction drops %v, want 2", got)
	}
}

func TestADefinitionMeansTheSameWhileNoNameMoves(t *testing.T) {
	was := Table{ID: 1, Name: "t", PrimaryKey: []uint32{1}, Columns: []Column{{ID: 1, Name: "a", Type: Integer}, {ID: 2, Name: "b", Type: Varchar}}}
	with := func(change func(*Table)) *Table {
		now := was
		now.Columns = slices.Clone(was.Columns)
		change(&now)
		return &now
	}
	for what, row := range map[string]struct {
		now  *Table
		want bool
	}{
		"nothing":                      {with(func(*Table) {}), true},
		"a column more":                {with(func(n *Table) { n.Columns = append(n.Columns, Column{ID: 3, Name: "c", Type: Blob}) }), true},
		"a column less":                {with(func(n *Table) { n.Columns = n.Columns[:1] }), true},
		"another name of a column":     {with(func(n *Table) { n.Columns[1].Name = "c" }), false},
		"another type of a column":     {with(func(n *Table) { n.Columns[1].Type = Blob }), false},
		"a column in another's place":  {with(func(n *Table) { n.Columns[1] = Column{ID: 3, Name: "b", Type: Varchar} }), false},
		"another name":                 {with(func(n *Table) { n.Name = "u" }), false},
		"another table":                {with(func(n *Table) { n.ID = 2 }), false},
		"another key":                  {with(func(n *Table) { n.PrimaryKey = []uint32{2} }), false},
		"two columns change places":    {with(func(n *Table) { n.Columns[0].Name, n.Columns[1].Name = "b", "a" }), false},
		"a longer VARCHAR, as allowed": {with(func(n *Table) { n.Columns[1].MaxLen = 9 }), true},
	} {
		if got := was.Means(row.now); got != row.want {
			t.Errorf("%s: %v, want %v", what, got, row.want)
		}
	}
}
