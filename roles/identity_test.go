package roles_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"tidings/roles"
)

const netRoles = "http://schemas.microsoft.com/ws/2008/06/identity/claims/role"

// names are n different ones.
func names(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("role-%03d", i)
	}
	return all
}

func TestClaimsMakeThePrincipal(t *testing.T) {
	nested := fields{"user": fields{"id": "ann"}, "user.name": "bob", "deep": fields{"user.id": "eve"}}
	for _, test := range []struct {
		name     string
		identity roles.IdentityProvider
		claims   fields // beside those of ann
		want     roles.Principal
	}{
		{"nothing but a user", roles.IdentityProvider{}, nil, roles.Principal{UserID: "ann"}},
		{
			"all that is known by name",
			roles.IdentityProvider{},
			fields{"email": "ann@example.com", "name": "Ann", "iss": "us"},
			roles.Principal{UserID: "ann", Email: "ann@example.com", Name: "Ann", Issuer: "us"},
		},
		{"names of another kind", roles.IdentityProvider{}, fields{"email": 1, "name": true}, roles.Principal{UserID: "ann"}},
		{
			"user by e-mail",
			roles.IdentityProvider{User: "email"},
			fields{"email": "ann@example.com", "email_verified": true},
			roles.Principal{UserID: "ann@example.com", Email: "ann@example.com"},
		},
		{"user by path", roles.IdentityProvider{User: "ext.user.id"}, fields{"ext": nested}, roles.Principal{UserID: "ann"}},
		{"user by a path with a dotted end", roles.IdentityProvider{User: "ext.user.name"}, fields{"ext": nested}, roles.Principal{UserID: "bob"}},
		{"user by a path with a dotted end, deeper", roles.IdentityProvider{User: "ext.deep.user.id"}, fields{"ext": nested}, roles.Principal{UserID: "eve"}},
		{
			"name with a dot before path",
			roles.IdentityProvider{User: "ext.id"},
			fields{"ext.id": "whole", "ext": fields{"id": "path"}},
			roles.Principal{UserID: "whole"},
		},
		{"user of 256 bytes", roles.IdentityProvider{}, fields{"sub": strings.Repeat("ä", 128)}, roles.Principal{UserID: strings.Repeat("ä", 128)}},

		{"role", roles.IdentityProvider{}, fields{"role": "ops"}, roles.Principal{UserID: "ann", Roles: []string{"ops"}}},
		{"array in role", roles.IdentityProvider{}, fields{"role": []string{"ops", "admin"}}, roles.Principal{UserID: "ann", Roles: []string{"admin", "ops"}}},
		{"roles", roles.IdentityProvider{}, fields{"roles": "ops"}, roles.Principal{UserID: "ann", Roles: []string{"ops"}}},
		{"array in roles", roles.IdentityProvider{}, fields{"roles": []string{"ops", "admin"}}, roles.Principal{UserID: "ann", Roles: []string{"admin", "ops"}}},
		{"empty array", roles.IdentityProvider{}, fields{"roles": []string{}}, roles.Principal{UserID: "ann"}},
		{"null", roles.IdentityProvider{}, fields{"realm_access": nil}, roles.Principal{UserID: "ann"}},
		{"realm_access.roles", roles.IdentityProvider{}, fields{"realm_access": fields{"roles": []string{"ops"}}}, roles.Principal{UserID: "ann", Roles: []string{"ops"}}},
		{"realm_access of another kind", roles.IdentityProvider{}, fields{"realm_access": "ops"}, roles.Principal{UserID: "ann"}},
		{"URI of .NET", roles.IdentityProvider{}, fields{netRoles: "ops"}, roles.Principal{UserID: "ann", Roles: []string{"ops"}}},
		{"array in the URI of .NET", roles.IdentityProvider{}, fields{netRoles: []string{"ops"}}, roles.Principal{UserID: "ann", Roles: []string{"ops"}}},
		{
			"all together, each once",
			roles.IdentityProvider{},
			fields{"role": "ops", "roles": []string{"admin", "ops"}, "realm_access": fields{"roles": []string{"dev"}}, netRoles: "admin"},
			roles.Principal{UserID: "ann", Roles: []string{"admin", "dev", "ops"}},
		},
		{
			"claims of one's own and no others",
			roles.IdentityProvider{Roles: []string{"ext.groups"}},
			fields{"role": "ops", "ext": fields{"groups": []string{"staff"}}},
			roles.Principal{UserID: "ann", Roles: []string{"staff"}},
		},
		{"names are exact", roles.IdentityProvider{}, fields{"roles": []string{"Ops", "ops", " ops"}}, roles.Principal{UserID: "ann", Roles: []string{" ops", "Ops", "ops"}}},
		{"role of 256 bytes", roles.IdentityProvider{}, fields{"role": strings.Repeat("r", 256)}, roles.Principal{UserID: "ann", Roles: []string{strings.Repeat("r", 256)}}},
		{"256 roles", roles.IdentityProvider{}, fields{"role": names(256), "roles": names(100)}, roles.Principal{UserID: "ann", Roles: names(256)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := verifier(t, roles.Options{Issuers: []roles.Issuer{{Secret: secretA}}, Identity: test.identity})
			got, err := v.Verify(t.Context(), token("HS256", secretA, ann().with(test.claims)))
			if err != nil {
				t.Fatalf("claims %v: %v", test.claims, err)
			}
			test.want.Expires = timeOf(ann()["exp"])
			diff := cmp.Diff(test.want, got, cmpopts.IgnoreFields(roles.Principal{}, "Claims"), cmpopts.EquateEmpty(), cmpopts.EquateApproxTime(0))
			if diff != "" {
				t.Errorf("claims %v: principal (-want +got):\n%s", test.claims, diff)
			}
			if claims := got.Claims.Map(); claims["sub"] == nil || claims["exp"] == nil {
				t.Errorf("claims %v: got only %v", test.claims, got.Claims.Map())
			}
		})
	}
}

