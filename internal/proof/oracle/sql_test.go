package oracle

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/codenotary/immudb/embedded/sql"
	"github.com/google/uuid"

	"github.com/immudb-go/immudb/internal/proof"
)

func uuidString(id [16]byte) string {
	h := hex.EncodeToString(id[:])
	return strings.Join([]string{h[:8], h[8:12], h[12:16], h[16:20], h[20:]}, "-")
}

// randomValue is a value of the type as package proof returns it.
func randomValue(r *rand.Rand, typ proof.Type, maxLen int) any {
	switch typ {
	case proof.Integer:
		return []int64{0, -1, math.MinInt64, math.MaxInt64, r.Int64(), -r.Int64N(1000)}[r.IntN(6)]
	case proof.Boolean:
		return r.IntN(2) == 0
	case proof.Varchar:
		return string(randomBytes(r, r.IntN(maxLen+1)))
	case proof.Blob:
		return randomBytes(r, r.IntN(maxLen+1))
	case proof.Float:
		return []float64{0, math.Copysign(0, -1), -1.5, math.Inf(-1), math.MaxFloat64, math.SmallestNonzeroFloat64, r.NormFloat64()}[r.IntN(7)]
	case proof.Timestamp:
		return time.UnixMicro(r.Int64N(1<<52) - 1<<51).UTC()
	case proof.UUID:
		return [16]byte(randomBytes(r, 16))
	case proof.JSON:
		return proof.RawJSON(fmt.Appendf(nil, `{"a": [%d, null, "ü"], "b":%t}`, r.IntN(100), r.IntN(2) == 0))
	}
	panic(typ)
}

// official is the Go type the server's SQL package has for a value.
func official(v any) any {
	switch v := v.(type) {
	case [16]byte:
		return uuid.UUID(v)
	case proof.RawJSON:
		return string(v)
	}
	return v
}

var allTypes = []proof.Type{proof.Integer, proof.Boolean, proof.Varchar, proof.Blob, proof.Float, proof.Timestamp, proof.UUID, proof.JSON}

func lengthOf(r *rand.Rand, typ proof.Type) int {
	switch typ {
	case proof.Boolean:
		return 1
	case proof.UUID:
		return 16
	case proof.Varchar, proof.Blob:
		return 1 + r.IntN(64)
	}
	return 8
}

func TestKeyValuesAreThoseOfTheEngine(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 5000 {
		typ := allTypes[r.IntN(7)] // without JSON, which is no key
		maxLen := lengthOf(r, typ)
		v := randomValue(r, typ, maxLen)
		if r.IntN(10) == 0 {
			v = nil
		}
		want, _, err := sql.EncodeRawValueAsKey(official(v), string(typ), maxLen)
		if err != nil {
			t.Fatal(err)
		}
		got, err := proof.AppendKeyValue(nil, v, typ, maxLen)
		if err != nil || string(got) != string(want) {
			t.Fatalf("%s %v: %x, %v; want %x", typ, v, got, err, want)
		}
	}
	if _, _, err := sql.EncodeRawValueAsKey("{}", sql.JSONType, 10); err == nil {
		t.Error("JSON has become a key type")
	}
}

func TestTimesOutsideTheRangeOfNanosecondsMakeTheKeyOfTheEngine(t *testing.T) {
	for _, year := range []int{-4000, 1, 1500, 1677, 2263, 9999, 200000} {
		v := time.Date(year, 3, 4, 5, 6, 7, 8000, time.UTC)
		want, _, err := sql.EncodeRawValueAsKey(v, sql.TimestampType, 8)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := proof.AppendKeyValue(nil, v, proof.Timestamp, 8); err != nil || string(got) != string(want) {
			t.Errorf("%v: %x, %v; want %x", v, got, err, want)
		}
	}
}

func TestTypeNamesAreThoseOfTheEngine(t *testing.T) {
	want := []string{sql.IntegerType, sql.BooleanType, sql.VarcharType, sql.BLOBType, sql.Float64Type, sql.TimestampType, sql.UUIDType, sql.JSONType}
	for i, typ := range allTypes {
		if string(typ) != want[i] {
			t.Errorf("%s, want %s", typ, want[i])
		}
	}
}

