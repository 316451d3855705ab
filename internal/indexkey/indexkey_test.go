package indexkey

import "testing"

func columns(c ...Column) (list []*Column) {
	for i := range c {
		list = append(list, &c[i])
	}
	return list
}

// The tests of gormimmudb store keys of these lengths on a real server.
func TestLongestKeysThatTheServerStores(t *testing.T) {
	text := func(n int) Column { return Column{"VARCHAR", n} }
	for _, row := range []struct {
		reason         string
		primary, index []*Column
	}{
		{"a string beside an INTEGER key", columns(Column{"INTEGER", 8}), columns(text(999))},
		{"two beside a UUID", columns(Column{"UUID", 16}), columns(text(493), text(493))},
		{"a BLOB and a BOOLEAN beside a TIMESTAMP", columns(Column{"TIMESTAMP", 8}), columns(Column{"BLOB", 997}, Column{"BOOLEAN", 1})},
	} {
		table := Table{Primary: row.primary, Indexes: [][]*Column{row.index}}
		if n := table.IndexLength(row.index); n != Max {
			t.Errorf("%s: %d bytes, want %d", row.reason, n, Max)
		}
	}
	table := Table{Primary: columns(text(501))}
	if n := table.PrimaryLength(); n != Max-1 {
		t.Errorf("a string alone: %d bytes, want %d", n, Max-1)
	}
}

func TestFittedLengthsFillKeysButNotMore(t *testing.T) {
	open := Column{Type: "VARCHAR"}
	for _, row := range []struct {
		reason  string
		primary []*Column
		indexes [][]*Column
	}{
		{"one string", columns(open), nil},
		{"keys of many strings", columns(open, open, open, open, open), [][]*Column{columns(open, open), columns(open, open, open, open)}},
		{"strings beside others", columns(Column{"INTEGER", 8}), [][]*Column{columns(Column{"VARCHAR", 900}, open, open)}},
	} {
		table := Table{Primary: row.primary, Indexes: row.indexes}
		table.Fit()
		if n := table.PrimaryLength(); n > Max {
			t.Errorf("%s: the primary key takes %d bytes", row.reason, n)
		}
		for _, index := range row.indexes {
			if n := table.IndexLength(index); n > Max {
				t.Errorf("%s: an index takes %d bytes", row.reason, n)
			}
		}
		for _, index := range append(row.indexes, row.primary) {
			for _, c := range index {
				if c.Variable() && (c.Length < 1 || c.Length > 900) {
					t.Errorf("%s: a length of %d", row.reason, c.Length)
				}
			}
		}
	}
}

func TestAColumnOfTwoKeysFitsBoth(t *testing.T) {
	shared, other := &Column{Type: "VARCHAR"}, columns(Column{"VARCHAR", 800})[0]
	table := Table{Primary: columns(Column{"INTEGER", 8}), Indexes: [][]*Column{{shared}, {other, shared}}}
	table.Fit()
	if want := Max - overhead - 9 - 805 - 5; shared.Length != want {
		t.Errorf("length %d, want %d", shared.Length, want)
	}
}
