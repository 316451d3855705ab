package sqltext

// Kind is what one statement does.
type Kind uint8

const (
	Select              Kind = iota // SELECT, WITH … SELECT, SHOW
	Explain                         // EXPLAIN of a query
	Insert                          // INSERT INTO
	Upsert                          // UPSERT INTO
	Update                          // UPDATE
	Delete                          // DELETE FROM
	Truncate                        // TRUNCATE TABLE
	DDL                             // CREATE, ALTER, DROP of a table, index, view or sequence
	AlterColumn                     // ALTER TABLE … ALTER COLUMN …: the server accepts it and does nothing
	Access                          // CREATE, ALTER, DROP USER, GRANT, REVOKE: the text may hold a password
	CreateDatabase                  // CREATE DATABASE
	Begin                           // BEGIN [TRANSACTION]
	Commit                          // COMMIT
	Rollback                        // ROLLBACK
	Savepoint                       // SAVEPOINT a
	RollbackToSavepoint             // ROLLBACK TO [SAVEPOINT] a: the server accepts it and undoes nothing
	ReleaseSavepoint                // RELEASE SAVEPOINT a
	UseDatabase                     // USE [DATABASE] d: moves the whole session
	UseSnapshot                     // USE SNAPSHOT …
)

var kindNames = [...]string{
	Select:              "SELECT",
	Explain:             "EXPLAIN",
	Insert:              "INSERT",
	Upsert:              "UPSERT",
	Update:              "UPDATE",
	Delete:              "DELETE",
	Truncate:            "TRUNCATE",
	DDL:                 "DDL",
	AlterColumn:         "ALTER COLUMN",
	Access:              "user or privilege change",
	CreateDatabase:      "CREATE DATABASE",
	Begin:               "BEGIN",
	Commit:              "COMMIT",
	Rollback:            "ROLLBACK",
	Savepoint:           "SAVEPOINT",
	RollbackToSavepoint: "ROLLBACK TO SAVEPOINT",
	ReleaseSavepoint:    "RELEASE SAVEPOINT",
	UseDatabase:         "USE DATABASE",
	UseSnapshot:         "USE SNAPSHOT",
}

// String returns the name of the kind for error texts.
func (k Kind) String() string { return kindNames[k] }

// IsQuery reports whether the statement returns rows and changes nothing.
func (k Kind) IsQuery() bool { return k == Select || k == Explain }

// IsDML reports whether the statement writes rows of Statement.Table, takes a
// RETURNING clause and has a count of affected rows.
func (k Kind) IsDML() bool { return k >= Insert && k <= Delete }

// ChangesCatalog reports whether the statement may change tables, columns or
// indexes, so that cached descriptions of tables are outdated.
func (k Kind) ChangesCatalog() bool { return k >= Truncate && k <= AlterColumn }

// IsSavepoint reports whether the statement creates, releases or rolls back to a
// savepoint.
func (k Kind) IsSavepoint() bool { return k >= Savepoint && k <= ReleaseSavepoint }

// ControlsTx reports whether the statement begins or ends a transaction or a part
// of one.
func (k Kind) ControlsTx() bool { return k >= Begin && k <= ReleaseSavepoint }
