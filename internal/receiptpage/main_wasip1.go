//go:build wasip1

package main

import (
	"encoding/json"
	"fmt"
	"os"
)

// Outside a browser it answers the questions on standard input, a line of JSON each.
func main() {
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for in.More() {
		var q question
		err := in.Decode(&q)
		if err == nil {
			err = out.Encode(check(q))
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "receiptpage:", err)
			os.Exit(1)
		}
	}
}
