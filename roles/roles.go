// Package roles answers two questions: who is calling, and what may that
// caller do. It reads tokens (JWT, RFC 7519), makes a [Principal] of their
// claims and holds the [Policy]. Nothing else in the house knows a token from
// the inside.
package roles

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"slices"
	"time"
)

// Principal is an authenticated caller. The zero value is the anonymous one.
type Principal struct {
	// UserID is 1–256 bytes of UTF-8; which claim it is, is the identity
	// provider's choice. Empty = anonymous.
	UserID string
	// Roles are the names the token holds, without duplicates.
	Roles  []string
	Email  string
	Name   string
	Issuer string
	// IssuedAt is when the token was made, Expires when it ends. Zero = the token
	// does not say.
	IssuedAt, Expires time.Time
	// Claims are all claims of the token. They never reach a log.
	Claims Claims
}

// Claims are those of a token that has been verified, still encoded (RFC 7519
// §3): most are never asked for, and decoded they would cost every connection
// half a kilobyte.
type Claims string

// Map decodes them. It holds nothing if there are none.
func (c Claims) Map() map[string]any {
	claims := map[string]any{}
	if text, err := base64.RawURLEncoding.DecodeString(string(c)); err == nil {
		_ = json.Unmarshal(text, &claims) // it has been decoded before
	}
	return claims
}

// Anonymous tells whether nobody is known to be calling.
func (p Principal) Anonymous() bool { return p.UserID == "" }

// HasRole tells whether the caller holds a role. Names are exact.
func (p Principal) HasRole(role string) bool { return slices.Contains(p.Roles, role) }

// HasAnyRole tells whether the caller holds one of the roles.
func (p Principal) HasAnyRole(any []string) bool { return slices.ContainsFunc(any, p.HasRole) }

// LogValue shows who it is and none of the claims.
func (p Principal) LogValue() slog.Value {
	return slog.GroupValue(slog.String("user", p.UserID), slog.Any("roles", p.Roles))
}

// Verifier makes a principal of a bearer token. The error is an [*AuthError]
// when the token is at fault, and another one when it could not be verified.
type Verifier interface {
	Verify(ctx context.Context, token string) (Principal, error)
}
