package immudb_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"expvar"
	"fmt"
	"log"
	"log/slog"
	"net"
	"time"

	"github.com/DATA-DOG/go-sqlmock"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/internal/testserver"
)

// serverDSN returns the DSN of an empty database, for the examples to run on.
func serverDSN() string {
	srv, err := testserver.SharedServer()
	if err != nil {
		log.Fatal(err)
	}
	dsn, err := srv.CreateDatabase()
	if err != nil {
		log.Fatal(err)
	}
	return dsn
}

func Example() {
	ctx := context.Background()
	dsn := serverDSN() // such as immudb://user:password@localhost:3322/defaultdb
	db, err := sql.Open("immudb", dsn)
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()

	_, err = db.ExecContext(ctx, "CREATE TABLE books (id INTEGER AUTO_INCREMENT, title VARCHAR[200], pages INTEGER, PRIMARY KEY id)")
	if err != nil {
		log.Fatal(err)
	}
	res, err := db.ExecContext(ctx, "INSERT INTO books (title, pages) VALUES (?, ?), (?, ?), (?, ?)",
		"Emma", 474, "Persuasion", 272, "Lady Susan", 90)
	if err != nil {
		log.Fatal(err)
	}
	n, err := res.RowsAffected()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(n, "books")

	rows, err := db.QueryContext(ctx, "SELECT title, pages FROM books WHERE pages > $1 ORDER BY title", 100)
	if err != nil {
		log.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var title string
		var pages int
		if err := rows.Scan(&title, &pages); err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s has %d pages\n", title, pages)
	}
	if err := rows.Err(); err != nil { // a connection that broke is an error here, not a shorter result
		log.Fatal(err)
	}
	// Output:
	// 3 books
	// Emma has 474 pages
	// Persuasion has 272 pages
}

// Placeholders are ?, $1 or @name. A query uses one style.
func Example_namedArguments() {
	dsn := serverDSN() // such as immudb://user:password@localhost:3322/defaultdb
	db, err := sql.Open("immudb", dsn)
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("CREATE TABLE visits (id INTEGER, host VARCHAR[50], PRIMARY KEY id)"); err != nil {
		log.Fatal(err)
	}

	_, err = db.Exec("INSERT INTO visits (id, host) VALUES (@id, @host)", sql.Named("host", "example.org"), sql.Named("id", 7))
	if err != nil {
		log.Fatal(err)
	}
	var host string
	if err := db.QueryRow("SELECT host FROM visits WHERE id = @id", sql.Named("id", 7)).Scan(&host); err != nil {
		log.Fatal(err)
	}
	fmt.Println(host)

	_, err = db.Exec("INSERT INTO visits (id, host) VALUES (?, @host)", 8, sql.Named("host", "example.net"))
	fmt.Println(errors.Is(err, immudb.ErrSyntax))
	// Output:
	// example.org
	// true
}

// RunTx repeats the function when another transaction has changed what it read.
func ExampleRunTx() {
	ctx := context.Background()
	dsn := serverDSN() // such as immudb://user:password@localhost:3322/defaultdb
	db, err := sql.Open("immudb", dsn)
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	_, err = db.Exec(`CREATE TABLE stock (item VARCHAR[40], n INTEGER, PRIMARY KEY item);
		INSERT INTO stock (item, n) VALUES ('lamp', 3)`)
	if err != nil {
		log.Fatal(err)
	}

	errSoldOut := errors.New("sold out")
	take := func(n int) error {
		return immudb.RunTx(ctx, db, nil, func(tx *sql.Tx) error {
			var left int
			if err := tx.QueryRowContext(ctx, "SELECT n FROM stock WHERE item = 'lamp'").Scan(&left); err != nil {
				return err
			}
			if left < n {
				return errSoldOut // rolls back
			}
			_, err := tx.ExecContext(ctx, "UPDATE stock SET n = ? WHERE item = 'lamp'", left-n)
			return err
		})
	}
	fmt.Println(take(2))
	fmt.Println(take(2))
	// Output:
	// <nil>
	// sold out
}

