package roles_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"tidings/roles"
)

func TestLogShowsNoClaims(t *testing.T) {
	who := roles.Principal{
		UserID: "ann", Roles: []string{"ops"}, Email: "MARKER@example.com", Name: "MARKER", Issuer: "MARKER",
		Expires: now, Claims: "MARKER",
	}
	for name, value := range map[string]any{"value": who, "pointer": &who} {
		var text, json bytes.Buffer
		slog.New(slog.NewTextHandler(&text, nil)).InfoContext(t.Context(), "called", slog.Any("caller", value))
		slog.New(slog.NewJSONHandler(&json, nil)).InfoContext(t.Context(), "called", slog.Any("caller", value))
		for _, line := range []string{text.String(), json.String()} {
			if strings.Contains(line, "MARKER") || !strings.Contains(line, "ann") || !strings.Contains(line, "ops") {
				t.Errorf("%s: got %s, want user and roles only", name, line)
			}
		}
	}
}

func TestRolesAreExact(t *testing.T) {
	who := roles.Principal{UserID: "ann", Roles: []string{"Admin", "ops"}}
	for role, want := range map[string]bool{"ops": true, "Admin": true, "admin": false, "op": false, "": false} {
		if got := who.HasRole(role); got != want {
			t.Errorf("HasRole(%q) of %v: got %v, want %v", role, who.Roles, got, want)
		}
	}
	for _, test := range []struct {
		roles []string
		want  bool
	}{{nil, false}, {[]string{"admin"}, false}, {[]string{"admin", "ops"}, true}} {
		if got := who.HasAnyRole(test.roles); got != test.want {
			t.Errorf("HasAnyRole(%q) of %v: got %v, want %v", test.roles, who.Roles, got, test.want)
		}
	}
}

func TestZeroPrincipalIsAnonymous(t *testing.T) {
	if who := (roles.Principal{}); !who.Anonymous() {
		t.Errorf("%+v is not anonymous", who)
	}
	if who := (roles.Principal{UserID: "ann"}); who.Anonymous() {
		t.Errorf("%+v is anonymous", who)
	}
}
