package gormimmudb_test

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/logger"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/gormimmudb"
	"github.com/immudb-go/immudb/internal/tamperproxy"
	"github.com/immudb-go/immudb/internal/testserver"
)

type Holder struct {
	ID        uint
	Name      string
	Balance   int
	Entries   []Entry
	DeletedAt gorm.DeletedAt
}

type Entry struct {
	ID       uint
	HolderID uint
	Text     string `gorm:"column:EntryText"` // the server folds it to lower case
}

// holders opens a database through a proxy, with trust at first use, and puts
// ann, bob and eve with two entries each in it.
func holders(t *testing.T) (*tamperproxy.Proxy, *gorm.DB) {
	t.Helper()
	proxy, dsn := tamperproxy.Start(t, testserver.Shared(t).NewDatabase(t))
	db := openDSN(t, dsn+"&verify=trust-first-use", &gorm.Config{}, &Holder{}, &Entry{})
	for i, name := range []string{"ann", "bob", "eve"} {
		must(t, db.Create(&Holder{Name: name, Balance: 10 * (i + 1), Entries: []Entry{{Text: name + "1"}, {Text: name + "2"}}}).Error)
	}
	return proxy, db
}

func verified(db *gorm.DB) *gorm.DB { return db.Clauses(gormimmudb.Verified()) }

// lie replaces a text by another in the answers of a method.
func lie(method, from, to string) func(string, []byte) []byte {
	return func(m string, msg []byte) []byte {
		if m == method {
			return bytes.ReplaceAll(msg, []byte(from), []byte(to))
		}
		return msg
	}
}

func TestVerifiedReadsWhatAQueryReads(t *testing.T) {
	_, db := holders(t)
	must(t, db.Delete(&Holder{}, 3).Error)
	small := func(db *gorm.DB) *gorm.DB { return db.Model(&Holder{}) }
	for _, row := range []struct {
		reason string
		read   func(db *gorm.DB) (any, error)
	}{
		{"First by key", func(db *gorm.DB) (any, error) { var h Holder; return h, db.First(&h, 2).Error }},
		{"Take by a key in the model", func(db *gorm.DB) (any, error) { h := Holder{ID: 2}; err := db.Take(&h).Error; return h, err }},
		{"Last", func(db *gorm.DB) (any, error) { var h Holder; err := db.Last(&h).Error; return h, err }},
		{"a key that is a string", func(db *gorm.DB) (any, error) { var h Holder; err := db.First(&h, "2").Error; return h, err }},
		{"a key and another condition", func(db *gorm.DB) (any, error) {
			var h Holder
			err := db.First(&h, "id = ? AND name = ?", 1, "ann").Error
			return h, err
		}},
		{"Find by keys", func(db *gorm.DB) (any, error) {
			var all []Holder
			err := db.Find(&all, []int{1, 2, 9}).Error
			return all, err
		}},
		{"Find by conditions", func(db *gorm.DB) (any, error) {
			var all []*Holder
			err := db.Where("balance > ?", 5).Or("name = ?", "eve").Order("name DESC").Limit(5).Offset(1).Find(&all).Error
			return all, err
		}},
		{"a map of conditions", func(db *gorm.DB) (any, error) {
			var all []Holder
			err := db.Where(map[string]any{"name": []string{"ann", "eve"}, "balance": 10}).Find(&all).Error
			return all, err
		}},
		{"Unscoped", func(db *gorm.DB) (any, error) {
			var h Holder
			err := db.Unscoped().First(&h, 3).Error
			return h.Name, err
		}},
		{"Preload", func(db *gorm.DB) (any, error) {
			var h Holder
			err := db.Preload("Entries").First(&h, 1).Error
			return h, err
		}},
		{"some columns", func(db *gorm.DB) (any, error) {
			var h Holder
			err := db.Select("name", "id").First(&h, 1).Error
			return h, err
		}},
		{"columns in one text", func(db *gorm.DB) (any, error) {
			var h Holder
			err := db.Select("holders.name, balance").First(&h, 1).Error
			return h, err
		}},
		{"Omit", func(db *gorm.DB) (any, error) { var h Holder; err := db.Omit("name").First(&h, 1).Error; return h, err }},
		{"a smaller struct", func(db *gorm.DB) (any, error) {
			var names []struct{ Name string }
			err := small(db).Find(&names).Error
			return names, err
		}},
		{"Pluck", func(db *gorm.DB) (any, error) {
			var names []string
			err := small(db).Pluck("name", &names).Error
			return names, err
		}},
		{"a map", func(db *gorm.DB) (any, error) {
			m := map[string]any{}
			err := small(db).Take(&m, 1).Error
			return m, err
		}},
		{"a table without a model", func(db *gorm.DB) (any, error) {
			var all []map[string]any
			err := db.Table("entries").Where("id = ?", 1).Find(&all).Error
			return all, err
		}},
		{"columns in upper case", func(db *gorm.DB) (any, error) {
			var e []Entry
			err := db.Where(&Entry{Text: "bob1"}).Find(&e).Error
			return e, err
		}},
		{"FindInBatches", func(db *gorm.DB) (any, error) {
			var all, batch []Entry
			err := db.FindInBatches(&batch, 4, func(*gorm.DB, int) error { all = append(all, batch...); return nil }).Error
			return all, err
		}},
		{"generics", func(db *gorm.DB) (any, error) { return gorm.G[Holder](db).Where("id = ?", 1).First(t.Context()) }},
		{"an association", func(db *gorm.DB) (any, error) {
			var all []Entry
			err := db.Model(&Holder{ID: 2}).Association("Entries").Find(&all)
			return all, err
		}},
		{"FirstOrCreate of what is there", func(db *gorm.DB) (any, error) {
			var h Holder
			err := db.Where("name = ?", "bob").FirstOrCreate(&h).Error
			return h, err
		}},
		{"nothing", func(db *gorm.DB) (any, error) { var all []Holder; err := db.Limit(0).Find(&all).Error; return all, err }},
	} {
		want, err := row.read(db)
		must(t, err)
		got, err := row.read(verified(db))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v (%v), want %+v", row.reason, got, err, want)
		}
	}
	for _, id := range []int{3, 99} { // deleted softly, never there
		if err := verified(db).First(&Holder{}, id).Error; !errors.Is(err, gorm.ErrRecordNotFound) {
			t.Errorf("%d: %v, want ErrRecordNotFound", id, err)
		}
	}
}

