package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestNoOrderIsLostWhenThePrimaryIs(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), &out); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	for _, want := range []string{"Writes go to db1", "were answered by a replica", "connection refused", "Writes go to db2", "Writes still go to db2", "None is missing"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the output does not say %q:\n%s", want, &out)
		}
	}
}