// INSERT, UPDATE, UPSERT and DELETE … RETURNING return rows like a query. They are
// committed before the first row is returned.
func Example_returning() {
	dsn := serverDSN() // such as immudb://user:password@localhost:3322/defaultdb
	db, err := sql.Open("immudb", dsn)
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("CREATE TABLE jobs (id INTEGER AUTO_INCREMENT, name VARCHAR[40], PRIMARY KEY id)"); err != nil {
		log.Fatal(err)
	}

	rows, err := db.Query("INSERT INTO jobs (name) VALUES ('index'), ('backup') RETURNING id, name")
	if err != nil {
		log.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id int
		var name string
		if err := rows.Scan(&id, &name); err != nil {
			log.Fatal(err)
		}
		fmt.Println(id, name)
	}
	if err := rows.Err(); err != nil {
		log.Fatal(err)
	}
	// Output:
	// 1 index
	// 2 backup
}

// Every transaction has a number, and every table can be read as of one.
func ExampleWithCommitInfo() {
	ctx := context.Background()
	dsn := serverDSN() // such as immudb://user:password@localhost:3322/defaultdb
	db, err := sql.Open("immudb", dsn)
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("CREATE TABLE prices (item VARCHAR[40], cents INTEGER, PRIMARY KEY item)"); err != nil {
		log.Fatal(err)
	}

	var first, second immudb.CommitInfo
	_, err = db.ExecContext(immudb.WithCommitInfo(ctx, &first), "INSERT INTO prices (item, cents) VALUES ('tea', 180)")
	if err != nil {
		log.Fatal(err)
	}
	_, err = db.ExecContext(immudb.WithCommitInfo(ctx, &second), "UPDATE prices SET cents = 210 WHERE item = 'tea'")
	if err != nil {
		log.Fatal(err)
	}
	for _, commit := range []immudb.CommitInfo{first, second} {
		var cents int
		err := db.QueryRowContext(ctx, "SELECT cents FROM prices UNTIL TX ? WHERE item = 'tea'", commit.TxID).Scan(&cents)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("until then:", cents)
	}

	rows, err := db.QueryContext(ctx, "SELECT _rev, cents FROM (HISTORY OF prices) WHERE item = 'tea'")
	if err != nil {
		log.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var revision, cents int
		if err := rows.Scan(&revision, &cents); err != nil {
			log.Fatal(err)
		}
		fmt.Printf("revision %d: %d\n", revision, cents)
	}
	if err := rows.Err(); err != nil {
		log.Fatal(err)
	}
	// Output:
	// until then: 180
	// until then: 210
	// revision 1: 180
	// revision 2: 210
}

// errors.Is finds the kind of error, errors.As the server's text and the SQLSTATE.
func ExampleError() {
	dsn := serverDSN() // such as immudb://user:password@localhost:3322/defaultdb
	db, err := sql.Open("immudb", dsn)
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("CREATE TABLE users (name VARCHAR[40], mail VARCHAR NOT NULL, PRIMARY KEY name)"); err != nil {
		log.Fatal(err)
	}

	for _, query := range []string{
		"INSERT INTO users (name, mail) VALUES ('ada', 'ada@example.org')",
		"INSERT INTO users (name, mail) VALUES ('ada', 'other@example.org')",
		"INSERT INTO users (name) VALUES ('bob')",
		"SELECT name FROM usres",
	} {
		_, err := db.Exec(query)
		var e *immudb.Error
		switch {
		case err == nil:
			fmt.Println("done")
		case errors.Is(err, immudb.ErrDuplicateKey):
			fmt.Println("the name is taken")
		case errors.Is(err, immudb.ErrNotNull):
			fmt.Println("something is missing")
		case errors.As(err, &e):
			fmt.Println(e.SQLState, e.Message)
		default:
			log.Fatal(err)
		}
	}
	// Output:
	// done
	// the name is taken
	// something is missing
	// 42P01 table does not exist (usres)
}

