//go:build js

package main

import (
	"encoding/json"
	"syscall/js"
)

// The page calls checkReceipt(bytes, database, key, state), which answers in JSON.
func main() {
	js.Global().Set("checkReceipt", js.FuncOf(func(_ js.Value, args []js.Value) any {
		q := question{Receipt: make([]byte, args[0].Length()), Database: args[1].String(), Key: args[2].String(), State: args[3].String()}
		js.CopyBytesToGo(q.Receipt, args[0])
		text, err := json.Marshal(check(q))
		if err != nil {
			panic(err) // an answer consists of text
		}
		return string(text)
	}))
	select {}
}
