package gormtest

import (
	"errors"
	"fmt"
	"testing"

	"gorm.io/gorm"
	"gorm.io/plugin/dbresolver"
	"gorm.io/plugin/optimisticlock"
	"gorm.io/plugin/soft_delete"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/gormimmudb"
	"github.com/immudb-go/immudb/internal/testserver"
)

func TestSoftDelete(t *testing.T) {
	type Seconds struct {
		ID        uint
		DeletedAt soft_delete.DeletedAt
	}
	type Flag struct {
		ID        uint
		IsDeleted soft_delete.DeletedAt `gorm:"softDelete:flag"`
	}
	type UniqueName struct {
		ID        uint
		Name      string                `gorm:"uniqueIndex:named"`
		DeletedAt soft_delete.DeletedAt `gorm:"softDelete:nano;uniqueIndex:named"`
	}
	g := open(t, &Seconds{}, &Flag{}, &UniqueName{})
	for _, model := range []any{&Seconds{}, &Flag{}, &UniqueName{Name: "a"}} {
		must(t, g.Create(model).Error)
		must(t, g.Delete(model).Error)
		var left, all int64
		must(t, g.Model(model).Count(&left).Error)
		must(t, g.Unscoped().Model(model).Count(&all).Error)
		if left != 0 || all != 1 {
			t.Errorf("%T: %d left, %d with the deleted one, want 0 and 1", model, left, all)
		}
	}
	must(t, g.Create(&UniqueName{Name: "a"}).Error) // as the deleted row has it
	must(t, g.Create(&UniqueName{Name: "b"}).Error)
	if err := g.Create(&UniqueName{Name: "b"}).Error; !errors.Is(err, immudb.ErrDuplicateKey) {
		t.Errorf("a second row with a name: %v, want ErrDuplicateKey", err)
	}
}

func TestOptimisticLock(t *testing.T) {
	type Stock struct {
		ID      uint
		Count   int
		Version optimisticlock.Version
	}
	g := open(t, &Stock{})
	mine := Stock{Count: 1}
	must(t, g.Create(&mine).Error)
	var theirs Stock
	must(t, g.First(&theirs, mine.ID).Error)
	for i, want := range []int64{1, 0} {
		result := g.Model([]*Stock{&mine, &theirs}[i]).Update("count", 10+i)
		if must(t, result.Error); result.RowsAffected != want {
			t.Errorf("update %d changes %d rows, want %d", i, result.RowsAffected, want)
		}
	}
	must(t, g.First(&theirs, mine.ID).Error)
	if theirs.Count != 10 || theirs.Version.Int64 != 2 {
		t.Errorf("the row is %+v", theirs)
	}
}

// The replica of the test is another database, so that a row tells where it was read.
func TestResolverReadsReplicas(t *testing.T) {
	type Place struct {
		ID   uint
		Name string
	}
	server := testserver.Shared(t)
	sourceDSN, replicaDSN := server.NewDatabase(t), server.NewDatabase(t)
	must(t, openDSN(t, replicaDSN, &Place{}).Create(&Place{Name: "replica"}).Error)
	g := openDSN(t, sourceDSN, &Place{})
	must(t, g.Create(&Place{Name: "source"}).Error)
	resolver := dbresolver.Register(dbresolver.Config{Replicas: []gorm.Dialector{gormimmudb.Open(replicaDSN)}})
	must(t, g.Use(resolver))
	t.Cleanup(func() {
		must(t, resolver.Call(func(pool gorm.ConnPool) error {
			if db, ok := pool.(interface{ Close() error }); ok {
				return db.Close()
			}
			return fmt.Errorf("%T cannot be closed", pool)
		}))
	})
	must(t, g.AutoMigrate(&Place{}))
	for name, read := range map[string]struct {
		want string
		on   *gorm.DB
	}{
		"a query":                  {"replica", g},
		"dbresolver.Write":         {"source", g.Clauses(dbresolver.Write)},
		"a query of the past":      {"source", g.Clauses(dbresolver.Write, gormimmudb.AsOfTx(1<<40))},
		"a query in a transaction": {"source", g.Begin()},
	} {
		var p Place
		must(t, read.on.First(&p).Error)
		if p.Name != read.want {
			t.Errorf("%s reads the %s, want the %s", name, p.Name, read.want)
		}
		if name == "a query in a transaction" {
			must(t, read.on.Rollback().Error)
		}
	}
	must(t, g.Transaction(func(tx *gorm.DB) error {
		return tx.Transaction(func(tx *gorm.DB) error { return tx.Model(&Place{ID: 1}).Update("name", "changed").Error })
	}))
	var p Place
	must(t, g.Clauses(dbresolver.Write).First(&p).Error)
	if p.Name != "changed" {
		t.Errorf("a transaction has changed %+v", p)
	}
}
