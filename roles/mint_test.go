package roles_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"tidings/roles"
)

func TestMintedTokenIsVerified(t *testing.T) {
	grant := roles.Grant{
		UserID: "ann", Email: "ann@example.com", Roles: []string{"admin", "ops"}, TTL: time.Hour, Now: now,
		Issuer: "dev", Audience: "tidings",
	}
	for _, test := range []struct {
		name  string
		grant roles.Grant
		want  roles.Principal
	}{
		{"all", grant, roles.Principal{UserID: "ann", Email: "ann@example.com", Roles: []string{"admin", "ops"}, Issuer: "dev", IssuedAt: now, Expires: now.Add(time.Hour)}},
		{"user only", roles.Grant{UserID: "ann", TTL: time.Minute, Now: now}, roles.Principal{UserID: "ann", IssuedAt: now, Expires: now.Add(time.Minute)}},
		{"zone of the clock", roles.Grant{UserID: "ann", TTL: time.Minute, Now: now.In(time.FixedZone("", 3600))}, roles.Principal{UserID: "ann", IssuedAt: now, Expires: now.Add(time.Minute)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			minted, err := roles.Mint(secretA, test.grant)
			if err != nil {
				t.Fatal(err)
			}
			v := verifierOf(t, roles.Issuer{Name: test.grant.Issuer, Audience: test.grant.Audience, Secret: secretA})
			got, err := v.Verify(t.Context(), minted)
			if err != nil {
				t.Fatal(err)
			}
			diff := cmp.Diff(test.want, got, cmpopts.IgnoreFields(roles.Principal{}, "Claims"), cmpopts.EquateApproxTime(0))
			if diff != "" {
				t.Errorf("grant %+v: principal (-want +got):\n%s", test.grant, diff)
			}
			for _, absent := range []string{"iss", "aud", "email", "role"} {
				if _, has := got.Claims.Map()[absent]; has && test.grant.Issuer == "" {
					t.Errorf("grant %+v: claim %s was not asked for", test.grant, absent)
				}
			}
			again, err := roles.Mint(secretA, test.grant)
			if err != nil || again == minted {
				t.Errorf("a second token is the same, or error %v: no id of its own", err)
			}
		})
	}
}

func TestMintedTokenEnds(t *testing.T) {
	minted, err := roles.Mint(secretA, roles.Grant{UserID: "ann", TTL: time.Minute, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		after time.Duration
		want  string
	}{{-time.Second, "token is not valid yet"}, {0, ""}, {59 * time.Second, ""}, {time.Minute, "token is expired"}} {
		v := verifier(t, roles.Options{
			Issuers: []roles.Issuer{{Secret: secretA}},
			Now:     func() time.Time { return now.Add(test.after) },
		})
		_, err := v.Verify(t.Context(), minted)
		got := ""
		if err != nil {
			got = refusal(t, err).Reason
		}
		if got != test.want {
			t.Errorf("%v after it was made: got %q, want %q", test.after, got, test.want)
		}
	}
}

func TestGrantOfNoUseIsRefused(t *testing.T) {
	good := roles.Grant{UserID: "ann", TTL: time.Minute, Now: now}
	nobody, never, past := good, good, good
	nobody.UserID, never.TTL, past.TTL = "", 0, -time.Minute
	for _, test := range []struct {
		name   string
		secret []byte
		grant  roles.Grant
		want   string
	}{
		{"short secret", secretA[:31], good, "mint: secret of 31 bytes, at least 32 are needed"},
		{"no user", secretA, nobody, "mint: no user id"},
		{"no time", secretA, never, "mint: a token of 0s would never be valid"},
		{"time that is over", secretA, past, "mint: a token of -1m0s would never be valid"},
	} {
		t.Run(test.name, func(t *testing.T) {
			minted, err := roles.Mint(test.secret, test.grant)
			if minted != "" || err == nil || err.Error() != test.want {
				t.Errorf("got %q, error %v, want %q", minted, err, test.want)
			}
		})
	}
}

func TestNewSecretIsLongAndNew(t *testing.T) {
	one, other := roles.NewSecret(), roles.NewSecret()
	if one == other || len(one) < roles.MinSecretBytes || strings.TrimSpace(one) != one {
		t.Errorf("got %q and %q, want two long texts", one, other)
	}
	minted, err := roles.Mint([]byte(one), roles.Grant{UserID: "ann", TTL: time.Minute, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	who, err := verifierOf(t, roles.Issuer{Secret: []byte(one)}).Verify(t.Context(), minted)
	isAnn(t, who, err)
}
