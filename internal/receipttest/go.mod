module github.com/immudb-go/immudb/internal/receipttest

go 1.26.0

require (
	github.com/tetratelabs/wazero v1.12.0
	github.com/transparency-dev/formats v0.1.1
	github.com/transparency-dev/merkle v0.0.2
	golang.org/x/mod v0.43.0
)

require golang.org/x/sys v0.44.0 // indirect
