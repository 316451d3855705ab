package immudb

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/grpc/metadata"

	"github.com/immudb-go/immudb/internal/libpq"
)

// secret is part of every secret value in these tests, and of no other value.
const secret = "hunter2"

// printed returns v in every form in which programs print or log values.
func printed(v any) map[string]string {
	out := make(map[string]string)
	nested := struct {
		V     any
		Slice []any
		Map   map[string]any
	}{v, []any{v}, map[string]any{"k": v}}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T", "%30v", "%.3s", "%t"} {
		out[verb] = fmt.Sprintf(verb, v)
		out[verb+" nested"] = fmt.Sprintf(verb, nested)
	}
	out["error"] = fmt.Errorf("open %v: %w", v, libpq.ErrInvalidPort).Error()
	out["Sprint"] = fmt.Sprint(v)
	var text, js bytes.Buffer
	for _, h := range []slog.Handler{slog.NewTextHandler(&text, nil), slog.NewJSONHandler(&js, nil)} {
		slog.New(h).Info("m", "v", v, "nested", nested, slog.Group("g", "v", v))
	}
	out["slog text"], out["slog JSON"] = text.String(), js.String()
	if b, err := json.Marshal(nested); err != nil {
		out["json"] = err.Error()
	} else {
		out["json"] = string(b)
	}
	return out
}

func mustHideSecret(t *testing.T, v any) {
	t.Helper()
	hex := fmt.Sprintf("%x", secret)
	for how, s := range printed(v) {
		if strings.Contains(s, secret) || strings.Contains(strings.ToLower(s), hex) {
			t.Errorf("%T printed with %s shows a secret: %s", v, how, s)
		}
	}
}

func TestNoWayOfPrintingShowsASecret(t *testing.T) {
	credentials := UserSessionCredentials{"ann", secret}
	session := UserDatabaseSession{credentials, "ledger"}
	tokens := SessionTokens{"server-uuid", secret}
	tx := TransactionTokens{secret}
	config := NewConfig()
	config.UserDatabaseSession = session
	config.SSL.Password = secret

	for _, v := range []any{
		credentials, &credentials, session, &session, tokens, &tokens, tx, &tx, config, *config, config.SSL, &config.SSL,
		struct{ UserSessionCredentials }{credentials},
		struct{ *UserDatabaseSession }{&session},
		struct{ SessionTokens }{tokens},
		struct {
			Name string
			Tx   TransactionTokens
		}{"n", tx},
		struct {
			Name   string
			Config Config
		}{"n", *config},
	} {
		mustHideSecret(t, v)
	}

	// fmt calls no method on the value of an unexported field. But with the common verbs
	// it does not follow a pointer there either.
	for _, v := range []any{struct{ hidden *Config }{config}, struct{ hidden *SessionTokens }{&tokens}} {
		for _, verb := range []string{"%v", "%+v", "%#v"} {
			if s := fmt.Sprintf(verb, v); strings.Contains(s, secret) {
				t.Errorf("%T printed with %s shows a secret: %s", v, verb, s)
			}
		}
	}
}

func TestPrintingShowsWhatIsNotSecret(t *testing.T) {
	session := UserDatabaseSession{UserSessionCredentials{"ann", secret}, "ledger"}
	for _, row := range []struct{ got, want string }{
		{fmt.Sprint(session), `{User:"ann" Password:"[redacted]" Database:"ledger"}`},
		{fmt.Sprint(&session), `{User:"ann" Password:"[redacted]" Database:"ledger"}`},
		{fmt.Sprintf("%#v", session.UserSessionCredentials), `immudb.UserSessionCredentials{User:"ann" Password:"[redacted]"}`},
		{fmt.Sprint(SessionTokens{"u-1", secret}), `{ServerUUID:"u-1" SessionID:"[redacted]"}`},
		{fmt.Sprint(SessionTokens{}), `{ServerUUID:"" SessionID:""}`}, // a log should show that a token is missing
		{fmt.Sprintf("%q", TransactionTokens{secret}), `"{TransactionID:\"[redacted]\"}"`},
	} {
		if row.got != row.want {
			t.Errorf("got %s, want %s", row.got, row.want)
		}
	}
	js, err := json.Marshal(SessionTokens{"u-1", secret})
	if err != nil || string(js) != `{"ServerUUID":"u-1","SessionID":"[redacted]"}` {
		t.Errorf("as JSON: %s, %v", js, err)
	}
}

// The test fails if a type or a field is added without a rule for redaction.
func TestEveryFieldOfTheTokensIsPrintedOrRedacted(t *testing.T) {
	for _, v := range []slog.LogValuer{UserSessionCredentials{}, UserDatabaseSession{}, SessionTokens{}, TransactionTokens{}, SSLConfig{}} {
		shown := make(map[string]bool)
		for _, a := range v.LogValue().Group() {
			shown[a.Key] = true
		}
		for _, f := range reflect.VisibleFields(reflect.TypeOf(v)) {
			if !f.Anonymous && !shown[f.Name] {
				t.Errorf("%T.%s is missing in LogValue", v, f.Name)
			}
		}
	}
}

func TestMetadataCarriesTheTokensThatAreSet(t *testing.T) {
	for _, row := range []struct {
		reason  string
		session SessionTokens
		tx      TransactionTokens
		want    metadata.MD
	}{
		{"a call on a session", SessionTokens{"u", "s"}, TransactionTokens{},
			metadata.MD{"immudb-uuid": {"u"}, "sessionid": {"s"}}},
		{"a call in a transaction", SessionTokens{"u", "s"}, TransactionTokens{"t"},
			metadata.MD{"immudb-uuid": {"u"}, "sessionid": {"s"}, "transactionid": {"t"}}},
		{"a server that gave no UUID", SessionTokens{SessionID: "s"}, TransactionTokens{},
			metadata.MD{"sessionid": {"s"}}},
		{"before any session", SessionTokens{}, TransactionTokens{}, metadata.MD{}},
	} {
		if got := row.session.metadata(row.tx); !reflect.DeepEqual(got, row.want) {
			t.Errorf("%s: got %v, want %v", row.reason, got, row.want)
		}
	}
}