func TestVerifiedProvesTheRowOfOneKeyInOneCall(t *testing.T) {
	proxy, db := holders(t)
	must(t, verified(db).First(&Holder{}, 1).Error) // learns the table
	queries, proofs := proxy.Count("SQLQuery"), proxy.Count("VerifiableSQLGet")
	must(t, verified(db).First(&Holder{}, 2).Error)
	if q, p := proxy.Count("SQLQuery")-queries, proxy.Count("VerifiableSQLGet")-proofs; q != 0 || p != 1 {
		t.Errorf("%d queries and %d proofs, want none and one", q, p)
	}
}

// Without Verified none of these false answers is detected.
func TestVerifiedNoticesLies(t *testing.T) {
	proxy, db := holders(t)
	first := func(db *gorm.DB) ([]Holder, error) {
		h := []Holder{{Name: "before"}}
		err := db.Where("id = ?", 1).Find(&h).Error
		return h, err
	}
	byKey := func(db *gorm.DB) ([]Holder, error) {
		h := Holder{Name: "before"}
		err := db.Where(&Holder{ID: 1}).First(&h).Error
		return []Holder{h}, err
	}
	preload := func(db *gorm.DB) ([]Holder, error) {
		var h Holder
		err := db.Preload("Entries").Find(&h, 1).Error
		return []Holder{h}, err
	}
	preloadAll := func(db *gorm.DB) ([]Holder, error) {
		var h []Holder
		err := db.Preload("Entries").Find(&h).Error
		return h, err
	}
	for _, row := range []struct {
		reason  string
		read    func(db *gorm.DB) ([]Holder, error)
		request func(string, []byte) []byte
		answer  func(string, []byte) []byte
		before  []Holder
	}{
		{"an altered value", first, nil, lie("SQLQuery", "ann", "abc"), []Holder{{Name: "before"}}},
		{"an altered proof", byKey, nil, lie("VerifiableSQLGet", "ann", "abc"), []Holder{{Name: "before"}}},
		{"an altered entry of Preload", preload, nil, lie("SQLQuery", "ann1", "abc1"), []Holder{{}}},
		{"an altered entry of many", preloadAll, nil, lie("SQLQuery", "bob1", "abc1"), nil},
		{"rows that a condition written as SQL excludes", func(db *gorm.DB) ([]Holder, error) {
			h := []Holder{{Name: "before"}}
			err := db.Where("name >= ? AND name <= ?", "ann", "anz").Find(&h).Error
			return h, err
		}, lie("SQLQuery", "anz", "bob"), nil, []Holder{{Name: "before"}}},
		{"rows of another holder", func(db *gorm.DB) ([]Holder, error) {
			h := []Holder{{Name: "before"}}
			err := db.Find(&h, map[string]any{"name": "ann"}).Error
			return h, err
		}, lie("SQLQuery", "ann", "bob"), nil, []Holder{{Name: "before"}}},
	} {
		proxy.Tamper(row.request, row.answer)
		if row.reason != "an altered proof" {
			if _, err := row.read(db); err != nil {
				t.Errorf("%s, without Verified: %v", row.reason, err)
			}
		}
		got, err := row.read(verified(db))
		var found *immudb.Tampering
		if !errors.Is(err, immudb.ErrTampered) || !errors.As(err, &found) || found.Check == "" {
			t.Errorf("%s: %v, want ErrTampered that says what failed", row.reason, err)
		}
		if !reflect.DeepEqual(got, row.before) {
			t.Errorf("%s: the destination is %+v, was %+v", row.reason, got, row.before)
		}
		proxy.Tamper(nil, nil)
		if _, err := row.read(verified(db)); err != nil {
			t.Errorf("%s, honest again: %v", row.reason, err)
		}
	}
}

