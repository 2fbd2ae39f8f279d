package roles

import (
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Grant is what a minted token says.
type Grant struct {
	UserID string
	Email  string
	Roles  []string
	// TTL is how long the token is good for, from Now on.
	TTL time.Duration
	Now time.Time
	// Issuer and Audience are left out when empty.
	Issuer   string
	Audience string
}

// Mint signs a token with a shared secret (HS256): for development, tests and
// the command line. In production an identity provider does this.
func Mint(secret []byte, g Grant) (string, error) {
	switch {
	case len(secret) < MinSecretBytes:
		return "", fmt.Errorf("mint: secret of %d bytes, at least %d are needed", len(secret), MinSecretBytes)
	case g.UserID == "":
		return "", errors.New("mint: no user id")
	case g.TTL <= 0:
		return "", fmt.Errorf("mint: a token of %v would never be valid", g.TTL)
	}
	claims := jwt.MapClaims{
		"sub": g.UserID,
		"iat": g.Now.Unix(),
		"nbf": g.Now.Unix(),
		"exp": g.Now.Add(g.TTL).Unix(),
		"jti": rand.Text(),
	}
	if len(g.Roles) > 0 {
		claims["role"] = g.Roles
	}
	for name, value := range map[string]string{"email": g.Email, "iss": g.Issuer, "aud": g.Audience} {
		if value != "" {
			claims[name] = value
		}
	}
	return jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(secret)
}

// NewSecret makes a secret to share, as text of 256 random bits.
func NewSecret() string {
	return rand.Text() + rand.Text()
}
