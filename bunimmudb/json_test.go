package bunimmudb_test

import (
	"encoding/json"
	"testing"
)

// JSON is written unchanged: bun alone would change \u0000. The JSON value null is written as
// NULL, because the server cannot read it back.
func TestJSONOfModelsIsWrittenAsItIs(t *testing.T) {
	type Doc struct {
		ID   int64 `bun:",pk,autoincrement"`
		Any  any   `bun:"type:json"`
		Raw  json.RawMessage
		List []string
	}
	db, ctx := open(t, (*Doc)(nil)), t.Context()
	for _, doc := range []Doc{
		{Any: "a\x00b'\\", Raw: json.RawMessage(`{"k":"\u0000 it's \\ \" é"}`), List: []string{"'", `\u0000`}},
		{Any: nil, Raw: json.RawMessage("null"), List: nil},
	} {
		_, err := db.NewInsert().Model(&doc).Exec(ctx)
		must(t, err)
		var got Doc
		must(t, db.NewSelect().Model(&got).Where("id = ?", doc.ID).Scan(ctx))
		one, err := json.Marshal(got)
		must(t, err)
		other, err := json.Marshal(doc)
		must(t, err)
		if string(one) != string(other) {
			t.Errorf("wrote %s, read %s", other, one)
		}
		_, err = db.NewUpdate().Model(&doc).WherePK().Exec(ctx) // the row is not frozen
		must(t, err)
	}
}
