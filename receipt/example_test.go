package receipt_test

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log"
	"os"

	"github.com/immudb-go/immudb/receipt"
)

func Example() {
	text, err := os.ReadFile("testdata/signed.receipt")
	if err != nil {
		log.Fatal(err)
	}
	// The key comes from whoever runs the server, not with the receipt.
	file, err := os.ReadFile("testdata/signed.pem")
	if err != nil {
		log.Fatal(err)
	}
	block, _ := pem.Decode(file)
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		log.Fatal(err)
	}

	r, err := receipt.Parse(text)
	if err != nil {
		log.Fatal(err)
	}
	row, err := r.Verify(receipt.Policy{Database: "defaultdb", PublicKey: key.(*ecdsa.PublicKey)})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("transaction", row.TxID, "wrote into", row.Table, row.Columns, row.Values)
	// Output: transaction 2 wrote into t [id] [1]
}
