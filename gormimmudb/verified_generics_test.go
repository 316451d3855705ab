package gormimmudb_test

import (
	"database/sql"
	"errors"
	"reflect"
	"strings"
	"testing"

	"gorm.io/gorm"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/gormimmudb"
)

// gorm.G begins with a statement of its own. The demand for proofs must reach it by both
// ways of saying it: the honest answer is read, the false one refused.
func TestVerifiedReadsByGenericsAreProven(t *testing.T) {
	proxy, db := holders(t)
	for name, g := range map[string]func(db *gorm.DB) gorm.Interface[Holder]{
		"a clause of the DB": func(db *gorm.DB) gorm.Interface[Holder] { return gorm.G[Holder](verified(db)) },
		"an option":          func(db *gorm.DB) gorm.Interface[Holder] { return gorm.G[Holder](db, gormimmudb.Verified()) },
		"a session":          func(db *gorm.DB) gorm.Interface[Holder] { return gorm.G[Holder](verified(db).Session(&gorm.Session{})) },
		"a session of its own": func(db *gorm.DB) gorm.Interface[Holder] {
			return gorm.G[Holder](verified(db).Session(&gorm.Session{NewDB: true}))
		},
		"with prepared statements": func(db *gorm.DB) gorm.Interface[Holder] {
			return gorm.G[Holder](verified(db.Session(&gorm.Session{PrepareStmt: true})))
		},
	} {
		reads := map[string]func() (any, error){
			"First": func() (any, error) { return g(db).Where("id = ?", 1).First(t.Context()) },
			"Find":  func() (any, error) { return g(db).Where("balance > ?", 5).Order("id").Find(t.Context()) },
			"Preload": func() (any, error) {
				return g(db).Preload("Entries", nil).Where("id = ?", 1).First(t.Context())
			},
		}
		for how, read := range reads {
			plain := map[string]func() (any, error){
				"First": func() (any, error) { return gorm.G[Holder](db).Where("id = ?", 1).First(t.Context()) },
				"Find":  func() (any, error) { return gorm.G[Holder](db).Where("balance > ?", 5).Order("id").Find(t.Context()) },
				"Preload": func() (any, error) {
					return gorm.G[Holder](db).Preload("Entries", nil).Where("id = ?", 1).First(t.Context())
				},
			}[how]
			want, err := plain()
			must(t, err)
			proofs := func() int { return proxy.Count("VerifiableSQLGet") + proxy.Count("CurrentState") } // known rows need the state only
			calls := proofs()
			got, err := read()
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s, %s: got %+v, %v, want %+v", name, how, got, err, want)
			}
			if proofs() == calls {
				t.Errorf("%s, %s: nothing was proven", name, how)
			}
			proxy.Tamper(nil, func(method string, msg []byte) []byte {
				return lie("SQLQuery", "ann", "eve")(method, lie("VerifiableSQLGet", "ann", "eve")(method, msg))
			})
			if got, err := read(); !errors.Is(err, immudb.ErrTampered) {
				t.Errorf("%s, %s: a lie is read: %+v, %v", name, how, got, err)
			}
			proxy.Tamper(nil, nil)
		}
		n, err := g(db).Count(t.Context(), "*")
		refused(t, name+": Count", err, n)
		refused(t, name+": Create", g(db).Create(t.Context(), &Holder{Name: "x"}), nil)
		refused(t, name+": Exec", g(db).Exec(t.Context(), "DELETE FROM holders"), nil)
		all, err := g(db).Raw("SELECT * FROM holders").Find(t.Context())
		refused(t, name+": Raw", err, all)
		rows, err := g(db).Where("id = ?", 1).Rows(t.Context())
		refused(t, name+": Rows", err, rows)
		var text string
		refused(t, name+": Row", g(db).Select("name").Where("id = ?", 1).Row(t.Context()).Scan(&text), text)
	}
	if n := count(t, db, &Holder{}); n != 3 {
		t.Errorf("%d holders, want 3 as before", n)
	}
}

func refused(t *testing.T, what string, err error, got any) {
	t.Helper()
	if !errors.Is(err, immudb.ErrUnsupported) || !strings.Contains(err.Error(), "Verified: ") {
		t.Errorf("%s: %v, %v, want ErrUnsupported that says why", what, got, err)
	}
}

// A Row that is refused returns its error by Scan and Err, for whatever reason it is
// refused.
func TestARowThatIsRefusedSaysSo(t *testing.T) {
	_, db := holders(t)
	var name string
	for what, row := range map[string]*sql.Row{
		"Verified":                   verified(db).Model(&Holder{}).Select("name").Row(),
		"Verified raw SQL":           verified(db).Raw("SELECT name FROM holders").Row(),
		"Verified, a new session":    verified(db).Session(&gorm.Session{NewDB: true}).Table("holders").Select("name").Row(),
		"raw SQL of an earlier time": db.Clauses(gormimmudb.AsOfTx(1)).Raw("SELECT name FROM holders").Row(),
	} {
		if row == nil {
			t.Errorf("%s: no row, on which Scan panics", what)
			continue
		}
		if err := row.Scan(&name); !errors.Is(err, immudb.ErrUnsupported) || row.Err() == nil {
			t.Errorf("%s: %q, %v, want ErrUnsupported", what, name, err)
		}
	}
	if err := db.Model(&Holder{}).Select("name").Where("id = ?", 2).Row().Scan(&name); err != nil || name != "bob" {
		t.Errorf("without a demand: %q, %v, want bob", name, err)
	}
}
