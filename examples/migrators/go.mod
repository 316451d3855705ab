module github.com/immudb-go/immudb/examples/migrators

go 1.26.0

require (
	github.com/amacneil/dbmate/v2 v2.28.0
	github.com/go-gorp/gorp/v3 v3.1.0
	github.com/immudb-go/immudb v0.1.0
	github.com/immudb-go/immudb/gooseimmudb v0.1.0
	github.com/rubenv/sql-migrate v1.8.1
)

require (
	github.com/jackc/pgpassfile v1.0.0 // indirect
	github.com/jackc/pgservicefile v0.0.0-20240606120523-5a60cdf6a761 // indirect
	github.com/jackc/pgx/v5 v5.12.0 // indirect
	github.com/pressly/goose/v3 v3.29.0 // indirect
	github.com/sethvargo/go-retry v0.5.0 // indirect
	go.uber.org/multierr v1.11.0 // indirect
	golang.org/x/net v0.61.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
	golang.org/x/text v0.43.0 // indirect
	google.golang.org/genproto/googleapis/rpc v0.0.0-20261005182115-fad411399dd8 // indirect
	google.golang.org/grpc v1.85.0 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
)
