package roles

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Options says whose tokens are accepted and how they are read.
type Options struct {
	// Issuers are the authorities. With more than one, each needs a name, and
	// a token is verified with the keys of the issuer it names and no others.
	Issuers  []Issuer
	Identity IdentityProvider
	// Endless accepts tokens that name no time at which they end. They cannot be
	// taken back.
	Endless bool
	// Leeway is the clock skew that is forgiven; 0 = none.
	Leeway time.Duration
	// Now is the clock. Default time.Now.
	Now func() time.Time
}

// Keys verifies tokens; it implements [Verifier].
type Keys struct {
	identity    IdentityProvider
	authorities []*authority
}

// NewVerifier loads the keys of all issuers. Key sets are kept fresh until ctx
// ends.
func NewVerifier(ctx context.Context, o Options) (*Keys, error) {
	if len(o.Issuers) == 0 {
		return nil, errors.New("no way to verify tokens: configure a secret, a key file or a JWKS URL")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	k := &Keys{identity: o.Identity.withDefaults()}
	names := map[string]bool{}
	for _, issuer := range o.Issuers {
		if len(o.Issuers) > 1 && (issuer.Name == "" || names[issuer.Name]) {
			return nil, fmt.Errorf("issuer %q: with several issuers each needs a name of its own", issuer.Name)
		}
		names[issuer.Name] = true
		a, err := issuer.authority(ctx, o)
		if err != nil {
			return nil, fmt.Errorf("issuer %q: %w", issuer.Name, err)
		}
		k.authorities = append(k.authorities, a)
	}
	return k, nil
}

// Verify implements [Verifier].
func (k *Keys) Verify(_ context.Context, token string) (Principal, error) {
	if token == "" {
		return Principal{}, &AuthError{Reason: "no bearer token"}
	}
	if len(token) > MaxTokenBytes {
		return Principal{}, invalid("token is longer than 8 KiB")
	}
	a, err := k.authorityOf(token)
	if err != nil {
		return Principal{}, err
	}
	claims := jwt.MapClaims{}
	if _, err = a.parser.ParseWithClaims(token, claims, a.keys); err != nil {
		return Principal{}, invalid(reason(err))
	}
	who, err := k.identity.principal(claims)
	if err == nil {
		_, signed, _ := strings.Cut(token, ".")
		payload, _, _ := strings.Cut(signed, ".")
		who.Claims = Claims(payload)
	}
	return who, err
}

// authorityOf finds the issuer that a token names, before anything in it is
// believed: what it names decides which keys it must stand up to.
func (k *Keys) authorityOf(token string) (*authority, error) {
	if len(k.authorities) == 1 {
		return k.authorities[0], nil
	}
	claims := jwt.MapClaims{}
	if _, _, err := jwt.NewParser().ParseUnverified(token, claims); err != nil {
		return nil, invalid(reason(err))
	}
	name, _ := claims["iss"].(string)
	for _, a := range k.authorities {
		if a.issuer.Name == name {
			return a, nil
		}
	}
	return nil, invalid("issuer is not accepted")
}

// reason is a text for the caller that holds nothing of the token.
func reason(err error) string {
	for _, known := range []struct {
		err  error
		text string
	}{
		{jwt.ErrTokenMalformed, "token is malformed"},
		{jwt.ErrTokenExpired, "token is expired"},
		{jwt.ErrTokenNotValidYet, "token is not valid yet"},
		{jwt.ErrTokenInvalidIssuer, "issuer is not accepted"},
		{jwt.ErrTokenInvalidAudience, "audience is not accepted"},
		{jwt.ErrTokenRequiredClaimMissing, "a required claim is missing"},
		{jwt.ErrTokenUnverifiable, "no key for this token"},
		{jwt.ErrTokenSignatureInvalid, "signature is invalid"},
	} {
		if errors.Is(err, known.err) {
			if known.err == jwt.ErrTokenSignatureInvalid && strings.Contains(err.Error(), "signing method") { //nolint:errorlint // a table entry
				return "algorithm is not accepted"
			}
			return known.text
		}
	}
	return "token is invalid"
}