// The statistics of a connector, for /debug/vars.
func ExampleConnector_Stats() {
	cfg, err := immudb.ParseDSN(serverDSN()) // such as immudb://user:password@localhost:3322/defaultdb
	if err != nil {
		log.Fatal(err)
	}
	connector, err := immudb.NewConnector(cfg)
	if err != nil {
		log.Fatal(err)
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	expvar.Publish("immudb", expvar.Func(func() any { return connector.Stats() }))

	if err := db.Ping(); err != nil {
		log.Fatal(err)
	}
	var vars immudb.Stats
	if err := json.Unmarshal([]byte(expvar.Get("immudb").String()), &vars); err != nil {
		log.Fatal(err)
	}
	fmt.Println("sessions:", vars.Total.Sessions, "unknown outcomes:", vars.UnknownOutcomes)
	// Output: sessions: 1 unknown outcomes: 0
}

// A Config has the options of a DSN, and those that only code can set: a dialer, a
// logger.
func ExampleNewConnector() {
	dsn := serverDSN() // such as immudb://user:password@localhost:3322/defaultdb
	cfg, err := immudb.ParseDSN(dsn)
	if err != nil {
		log.Fatal(err)
	}
	cfg.ConnectTimeout = 3 * time.Second
	cfg.MaxSessions = 4
	cfg.Logger = slog.Default()
	dialed := make(chan string, 1)
	cfg.DialContext = func(ctx context.Context, addr string) (net.Conn, error) {
		select {
		case dialed <- addr:
		default: // already recorded
		}
		return new(net.Dialer).DialContext(ctx, "tcp", addr)
	}
	connector, err := immudb.NewConnector(cfg)
	if err != nil {
		log.Fatal(err)
	}
	db := sql.OpenDB(connector)
	defer db.Close() // closes the connector too

	if err := db.Ping(); err != nil {
		log.Fatal(err)
	}
	fmt.Println("dialed the host:", <-dialed == cfg.Hosts[0])
	cfg.Password = "s3cret"
	cfg.User, cfg.Hosts, cfg.Database = "app", []string{"db.example.org:3322"}, "shop"
	fmt.Println(cfg.UserDatabaseSession) // printing never shows the password
	// Output:
	// dialed the host: true
	// {User:"app" Password:"[redacted]" Database:"shop"}
}

// sql.Conn.Raw gives access to the driver's connection, for calls that database/sql does
// not have.
func ExampleConn() {
	ctx := context.Background()
	dsn := serverDSN() // such as immudb://user:password@localhost:3322/defaultdb
	db, err := sql.Open("immudb", dsn)
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()

	conn, err := db.Conn(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	err = immudb.Raw(ctx, conn, func(session *immudb.Conn) error {
		fmt.Println("server has a UUID:", session.SessionTokens().ServerUUID != "")
		fmt.Println("in a transaction:", session.TransactionTokens().TransactionID != "")
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// server has a UUID: true
	// in a transaction: false
}

// errTaken is the error of register for a name that is in use.
var errTaken = errors.New("the name is taken")

// register is a function of the program under test.
func register(ctx context.Context, db *sql.DB, name string) error {
	_, err := db.ExecContext(ctx, "INSERT INTO users (name) VALUES (?)", name)
	if errors.Is(err, immudb.ErrDuplicateKey) {
		return errTaken
	}
	return err
}

// A program's handling of errors can be tested without a server: a mock returns the error
// values of this package.
func Example_unitTest() {
	db, mock, err := sqlmock.New()
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	mock.ExpectExec("INSERT INTO users").WithArgs("ada").WillReturnResult(sqlmock.NewResult(1, 1))
	mock.ExpectExec("INSERT INTO users").WithArgs("ada").WillReturnError(immudb.ErrDuplicateKey)

	ctx := context.Background()
	fmt.Println(register(ctx, db, "ada")) // func register(ctx context.Context, db *sql.DB, name string) error
	fmt.Println(register(ctx, db, "ada"))
	fmt.Println(mock.ExpectationsWereMet())
	// Output:
	// <nil>
	// the name is taken
	// <nil>
}