// Every kind of definition and what becomes of it.
var definitions = []string{
	`CREATE TABLE everything (id INTEGER AUTO_INCREMENT, b BOOLEAN, v VARCHAR, bl BLOB, f FLOAT, ts TIMESTAMP, u UUID, j JSON, PRIMARY KEY id)`,
	`CREATE TABLE composite (u UUID, name VARCHAR[40], at TIMESTAMP, note VARCHAR[10] NOT NULL, PRIMARY KEY (name, at, u))`,
	`CREATE TABLE keys (f FLOAT, bl BLOB[16], b BOOLEAN, n INTEGER, PRIMARY KEY (bl, f, b))`,
	`CREATE TABLE defaults (id INTEGER, n INTEGER DEFAULT 7, s VARCHAR[20] NOT NULL DEFAULT 'x', CHECK n > 0, PRIMARY KEY id)`,
	`CREATE INDEX ON composite(note)`,
	`CREATE UNIQUE INDEX ON composite(note, at)`,
	`ALTER TABLE everything ADD COLUMN added INTEGER`,
	`ALTER TABLE everything ADD COLUMN later VARCHAR[5]`,
	`ALTER TABLE everything DROP COLUMN added`,
	`ALTER TABLE everything RENAME COLUMN v TO text`,
	`ALTER TABLE everything ADD COLUMN v BLOB`,
	`CREATE TABLE dropped (id INTEGER, PRIMARY KEY id)`,
	`DROP TABLE dropped`,
	`CREATE TABLE dropped (other VARCHAR[9], PRIMARY KEY other)`,
	`ALTER TABLE keys RENAME TO renamed`,
	`ALTER TABLE defaults RENAME COLUMN s TO t`,
	`DROP INDEX ON composite(note)`,
	`CREATE VIEW looks AS SELECT id FROM everything`,
	`CREATE TABLE one (a INTEGER, PRIMARY KEY a); CREATE TABLE two (b INTEGER, PRIMARY KEY b); ALTER TABLE one ADD COLUMN c INTEGER`,
	`INSERT INTO one (a, c) VALUES (1, 2)`,
	`TRUNCATE TABLE one`,
}

func TestReplayedCatalogEqualsTheEngines(t *testing.T) {
	d := openDatabase(t)
	for _, statement := range definitions {
		d.exec(statement, nil)
		d.replay()

		tx, err := d.NewSQLTx(context.Background(), sql.DefaultTxOptions().WithReadOnly(true))
		if err != nil {
			t.Fatal(err)
		}
		stored := 0
		for _, want := range tx.Catalog().GetTables() {
			if strings.HasPrefix(want.Name(), "pg_") || strings.HasPrefix(want.Name(), "information_schema") {
				continue // made up by the engine, not stored
			}
			got, err := d.catalog.Table(want.Name())
			if err != nil {
				t.Errorf("%s: %v", statement, err)
				continue
			}
			stored++
			claim := &proof.Table{ID: want.ID(), Name: want.Name(), MaxColID: want.GetMaxColID()}
			for _, c := range want.PrimaryIndex().Cols() {
				claim.PrimaryKey = append(claim.PrimaryKey, c.ID())
			}
			for i, c := range want.Cols() {
				claim.Columns = append(claim.Columns, proof.Column{ID: c.ID(), Name: c.Name(), Type: proof.Type(c.Type()), MaxLen: uint32(c.MaxLen())})
				if i < len(got.Columns) && (got.Columns[i].NotNull == c.IsNullable() || got.Columns[i].AutoIncrement != c.IsAutoIncremental()) {
					t.Errorf("%s: %+v", statement, got.Columns[i])
				}
			}
			if err := got.Same(claim); err != nil {
				t.Errorf("%s: %v", statement, err)
			}
			if got.Fingerprint() != claim.Fingerprint() {
				t.Errorf("%s: fingerprints of %s differ", statement, got.Name)
			}
		}
		if names := d.catalog.TableNames(); stored != len(names) {
			t.Errorf("%s: the engine has %d of the tables %v", statement, stored, names)
		}
		if err := tx.Cancel(); err != nil {
			t.Fatal(err)
		}
	}
}