func TestVerifiedReadsNothingThatItCannotProve(t *testing.T) {
	_, db := holders(t)
	var n int64
	var holders []Holder
	v := verified(db).Session(&gorm.Session{})
	for _, row := range []struct {
		reason string
		err    error
	}{
		{"a count", v.Model(&Holder{}).Count(&n).Error},
		{"a subquery", v.Where("id IN (?)", db.Model(&Entry{}).Select("holder_id").Where("id > ?", 5)).Find(&holders).Error},
		{"a function in a condition", v.Where("UPPER(name) = ?", "ANN").Find(&holders).Error},
		{"an expression", v.Select("balance + 1 AS balance").Find(&holders).Error},
		{"an alias", v.Select("name AS text").Find(&holders).Error},
		{"an aggregate", v.Model(&Holder{}).Select("SUM(balance)").Find(&n).Error},
		{"DISTINCT", v.Model(&Holder{}).Distinct("name").Find(&holders).Error},
		{"GROUP BY", v.Select("name").Group("name").Find(&holders).Error},
		{"a join", v.Joins("JOIN entries ON entries.holder_id = holders.id").Find(&holders).Error},
		{"another name", v.Table("holders AS h").Find(&holders).Error},
		{"a subquery in FROM", v.Table("(?) AS h", db.Model(&Holder{})).Find(&holders).Error},
		{"the past", v.Clauses(gormimmudb.AsOfTx(1)).Find(&holders).Error},
		{"raw SQL", v.Raw("SELECT * FROM holders").Find(&holders).Error},
		{"raw SQL that is scanned", v.Raw("SELECT * FROM holders").Scan(&holders).Error},
		{"raw SQL that is executed", v.Exec("DELETE FROM holders").Error},
		{"Scan", v.Model(&Holder{}).Scan(&holders).Error},
		{"Rows", func() error { _, err := v.Model(&Holder{}).Rows(); return err }()},
		{"a transaction", v.Transaction(func(tx *gorm.DB) error { return tx.First(&Holder{}, 1).Error })},
		{"a transaction begun before", func() error {
			tx := db.Begin()
			defer tx.Rollback()
			return verified(tx).First(&Holder{}, 1).Error
		}()},
		{"one connection", db.Connection(func(tx *gorm.DB) error { return verified(tx).First(&Holder{}, 1).Error })},
		{"a write", v.Create(&Holder{Name: "x"}).Error},
		{"FirstOrCreate of what is not there", v.Where("name = ?", "nobody").FirstOrCreate(&Holder{}).Error},
		{"a change", v.Model(&Holder{ID: 1}).Update("name", "b").Error},
		{"a deletion", v.Delete(&Holder{}, 1).Error},
	} {
		if !errors.Is(row.err, immudb.ErrUnsupported) || !strings.Contains(row.err.Error(), "Verified: ") {
			t.Errorf("%s: %v, want ErrUnsupported that says why", row.reason, row.err)
		}
	}
	if len(holders) > 0 || n != 0 || count(t, db, &Holder{}) != 3 {
		t.Errorf("something was read or written: %v, %d", holders, n)
	}
}

