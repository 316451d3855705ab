package rounds

import "testing"

func TestRoundsAreFewManyOrAMultiple(t *testing.T) {
	for setting, want := range map[string]int{"": 2, "1": 5, "3": 15, "0": 0, "-1": 0, "yes": 0} {
		n, err := rounds(setting, 2, 5)
		if n != want || (err == nil) != (want > 0) {
			t.Errorf("%q: got %d, %v; want %d", setting, n, err, want)
		}
	}
}
