package indeximmudb

import "math"

// appendKey appends the primary key of a row, as the history has it, with each run of zero bytes as a zero and 255
// minus the length of the run, at most 255: integers have such runs, and texts are padded to
// their longest length. The order of keys of one table stays: where one has more zeros, the other
// has a greater byte in the place of the first that it lacks.
func appendKey(to, key []byte) []byte {
	for i := 0; i < len(key); i++ {
		to = append(to, key[i])
		if key[i] != 0 {
			continue
		}
		run := 1
		for run < math.MaxUint8 && i+1 < len(key) && key[i+1] == 0 {
			run++
			i++
		}
		to = append(to, byte(math.MaxUint8-run))
	}
	return to
}

// after returns the smallest text that is greater than every text with the prefix, nil
// if there is none.
func after(prefix []byte) []byte {
	for n := len(prefix); n > 0; n-- {
		if prefix[n-1] < math.MaxUint8 {
			next := append([]byte{}, prefix[:n]...)
			next[n-1]++
			return next
		}
	}
	return nil
}
