package gormimmudb_test

import (
	"testing"

	"gorm.io/gorm"

	"github.com/immudb-go/immudb/internal/dbtest"
)

// The values of the driver's tests, written by gorm's methods.
func TestHostileValuesComeBack(t *testing.T) {
	db := open(t)
	for _, query := range dbtest.ValuesTable {
		must(t, db.Exec(query).Error)
	}
	pool, err := db.DB()
	must(t, err)
	prepared := db.Session(&gorm.Session{PrepareStmt: true})
	id := 0
	for _, v := range dbtest.Values() {
		for way, write := range map[string]func(id int) error{
			"Create of a map": func(id int) error { return db.Table("vals").Create(map[string]any{"id": id, v.Column: v.Arg}).Error },
			"prepared": func(id int) error {
				return prepared.Table("vals").Create(map[string]any{"id": id, v.Column: v.Arg}).Error
			},
			"Exec": func(id int) error {
				return db.Exec("INSERT INTO vals (id, "+v.Column+") VALUES (?, ?)", id, v.Arg).Error
			},
			"Updates": func(id int) error {
				if err := db.Exec("INSERT INTO vals (id) VALUES (?)", id).Error; err != nil {
					return err
				}
				return db.Table("vals").Where("id = ?", id).Updates(map[string]any{v.Column: v.Arg}).Error
			},
			"a transaction": func(id int) error {
				return db.Transaction(func(tx *gorm.DB) error {
					return tx.Table("vals").Create(map[string]any{"id": id, v.Column: v.Arg}).Error
				})
			},
		} {
			id++
			if err := write(id); err != nil {
				t.Errorf("%s, column %s: %.80q (%T): %v", way, v.Column, v.Arg, v.Arg, err)
				continue
			}
			dbtest.CheckValue(t, pool, way, id, &v)
		}
	}
}
