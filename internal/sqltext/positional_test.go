package sqltext

import (
	"reflect"
	"testing"
)

func TestPositionalKeepsEveryArgumentInItsPlace(t *testing.T) {
	for _, row := range []struct {
		reason, text, want string
		order              []int
	}{
		{"nothing to rewrite", "INSERT INTO t (a) VALUES (1)", "INSERT INTO t (a) VALUES (1)", nil},
		{"? already", "UPDATE t SET a = ? WHERE id = ?", "UPDATE t SET a = ? WHERE id = ?", []int{0, 1}},
		{"numbers out of order and twice", "UPDATE t SET a = $2, b = $2 WHERE id = $1", "UPDATE t SET a = ?, b = ? WHERE id = ?", []int{1, 1, 0}},
		{"names in either case", "UPDATE t SET a = @A WHERE id = @id AND b = @a", "UPDATE t SET a = ? WHERE id = ? AND b = ?", []int{0, 1, 0}},
		{"what looks like one is left alone", "UPDATE t SET a = '$1', b = \"x\" /* $2 */ WHERE id = $1", "UPDATE t SET a = '$1', b = \"x\" /* $2 */ WHERE id = ?", []int{0}},
	} {
		t.Run(row.reason, func(t *testing.T) {
			q, err := Parse(row.text)
			if err != nil {
				t.Fatal(err)
			}
			text, order := q.Positional(&q.Statements[0])
			if text != row.want || !reflect.DeepEqual(order, row.order) {
				t.Errorf("got %q %v, want %q %v", text, order, row.want, row.order)
			}
		})
	}
}
