package proof

import (
	"errors"
	"slices"
	"testing"
)

func TestConsistencyIsProvenBetweenEachTwoSizes(t *testing.T) {
	const most = 70
	h := newHistory(t, most, noLag)
	for size := 2; size <= most; size++ {
		root := refRoot(h.leaves[:size])
		for old := 1; old < size; old++ {
			path, oldRoot, newRoot, err := Consistency(h.state(size), h.dual(t, old+1, size), uint64(old))
			if err != nil {
				t.Fatalf("%d to %d: %v", old, size, err)
			}
			if newRoot != root || oldRoot != refRoot(h.leaves[:old]) {
				t.Fatalf("%d to %d: roots %v, %v", old, size, oldRoot, newRoot)
			}
			if old&(old-1) == 0 {
				path = slices.Insert(path, 0, oldRoot) // see VerifyConsistency
			}
			if !VerifyConsistency(path, uint64(old), uint64(size), oldRoot, root) {
				t.Fatalf("%d to %d: the proof does not hold", old, size)
			}
		}
	}
}

func TestConsistencyIsRefusedWithoutAProof(t *testing.T) {
	h := newHistory(t, 20, noLag)
	for name, c := range map[string]struct {
		trusted State
		p       *DualProof
		old     uint64
		want    error
	}{
		"of another transaction":    {h.state(20), h.dual(t, 9, 20), 9, ErrInvalid},
		"to another transaction":    {h.state(20), h.dual(t, 10, 19), 9, ErrInvalid},
		"of another history":        {State{20, h.alhs[18]}, h.dual(t, 10, 20), 9, ErrInvalid},
		"of the empty tree":         {h.state(20), h.dual(t, 1, 20), 0, ErrUnlinked},
		"none at all":               {h.state(20), nil, 9, ErrInvalid},
		"without a trusted history": {State{}, h.dual(t, 10, 20), 9, ErrNoState},
	} {
		if _, _, _, err := Consistency(c.trusted, c.p, c.old); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	lagging := newHistory(t, 20, func(id int) int { return min(id-1, 2) })
	if _, _, _, err := Consistency(lagging.state(20), lagging.dual(t, 10, 20), 9); !errors.Is(err, ErrUnlinked) {
		t.Errorf("of a tree that lags: %v", err)
	}
}