func TestVerifiedNeedsAStateToTrust(t *testing.T) {
	db := open(t, &Holder{})
	must(t, db.Create(&Holder{Name: "ann"}).Error)
	for _, read := range []func() error{
		func() error { return verified(db).First(&Holder{}, 1).Error },
		func() error { return verified(db).Find(&[]Holder{}).Error },
	} {
		if err := read(); !errors.Is(err, immudb.ErrStateMissing) || !strings.Contains(err.Error(), "verify=trust-first-use") {
			t.Errorf("err = %v, want ErrStateMissing that names the remedy", err)
		}
	}
}

func TestVerifiedKeysOfEveryType(t *testing.T) {
	type Keyed struct {
		Name string    `gorm:"primaryKey"`
		At   time.Time `gorm:"primaryKey"`
		UUID string    `gorm:"primaryKey;type:uuid"`
		Raw  []byte    `gorm:"primaryKey;size:8"`
		Flag bool      `gorm:"primaryKey"`
		Note *string
	}
	db := openDSN(t, testserver.Shared(t).NewDatabase(t)+"&verify=trust-first-use", &gorm.Config{PrepareStmt: true}, &Keyed{})
	row := Keyed{Name: "n", At: time.UnixMicro(1_700_000_000_123_456), UUID: "0a010203-0405-0607-0809-10111213abcd", Raw: []byte{0, 255}, Flag: true}
	must(t, db.Create(&row).Error)
	eq := func(column string, value any) clause.Expression { return clause.Eq{Column: column, Value: value} }
	for _, conditions := range [][]clause.Expression{
		{eq("name", "n"), eq("at", row.At.Add(500)), eq("uuid", strings.ToUpper(row.UUID)), eq("raw", row.Raw), eq("flag", true)},
		{eq("uuid", strings.ToUpper(row.UUID))},
		{eq("raw", row.Raw), clause.IN{Column: "at", Values: []any{time.Now(), row.At}}},
		{eq("note", nil)},
	} {
		var got []Keyed
		must(t, verified(db).Clauses(conditions...).Find(&got).Error)
		if len(got) != 1 || got[0].UUID != row.UUID || !got[0].At.Equal(row.At) || !slices.Equal(got[0].Raw, row.Raw) {
			t.Errorf("%v: got %+v", conditions, got)
		}
	}
}

// A column may be a VARCHAR in the model and a UUID or JSON in the table. An honest answer
// must not be reported as tampering because of that.
func TestVerifiedDoesNotMistakeSpellingsForLies(t *testing.T) {
	type Doc struct {
		ID     int
		Number string
		Data   string
	}
	db := openDSN(t, testserver.Shared(t).NewDatabase(t)+"&verify=trust-first-use", &gorm.Config{})
	must(t, db.Exec("CREATE TABLE docs (id INTEGER, number UUID, data JSON, PRIMARY KEY id)").Error)
	must(t, db.Exec(`INSERT INTO docs (id, number, data) VALUES (1, CAST('0a010203-0405-0607-0809-10111213abcd' AS UUID), '{"a":1}')`).Error)
	for _, where := range []Doc{{Number: "0A010203-0405-0607-0809-10111213ABCD"}, {ID: 1}} {
		var got Doc
		if err := verified(db).Where(&where).First(&got).Error; err != nil || got.ID != 1 {
			t.Errorf("%+v: %+v (%v)", where, got, err)
		}
	}
}

func TestVerifiedInADryRunIsTheQuery(t *testing.T) {
	db := open(t)
	text := db.ToSQL(func(tx *gorm.DB) *gorm.DB {
		return verified(tx).Clauses(clause.Locking{Strength: "UPDATE"}).First(&Entry{}, 42)
	})
	if want := `SELECT * FROM "entries" WHERE "entries"."id" = 42 ORDER BY "entries"."id" LIMIT 1`; strings.TrimSpace(text) != want {
		t.Errorf("got %s, want %s", text, want)
	}
}

// A query with Verified must not affect queries without it.
func TestVerifiedHoldsForItsOwnStatement(t *testing.T) {
	_, db := holders(t)
	must(t, verified(db).First(&Holder{}, 1).Error)
	must(t, db.Transaction(func(tx *gorm.DB) error { return tx.First(&Holder{}, 1).Error }))
	var n int64
	must(t, db.Session(&gorm.Session{Logger: logger.Discard}).Model(&Holder{}).Count(&n).Error)
	if n != 3 {
		t.Errorf("%d holders, want 3", n)
	}
}
