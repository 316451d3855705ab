package migrateimmudb

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestURL(t *testing.T) {
	for _, row := range []struct {
		reason, url, dsn string
		cfg              Config
	}{
		{"no options", "immudb://u:p@h/db", "immudb://u:p@h/db", Config{}},
		{"several hosts, which net/url cannot read", "immudb://u:p@h1:1,h2:2/db?x-lock-timeout=3&sslmode=disable", "immudb://u:p@h1:1,h2:2/db?sslmode=disable", Config{LockTimeout: 3 * time.Second}},
		{"every option", "immudb://h/?x-migrations-table=v&x-statement-timeout=500&x-multi-statement=true&x-lock-timeout=1m&x-lock-lease=2s",
			"immudb://h/", Config{MigrationsTable: "v", StatementTimeout: 500 * time.Millisecond, MultiStatementEnabled: true, LockTimeout: time.Minute, LockLease: 2 * time.Second}},
		{"an escaped value", "immudb://h/?a=%20&x-lock-timeout=%31%30", "immudb://h/?a=%20", Config{LockTimeout: 10 * time.Second}},
	} {
		t.Run(row.reason, func(t *testing.T) {
			dsn, cfg, err := parseURL(row.url)
			if err != nil {
				t.Fatal(err)
			}
			if dsn != row.dsn || !reflect.DeepEqual(*cfg, row.cfg) {
				t.Errorf("%s, %+v", dsn, cfg)
			}
		})
	}
}

func TestURLThatIsNotValidIsRefusedByNameWithoutThePassword(t *testing.T) {
	for _, row := range []struct{ query, says string }{
		{"x-lock-timout=3", "x-lock-timout: unknown option; the x- options are x-lock-lease, x-lock-timeout,"},
		{"x-lock-timeout=soon", "x-lock-timeout: valid values are seconds"},
		{"x-lock-timeout=-1s", "x-lock-timeout: must not be negative"},
		{"x-lock-timeout=1&x-lock-timeout=2", "x-lock-timeout: given twice"},
		{"x-lock-timeout=%zz", "x-lock-timeout: not a valid value"},
		{"x-lock-lease=1ms", "x-lock-lease: must be at least 100ms"},
		{"x-multi-statement=maybe", "x-multi-statement: valid values are true and false"},
		{"x-statement-timeout=-5s", "x-statement-timeout: must not be negative"},
		{"x-migrations-table=", "x-migrations-table: valid values are names"},
		{"x-migrations-table=a%22b", "x-migrations-table: valid names are"},
		{"x-migrations-table=1a", "x-migrations-table: valid names are"},
		{"nonsense=1", "dsn:"},
	} {
		t.Run(row.query, func(t *testing.T) {
			_, err := (&Immudb{}).Open("immudb://u:s3cr3t@127.0.0.1:1/db?" + row.query)
			if err == nil || !strings.Contains(err.Error(), row.says) || strings.Contains(err.Error(), "s3cr3t") {
				t.Errorf("err = %v, want one that contains %q", err, row.says)
			}
		})
	}
}

func TestConfigOfAnInstanceIsChecked(t *testing.T) {
	if _, err := WithInstance(nil, &Config{LockTimeout: -1}); err == nil || !strings.Contains(err.Error(), "x-lock-timeout") {
		t.Errorf("err = %v", err)
	}
}

func TestServerThatIsNotThereIsAnErrorOfOpen(t *testing.T) {
	_, err := (&Immudb{}).Open("immudb://u:s3cr3t@127.0.0.1:1/db?connect_timeout=1")
	if err == nil || strings.Contains(err.Error(), "s3cr3t") || !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Errorf("err = %v, want one that names the host", err)
	}
}
