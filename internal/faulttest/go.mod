module github.com/immudb-go/immudb/internal/faulttest

go 1.26.0

require (
	github.com/anishathalye/porcupine v1.3.1
	github.com/immudb-go/immudb v0.0.0
	google.golang.org/grpc v1.85.0
)

replace github.com/immudb-go/immudb => ../..
