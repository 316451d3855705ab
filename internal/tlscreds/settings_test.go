package tlscreds

import (
	"log/slog"
	"testing"
)

// gRPC sends the name in the credentials as the authority of every call.
func TestCredentialsWithoutSNIHaveNoServerName(t *testing.T) {
	for _, noSNI := range []bool{false, true} {
		s := Settings{Addr: "db.example.com:3322", SSL: SSL{Mode: sslVerifyFull, NoSNI: noSNI}}
		creds, err := New(s, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		//lint:ignore SA1019 gRPC reads this field.
		name := creds.Clone().Info().ServerName
		if noSNI != (name == "") {
			t.Errorf("NoSNI %v: the credentials name %q", noSNI, name)
		}
	}
}
