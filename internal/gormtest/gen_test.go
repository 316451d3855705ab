package gormtest

import (
	"io"
	"log"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gorm.io/gen"
)

func TestGeneratorWritesTheModelOfATable(t *testing.T) {
	type Order struct {
		ID       int64
		Customer string    `gorm:"size:50;not null;index"`
		Paid     *bool     //
		At       time.Time `gorm:"not null"`
		Price    float64   `gorm:"not null"`
	}
	g := open(t, &Order{})
	log.SetOutput(io.Discard) // the generator tells what it does
	t.Cleanup(func() { log.SetOutput(os.Stderr) })
	dir := t.TempDir()
	generator := gen.NewGenerator(gen.Config{OutPath: filepath.Join(dir, "query"), FieldNullable: true})
	generator.UseDB(g)
	generator.ApplyBasic(generator.GenerateModel("orders"))
	generator.Execute()
	model, err := os.ReadFile(filepath.Join(dir, "model", "orders.gen.go"))
	must(t, err)
	fields := strings.Join(strings.Fields(string(model)), " ")
	for _, field := range []string{`ID int64`, `gorm:"column:id;primaryKey;autoIncrement:true"`, "Customer string", "Paid *bool", "At time.Time", "Price float64"} {
		if !strings.Contains(fields, field) {
			t.Errorf("the model has no %s:\n%s", field, model)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "query", "orders.gen.go")); err != nil {
		t.Error(err)
	}
}
