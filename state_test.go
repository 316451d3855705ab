package immudb_test

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/immudb-go/immudb"
)

// The stores are tested in internal/trust. This test shows that no field is lost when a
// state is converted for them and back.
func TestStateStoresKeepEveryField(t *testing.T) {
	file, err := immudb.NewFileStateStore(filepath.Join(t.TempDir(), "made", "for it"))
	if err != nil {
		t.Fatal(err)
	}
	for _, store := range []immudb.StateStore{&immudb.MemoryStateStore{}, file} {
		if _, err := store.Load(t.Context(), "s", "db"); !errors.Is(err, immudb.ErrStateMissing) {
			t.Fatalf("%T: err = %v, want ErrStateMissing", store, err)
		}
		var want immudb.State
		setAll(reflect.ValueOf(&want).Elem(), 1)
		if ok, err := store.Swap(t.Context(), immudb.State{}, want); !ok || err != nil {
			t.Fatalf("%T: %v, %v", store, ok, err)
		}
		got, err := store.Load(t.Context(), want.History, want.Database)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%T: got %+v, %v, want %+v", store, got, err, want)
		}
		if all, err := store.States(t.Context()); err != nil || len(all) != 1 || !reflect.DeepEqual(all[0], want) {
			t.Errorf("%T: all states are %+v, %v", store, all, err)
		}
	}
}

// setAll sets every field to a value other than zero.
func setAll(v reflect.Value, n int) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			setAll(v.Field(i), n+i)
		}
	case reflect.String:
		v.SetString(strings.Repeat("x", n))
	case reflect.Uint64:
		v.SetUint(uint64(n))
	case reflect.Uint8, reflect.Uint32:
		v.SetUint(uint64(n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Array:
		for i := range v.Len() {
			setAll(v.Index(i), n+i)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		setAll(v.Index(0), n)
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		setAll(key, n)
		setAll(value, n)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	default:
		panic(v.Kind())
	}
}

func TestUnreadablePublicKeyFailsNewConnector(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	for _, write := range []func() error{
		func() error { return nil },
		func() error { return os.WriteFile(path, []byte("no key"), 0o600) },
	} {
		if err := write(); err != nil {
			t.Fatal(err)
		}
		cfg, err := immudb.ParseDSN("immudb://u@localhost/db?server_public_key=" + path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := immudb.NewConnector(cfg); err == nil || !strings.Contains(err.Error(), "server_public_key") {
			t.Errorf("err = %v, want one that names the option", err)
		}
	}
}