// fill writes rows of every type and returns what must be read back, in order of the table's columns.
func fill(t *testing.T, d *db, r *rand.Rand, name string, n int) (rows [][]any) {
	table := d.table(name)
	for n := range n {
		row := make([]any, len(table.Columns))
		params, names, values := map[string]any{}, []string{}, []string{}
		for i, c := range table.Columns {
			key := false
			for _, id := range table.PrimaryKey {
				key = key || id == c.ID
			}
			if c.AutoIncrement {
				row[i] = int64(n + 1)
				continue
			}
			if !key && name != "defaults" && !c.NotNull && r.IntN(4) == 0 {
				continue
			}
			maxLen := int(c.MaxLen)
			if maxLen == 0 {
				maxLen = 30
			}
			row[i] = randomValue(r, c.Type, maxLen)
			if name == "defaults" && c.Name == "n" {
				row[i] = 1 + r.Int64N(99) // CHECK n > 0
			}
			p := official(row[i])
			if id, ok := p.(uuid.UUID); ok {
				p = id.String()
			}
			params[c.Name] = p
			names, values = append(names, c.Name), append(values, "@"+c.Name)
		}
		verb := "UPSERT"
		if table.Columns[0].AutoIncrement {
			verb = "INSERT" // the server generates the key
		}
		d.exec(fmt.Sprintf("%s INTO %s (%s) VALUES (%s)", verb, name, strings.Join(names, ","), strings.Join(values, ",")), params)
		rows = append(rows, row)
	}
	return rows
}

func keyOf(table *proof.Table, row []any) (pk []any) {
	for _, id := range table.PrimaryKey {
		for i, c := range table.Columns {
			if c.ID == id {
				pk = append(pk, row[i])
			}
		}
	}
	return pk
}

func TestRowsOfARealDatabaseProve(t *testing.T) {
	d := openDatabase(t)
	for _, statement := range definitions {
		d.exec(statement, nil)
	}
	d.replay()
	r := rand.New(rand.NewPCG(5, 5))
	n := 0
	for _, name := range []string{"everything", "composite", "renamed", "defaults"} {
		before := d.chain.State()
		written := fill(t, d, r, name, 25)
		d.replay()
		table := d.table(name)
		latest := map[string][]any{}
		for _, row := range written {
			key, err := table.RowKey(keyOf(table, row)...)
			if err != nil {
				t.Fatal(err)
			}
			latest[string(key)] = row
		}
		for _, row := range written {
			pk := keyOf(table, row)
			key, _ := table.RowKey(pk...)
			row = latest[string(key)]
			for _, trusted := range []proof.State{before, d.state(1), d.chain.State()} {
				p, claim := d.get(name, trusted.TxID, 0, pk...)
				if err := table.Same(claim); err != nil {
					t.Fatal(err)
				}
				got, next, err := p.Verify(trusted, table, pk...)
				if err != nil {
					t.Fatalf("%s%v: %v", name, pk, err)
				}
				n++
				if !reflect.DeepEqual(got.Values, row) {
					t.Errorf("%s%v: %v, want %v", name, pk, got.Values, row)
				}
				if next.TxID != max(trusted.TxID, p.TxID) || next != d.state(next.TxID) || got.Deleted || got.TxID != p.TxID {
					t.Errorf("%s%v: row of tx %d, deleted %v, state %v", name, pk, got.TxID, got.Deleted, next)
				}
			}
		}
	}
	t.Logf("%d proofs accepted", n)
}

func TestRowsOutliveChangesOfTheirTable(t *testing.T) {
	d := openDatabase(t)
	d.exec(`CREATE TABLE t (id INTEGER AUTO_INCREMENT, a INTEGER, b VARCHAR[10], PRIMARY KEY id)`, nil)
	d.exec(`INSERT INTO t (a, b) VALUES (10, 'old')`, nil)
	d.replay()
	first := d.table("t")
	d.exec(`ALTER TABLE t DROP COLUMN a`, nil)
	d.exec(`ALTER TABLE t RENAME COLUMN b TO c`, nil)
	d.exec(`ALTER TABLE t ADD COLUMN a BOOLEAN`, nil)
	d.exec(`INSERT INTO t (c, a) VALUES ('new', true)`, nil)
	d.replay()
	table, now := d.table("t"), d.chain.State()

	for id, want := range map[int64][]any{1: {int64(1), "old", nil}, 2: {int64(2), "new", true}} {
		p, _ := d.get("t", now.TxID, 0, id)
		row, _, err := p.Verify(now, table, id)
		if err != nil || !reflect.DeepEqual(row.Values, want) {
			t.Errorf("row %d: %v, %v; want %v", id, row, err, want)
		}
	}
	// With the old definition of the table, old rows can still be read, and new ones are refused.
	p, _ := d.get("t", now.TxID, 0, int64(1))
	if row, _, err := p.Verify(now, first, int64(1)); err != nil || !reflect.DeepEqual(row.Values, []any{int64(1), int64(10), "old"}) {
		t.Errorf("old row, old definition: %v, %v", row, err)
	}
	p, claim := d.get("t", now.TxID, 0, int64(2))
	if _, _, err := p.Verify(now, first, int64(2)); !errors.Is(err, proof.ErrSchema) || errors.Is(err, proof.ErrInvalid) {
		t.Errorf("new row, old definition: %v", err)
	}
	if err := first.Same(claim); !errors.Is(err, proof.ErrSchema) {
		t.Errorf("old definition and new claim: %v", err)
	}
}

