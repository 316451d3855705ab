// Command receiptpage writes a page that checks receipts in a browser, without a server:
//
//	go run ./internal/receiptpage >receipt.html
//
// The page is one file. It holds package receipt, compiled to WebAssembly, and may not
// load or send anything: whoever opens it from a disk keeps the receipt to themselves.
package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/immudb-go/immudb/internal/evidence"
	"github.com/immudb-go/immudb/internal/proof"
	"github.com/immudb-go/immudb/receipt"
)

// question is a receipt, and what its reader trusts, as they wrote it.
type question struct {
	Receipt  []byte `json:"receipt"`
	Database string `json:"database"`
	Key      string `json:"key"`   // PEM
	State    string `json:"state"` // tx:hash
}

// answer is what the page shows.
type answer struct {
	Verdict verdict `json:"verdict"`
	Text    string  `json:"text"`
	Facts   []fact  `json:"facts,omitempty"`
	Row     []fact  `json:"row,omitempty"`
}

type fact struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type verdict string

const (
	valid     verdict = "valid"     // it proves the row to somebody who trusts what the question says
	refused   verdict = "refused"   // it does not
	unchecked verdict = "unchecked" // nothing was said to be trusted, or something else; what is shown is a claim
	mistaken  verdict = "mistaken"  // the question cannot be understood
)

// check answers a question.
func check(q question) answer {
	r, err := receipt.Parse(q.Receipt)
	if err != nil {
		return answer{Verdict: refused, Text: err.Error()}
	}
	claim, err := r.Verify(receipt.Policy{Database: r.Database(), State: r.Anchor()})
	if err != nil {
		return answer{Verdict: refused, Text: err.Error()}
	}
	p := receipt.Policy{Database: strings.TrimSpace(q.Database)}
	key, state := strings.TrimSpace(q.Key), strings.TrimSpace(q.State)
	if key != "" {
		if p.PublicKey, err = proof.ParsePublicKey([]byte(key)); err != nil {
			return answer{Verdict: mistaken, Text: "The public key cannot be read: " + err.Error()}
		}
	}
	if state != "" {
		if p.State, err = receipt.ParseState(state); err != nil {
			return answer{Verdict: mistaken, Text: "The state cannot be read: " + err.Error()}
		}
	}
	if p.Database == "" || key == "" && state == "" {
		return claimed(r, claim, "This is what the receipt says of itself. Fill in the name of the database, and the server's public key or the state that you trust.")
	}
	row, err := r.Verify(p)
	switch {
	case errors.Is(err, receipt.ErrAnchor):
		return claimed(r, claim, "This is what the receipt says of itself: "+err.Error()+".")
	case err != nil:
		return answer{Verdict: refused, Text: err.Error()}
	}
	by := "the public key"
	switch {
	case key == "":
		by = "the state"
	case state != "":
		by = "the public key and the state"
	}
	return describe(row, answer{Verdict: valid, Text: "It proves the row below to whoever trusts " + by + " that you gave."})
}

func claimed(r *receipt.Receipt, row *receipt.Row, text string) answer {
	a := describe(row, answer{Verdict: unchecked, Text: text})
	signature := "none"
	if r.Signed() {
		signature = "there is one; it was not checked"
	}
	a.Facts = append(a.Facts, fact{"Signature", signature})
	return a
}

// describe adds what a receipt says.
func describe(row *receipt.Row, a answer) answer {
	what := "wrote the row"
	if row.Deleted {
		what = "deleted the row; these were its values"
	}
	a.Facts = []fact{
		{"Database", row.Database}, {"Table", row.Table}, {"Transaction", fmt.Sprint(row.TxID)}, {"What it did", what},
		{"Time, by the server's clock", row.Time.Format(time.RFC3339)}, {"Anchor", row.Anchor.String()}, {"Digest of the definition", hex.EncodeToString(row.Definition[:])},
	}
	for i, column := range row.Columns {
		a.Row = append(a.Row, fact{column, evidence.SQLText(row.Values[i])})
	}
	return a
}
