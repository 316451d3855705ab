package gormimmudb_test

import (
	"errors"
	"testing"

	"gorm.io/gorm"

	"github.com/immudb-go/immudb"
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
	proxy.Tamper(nil, lie("VerifiableSQLGet", "ann", "eve"))
	for what, err := range read() {
		if !errors.Is(err, immudb.ErrTampered) {
			t.Errorf("%s of a server that lies: %v", what, err)
		}
	}
}
