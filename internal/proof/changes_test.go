package proof

import (
	"errors"
	"reflect"
	"testing"
)

// A catalog that is restored from its checkpoint goes on as the one that it was made from.
func TestACheckpointGoesOnAsItsCatalog(t *testing.T) {
	txs := [][]Entry{
		created(),
		{entry(column(2, 2, Varchar), "\x00\x00\x00\x00\x05renamed")},
		{entry(catalogKey("INDEX", 3, 0), "\x01\x00\x00\x00\x01\x00"), entry(column(3, 1, Integer), "\x01\x00\x00\x00\x08a"), entry(catalogKey("TABLE", 3), "u")},
		{gone(column(2, 2, Varchar))},
		{gone(catalogKey("TABLE", 3)), gone(column(3, 1, Integer)), gone(catalogKey("INDEX", 3, 0))},
		{entry(column(2, 2, Varchar), "\x00\x00\x00\x00\x05again")}, // the id of a dropped column
		{entry(catalogKey("TABLE", 3), "u")},                        // the id of a dropped table
		{entry(catalogKey("TABLE", 2), "v")},
		{entry(catalogKey("INDEX", 2, 0), "\x01\x00\x00\x00\x01\x00"), entry(catalogKey("TABLE", 2), "mixed"), entry(column(2, 1, Integer), "\x00\x00\x00\x00\x08x")},
	}
	for cut := range txs {
		whole := NewCatalog()
		for _, tx := range txs[:cut] {
			if err := apply(t, whole, tx...); err != nil {
				t.Fatal(err)
			}
			whole.forget() // as a reader does
		}
		checkpoint := whole.Checkpoint()
		restored, err := RestoreCatalog(checkpoint, whole.Through())
		if err != nil {
			t.Fatalf("after tx %d: %v", cut, err)
		}
		for _, tx := range txs[cut:] {
			if err := errors.Join(apply(t, whole, tx...), apply(t, restored, tx...)); err != nil {
				t.Fatal(err)
			}
			if got, want := restored.changesOf(whole.Through()), whole.changesOf(whole.Through()); !reflect.DeepEqual(got, want) {
				t.Fatalf("tx %d, cut at %d: changed %+v, want %+v", whole.Through(), cut, got, want)
			}
			whole.forget()
			restored.forget()
			if got, want := restored.Checkpoint(), whole.Checkpoint(); string(got) != string(want) {
				t.Fatalf("after tx %d, cut at %d: the checkpoint is\n%x, want\n%x", whole.Through(), cut, got, want)
			}
			for _, name := range whole.TableNames() {
				got, gotErr := restored.Table(name)
				want, wantErr := whole.Table(name)
				if !reflect.DeepEqual(got, want) || (gotErr == nil) != (wantErr == nil) {
					t.Fatalf("after tx %d, cut at %d: table %s is %+v, %v, want %+v, %v", whole.Through(), cut, name, got, gotErr, want, wantErr)
				}
			}
		}
		if restored.Complete() != whole.Complete() {
			t.Errorf("cut at %d: complete is %v", cut, restored.Complete())
		}
	}
}

// A checkpoint that was cut short is refused, or is one of fewer tables; no length in it allocates memory.
func TestADamagedCheckpointIsNoCrash(t *testing.T) {
	whole := followed(t, created()).Checkpoint()
	for i := range whole {
		if _, err := RestoreCatalog(whole[:i], 1); err == nil && i != 2 {
			t.Errorf("cut to %d of %d bytes, it is a catalog", i, len(whole))
		}
		for bit := range 8 {
			flipped := append([]byte{}, whole...)
			flipped[i] ^= 1 << bit
			if _, err := RestoreCatalog(flipped, 1); err != nil && !errors.Is(err, ErrArgument) {
				t.Errorf("bit %d of byte %d: %v", bit, i, err)
			}
		}
	}
}
