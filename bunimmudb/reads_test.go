package bunimmudb_test

import (
	"errors"
	"testing"

	"github.com/immudb-go/immudb"
	"github.com/immudb-go/immudb/bunimmudb"
	"github.com/immudb-go/immudb/internal/testserver"
)

// With verify=reads the rows that bun reads are proven without changes in the program.
func TestReadsAreProven(t *testing.T) {
	db, err := bunimmudb.Open(testserver.Shared(t).NewDatabase(t) + "&verify=trust-first-use,reads,strict")
	must(t, err)
	defer db.Close()
	_, err = db.NewCreateTable().Model((*Book)(nil)).Exec(t.Context())
	must(t, err)
	for _, title := range []string{"first", "second"} {
		_, err = db.NewInsert().Model(&Book{Title: title, AuthorID: 7}).Exec(t.Context())
		must(t, err)
	}
	var info immudb.ReadProof
	ctx := immudb.WithReadProof(t.Context(), &info)
	book := &Book{ID: 2}
	must(t, db.NewSelect().Model(book).WherePK().Scan(ctx))
	var books []Book
	must(t, db.NewSelect().Model(&books).Where("author_id = ?", 7).Order("id").Limit(5).Scan(ctx))
	if book.Title != "second" || len(books) != 2 || books[0].Title != "first" || info.Proven != 2 {
		t.Errorf("%+v, %+v, %+v", book, books, info)
	}
	if _, err := db.NewSelect().Model((*Book)(nil)).Count(ctx); !errors.Is(err, immudb.ErrUnsupported) {
		t.Errorf("Count: %v, want ErrUnsupported", err)
	}
}
