package gormimmudb_test

import (
	"bytes"
	"errors"
	"testing"

	"gorm.io/gorm"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/gormimmudb"
	"github.com/immudb-go/immudb/internal/tamperproxy"
	"github.com/immudb-go/immudb/internal/testserver"
)

// With verify=reads the rows that gorm reads are proven without changes in the program.
func TestReadsAreProvenWithoutAClause(t *testing.T) {
	proxy, dsn := tamperproxy.Start(t, testserver.Shared(t).NewDatabase(t))
	openDSN(t, dsn, &gorm.Config{}, &Holder{}, &Entry{})
	db := openDSN(t, dsn+"&verify=trust-first-use,reads,strict", &gorm.Config{})
	for i, name := range []string{"ann", "bob"} {
		must(t, db.Create(&Holder{Name: name, Balance: 10 * (i + 1), Entries: []Entry{{Text: name + "1"}}}).Error)
	}
	read := func() (answers map[string]error) {
		var one Holder
		var all []Holder
		var names []string
		return map[string]error{
			"First":   db.First(&one, 1).Error,
			"Take":    db.Where("name = ?", "ann").Take(&one).Error,
			"Find":    db.Where("balance > ?", 5).Order("balance DESC").Limit(2).Find(&all).Error,
			"Preload": db.Preload("Entries").Find(&all).Error,
			"Pluck":   db.Model(&Holder{}).Order("id").Pluck("name", &names).Error,
		}
	}
	for what, err := range read() {
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	if err := db.Model(&Holder{}).Count(new(int64)).Error; !errors.Is(err, immudb.ErrUnsupported) {
		t.Errorf("Count: %v, want ErrUnsupported: nothing proves a number", err)
	}
	var n int64
	must(t, db.WithContext(immudb.WithoutProof(t.Context())).Model(&Holder{}).Count(&n).Error)
	if n != 2 {
		t.Errorf("%d rows without a proof", n)
	}
	must(t, db.Exec("UPDATE holders SET balance = balance + 1 WHERE id = 1").Error) // rows that are not written need no proof again
	proxy.Tamper(nil, lie("VerifiableSQLGet", "ann", "eve"))
	for what, err := range read() {
		if !errors.Is(err, immudb.ErrTampered) {
			t.Errorf("%s of a server that lies: %v", what, err)
		}
	}
}

// The option is the mode in which nobody can forget a proof: every way of gorm to read is proven or refused, for the whole
// program. A server that lies in each answer is never believed.
func TestEveryWayOfGormToReadIsProvenOrRefused(t *testing.T) {
	proxy, dsn := tamperproxy.Start(t, testserver.Shared(t).NewDatabase(t))
	openDSN(t, dsn, &gorm.Config{}, &Holder{}, &Entry{})
	db := openDSN(t, dsn+"&verify=trust-first-use,reads,strict", &gorm.Config{})
	must(t, db.Create(&Holder{Name: "ann", Balance: 10, Entries: []Entry{{Text: "ann1"}}}).Error)
	named := func() *gorm.DB { return db.Where("name = ?", "ann") }
	for _, row := range []struct {
		name   string
		proven bool
		read   func() error
	}{
		{"First", true, func() error { return db.First(&Holder{}, 1).Error }},
		{"Last", true, func() error { return db.Last(&Holder{}).Error }},
		{"Take", true, func() error { return named().Take(&Holder{}).Error }},
		{"Find", true, func() error { return named().Find(&[]Holder{}).Error }},
		{"FirstOrInit", true, func() error { return named().FirstOrInit(&Holder{}).Error }},
		{"FirstOrCreate", true, func() error { return named().FirstOrCreate(&Holder{}).Error }},
		{"FindInBatches", true, func() error {
			return db.FindInBatches(&[]Holder{}, 10, func(*gorm.DB, int) error { return nil }).Error
		}},
		{"Preload", true, func() error { return db.Preload("Entries").Find(&[]Holder{}).Error }},
		{"Association", true, func() error { return db.Model(&Holder{ID: 1}).Association("Entries").Find(&[]Entry{}) }},
		{"Pluck", true, func() error { return db.Model(&Holder{}).Pluck("name", &[]string{}).Error }},
		{"Scan", true, func() error { return db.Model(&Holder{}).Scan(&[]map[string]any{}).Error }},
		{"Row", true, func() error { return db.Model(&Holder{}).Select("name").Where("id = 1").Row().Scan(new(string)) }},
		{"Rows", true, func() error {
			rows, err := db.Model(&Holder{}).Rows()
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
			}
			return rows.Err()
		}},
		{"Raw", true, func() error { return db.Raw("SELECT * FROM holders WHERE id = ?", 1).Scan(&Holder{}).Error }},
		{"generics, First", true, func() error { _, err := gorm.G[Holder](db).Where("id = ?", 1).First(t.Context()); return err }},
		{"generics, Find", true, func() error { _, err := gorm.G[Holder](db).Find(t.Context()); return err }},
		{"Table", true, func() error { return db.Table("holders").Find(&[]map[string]any{}).Error }},

		{"Count", false, func() error { return db.Model(&Holder{}).Count(new(int64)).Error }},
		{"generics, Count", false, func() error { _, err := gorm.G[Holder](db).Count(t.Context(), "id"); return err }},
		{"Joins", false, func() error {
			return db.Joins("JOIN entries ON entries.holder_id = holders.id").Find(&[]Holder{}).Error
		}},
		{"Group", false, func() error {
			return db.Model(&Holder{}).Select("name, SUM(balance)").Group("name").Find(&[]map[string]any{}).Error
		}},
		{"Distinct", false, func() error { return db.Model(&Holder{}).Distinct("name").Find(&[]string{}).Error }},
		{"subquery", false, func() error {
			return db.Where("id IN (?)", db.Model(&Entry{}).Select("holder_id")).Find(&[]Holder{}).Error
		}},
		{"History", false, func() error { return db.Clauses(gormimmudb.History()).Find(&[]Holder{}).Error }},
		{"in a transaction", true, func() error {
			return db.Transaction(func(tx *gorm.DB) error { return tx.First(&Holder{}, 1).Error })
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			proxy.Tamper(nil, nil)
			if err := row.read(); row.proven && err != nil || !row.proven && !errors.Is(err, immudb.ErrUnsupported) {
				t.Fatalf("of an honest server: %v, proven: %v", err, row.proven)
			}
			proxy.Tamper(nil, func(_ string, answer []byte) []byte { return bytes.ReplaceAll(answer, []byte("ann"), []byte("eve")) })
			want := immudb.ErrUnsupported
			if row.proven {
				want = immudb.ErrTampered
			}
			if err := row.read(); !errors.Is(err, want) {
				t.Errorf("of a server that lies: %v, want %v", err, want)
			}
		})
	}
}