func TestClaimsOfNoUseAreRefused(t *testing.T) {
	const noUser = "claim sub with the user id is missing or no string"
	const badName, badKind = "the name of a role is not 1 to 256 bytes of UTF-8", "roles are neither a string nor an array of strings"
	for _, test := range []struct {
		name     string
		identity roles.IdentityProvider
		claims   fields
		want     string
	}{
		{"no user", roles.IdentityProvider{}, fields{"sub": nil}, noUser},
		{"empty user", roles.IdentityProvider{}, fields{"sub": ""}, noUser},
		{"number as user", roles.IdentityProvider{}, fields{"sub": 7}, noUser},
		{"array as user", roles.IdentityProvider{}, fields{"sub": []string{"ann"}}, noUser},
		{"user of 257 bytes", roles.IdentityProvider{}, fields{"sub": strings.Repeat("u", 257)}, "user id is not 1 to 256 bytes of UTF-8"},
		{"no e-mail", roles.IdentityProvider{User: "email"}, nil, "claim email with the user id is missing or no string"},
		{"unverified e-mail", roles.IdentityProvider{User: "email"}, fields{"email": "ann@example.com", "email_verified": false}, "e-mail address is not verified"},
		{"path into nothing", roles.IdentityProvider{User: "ext.id"}, nil, "claim ext.id with the user id is missing or no string"},
		{"path into a string", roles.IdentityProvider{User: "sub.id"}, nil, "claim sub.id with the user id is missing or no string"},
		{"number as role", roles.IdentityProvider{}, fields{"role": 7}, "claim role: " + badKind},
		{"object as roles", roles.IdentityProvider{}, fields{"roles": fields{"ops": true}}, "claim roles: " + badKind},
		{"boolean in a path", roles.IdentityProvider{}, fields{"realm_access": fields{"roles": true}}, "claim realm_access.roles: " + badKind},
		{"number among roles", roles.IdentityProvider{}, fields{"roles": []any{"ops", 7}}, "claim roles: a role is no string"},
		{"null among roles", roles.IdentityProvider{}, fields{netRoles: []any{nil}}, "claim " + netRoles + ": a role is no string"},
		{"empty role", roles.IdentityProvider{}, fields{"role": ""}, "claim role: " + badName},
		{"empty role among others", roles.IdentityProvider{}, fields{"role": []string{"ops", ""}}, "claim role: " + badName},
		{"role of 257 bytes", roles.IdentityProvider{}, fields{"role": strings.Repeat("r", 257)}, "claim role: " + badName},
		{"257 roles", roles.IdentityProvider{}, fields{"role": names(257)}, "more than 256 roles"},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := verifier(t, roles.Options{Issuers: []roles.Issuer{{Secret: secretA}}, Identity: test.identity})
			who, err := v.Verify(t.Context(), token("HS256", secretA, ann().with(test.claims)))
			if got := refusal(t, err); got != (roles.AuthError{Code: "invalid_token", Reason: test.want}) || !who.Anonymous() {
				t.Errorf("claims %v: got user %q, %+v, want %q", test.claims, who.UserID, got, test.want)
			}
		})
	}
}