func TestAuditReportsADeletedRowAsDeleted(t *testing.T) {
	d := openDatabase(t)
	d.exec(`CREATE TABLE t (id INTEGER, a VARCHAR[5], PRIMARY KEY id)`, nil)
	d.exec(`INSERT INTO t (id, a) VALUES (1, 'x'), (2, 'y')`, nil)
	d.exec(`UPDATE t SET a = 'z' WHERE id = 1`, nil)
	d.exec(`DELETE FROM t WHERE id = 1`, nil)
	d.replay()
	var got []string
	for _, tx := range d.txs {
		rows, err := tx.Rows(d.table("t"))
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range rows {
			got = append(got, fmt.Sprint(row.TxID, row.Values, row.Deleted))
		}
	}
	want := []string{"2 [1 x] false", "2 [2 y] false", "3 [1 z] false", "4 [1 z] true"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestEveryByteOfARowProofCounts(t *testing.T) {
	d := openDatabase(t)
	d.exec(definitions[0], nil)
	d.exec(definitions[1], nil)
	d.replay()
	r := rand.New(rand.NewPCG(8, 8))
	flips := 0
	for _, name := range []string{"everything", "composite"} {
		rows := fill(t, d, r, name, 12)
		d.replay()
		table := d.table(name)
		for _, row := range rows[:3] {
			pk := keyOf(table, row)
			for _, trusted := range []proof.State{d.state(2), d.chain.State()} {
				p, _ := d.get(name, trusted.TxID, 0, pk...)
				if _, _, err := p.Verify(trusted, table, pk...); err != nil {
					t.Fatal(err)
				}
				eachBit(t, p, func(field string) {
					flips++
					if _, _, err := p.Verify(trusted, table, pk...); !errors.Is(err, proof.ErrInvalid) {
						t.Errorf("flip in %s: %v", field, err)
					}
				})
			}
		}
	}
	t.Logf("%d flips refused", flips)
}

func TestAnAnswerToAnotherQuestionIsRefused(t *testing.T) {
	d := openDatabase(t)
	d.exec(`CREATE TABLE paid (id INTEGER, amount INTEGER, PRIMARY KEY id); CREATE TABLE refused (id INTEGER, amount INTEGER, PRIMARY KEY id)`, nil)
	d.exec(`INSERT INTO paid (id, amount) VALUES (1, 100), (2, 200)`, nil)
	d.exec(`INSERT INTO refused (id, amount) VALUES (1, 999)`, nil)
	d.replay()
	trusted, paid := d.chain.State(), d.table("paid")
	other, claim := d.get("refused", trusted.TxID, 0, int64(1))
	second, _ := d.get("paid", trusted.TxID, 0, int64(2))

	for reason, p := range map[string]*proof.RowProof{"row of another table": other, "another row": second} {
		if _, _, err := p.Verify(trusted, paid, int64(1)); !errors.Is(err, proof.ErrInvalid) {
			t.Errorf("%s: %v", reason, err)
		}
	}
	claim.Name = "paid" // the official client takes the id of the table from the answer, and so would pass it
	if err := paid.Same(claim); !errors.Is(err, proof.ErrSchema) {
		t.Errorf("claimed id of another table: %v", err)
	}
	good, claim := d.get("paid", trusted.TxID, 0, int64(1))
	claim.Columns[0].Name, claim.Columns[1].Name = claim.Columns[1].Name, claim.Columns[0].Name
	if err := paid.Same(claim); !errors.Is(err, proof.ErrSchema) {
		t.Errorf("exchanged column names: %v", err)
	}
	if _, _, err := good.Verify(trusted, paid, int64(1)); err != nil {
		t.Errorf("the right answer: %v", err)
	}
}
