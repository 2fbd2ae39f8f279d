package roles_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"tidings/roles"
)

// now is the moment at which the tests are.
var now = time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)

func clock() time.Time { return now }

// secretA and secretB have the 32 bytes that are needed at least.
var (
	secretA = []byte("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")
	secretB = []byte("bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb")
)

// The keys of the tests, made once: an RSA key takes its time.
var (
	rsaKey      = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	otherRSAKey = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	shortRSAKey = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 1024)) })
	p224Key     = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P224(), rand.Reader)) })
	p256Key     = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.ParseRawPrivateKey(elliptic.P256(), secretA)) })
	p384Key     = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)) })
	p521Key     = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader)) })
	edKey       = sync.OnceValue(func() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(secretA) })
)

func must[T any](value T, err error) T { //nolint:ireturn // T is what the caller made
	if err != nil {
		panic(err)
	}
	return value
}

// fields are the claims or the header of a token.
type fields map[string]any

// ann are the claims of a good token.
func ann() fields { return fields{"sub": "ann", "exp": now.Add(time.Hour).Unix()} }

// with is a copy with some fields changed; nil takes a field away.
func (f fields) with(changes fields) fields {
	changed := maps.Clone(f)
	for name, value := range changes {
		changed[name] = value
		if value == nil {
			delete(changed, name)
		}
	}
	return changed
}

// token is a JWS in compact form (RFC 7515 §3.1), signed as RFC 7518 §3 and
// RFC 8037 say and not by the library that the package uses.
func token(alg string, key any, claims fields) string {
	return tokenWith(fields{"alg": alg, "typ": "JWT"}, key, claims)
}

func tokenWith(header fields, key any, claims any) string {
	input := encode(header) + "." + encode(claims)
	alg, _ := header["alg"].(string)
	return input + "." + base64.RawURLEncoding.EncodeToString(signature(alg, key, input))
}

func encode(value any) string { return base64.RawURLEncoding.EncodeToString(must(json.Marshal(value))) }

func signature(alg string, key any, input string) []byte {
	if len(alg) < 3 || alg == "none" {
		return nil
	}
	hash := map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}[alg[len(alg)-3:]]
	digest := func() []byte {
		h := hash.New()
		h.Write([]byte(input))
		return h.Sum(nil)
	}
	switch key := key.(type) {
	case []byte:
		mac := hmac.New(hash.New, key)
		mac.Write([]byte(input))
		return mac.Sum(nil)
	case *rsa.PrivateKey:
		if strings.HasPrefix(alg, "PS") {
			return must(rsa.SignPSS(rand.Reader, key, hash, digest(), &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}))
		}
		return must(rsa.SignPKCS1v15(rand.Reader, key, hash, digest()))
	case *ecdsa.PrivateKey:
		size := map[string]int{"ES256": 32, "ES384": 48, "ES512": 66}[alg]
		r, s, err := ecdsa.Sign(rand.Reader, key, digest())
		if err != nil {
			panic(err)
		}
		out := make([]byte, 2*size)
		r.FillBytes(out[:size])
		s.FillBytes(out[size:])
		return out
	case ed25519.PrivateKey:
		return ed25519.Sign(key, []byte(input))
	default:
		return nil
	}
}

// pkixPEM is the PEM form of a public key.
func pkixPEM(key crypto.PublicKey) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: must(x509.MarshalPKIXPublicKey(key))})
}

// keyFile writes a file of the test.
func keyFile(tb testing.TB, text []byte) string {
	tb.Helper()
	file := filepath.Join(tb.TempDir(), "key.pem")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		tb.Fatal(err)
	}
	return file
}

// timeOf is the time of a claim.
func timeOf(claim any) time.Time {
	seconds, _ := claim.(int64)
	return time.Unix(seconds, 0)
}

// verifier has the clock of the tests unless the options name another.
func verifier(t *testing.T, o roles.Options) *roles.Keys {
	t.Helper()
	if o.Now == nil {
		o.Now = clock
	}
	v, err := roles.NewVerifier(t.Context(), o)
	if err != nil {
		t.Fatalf("NewVerifier: %v", err)
	}
	return v
}

// verifierOf accepts the tokens of one issuer.
func verifierOf(t *testing.T, i roles.Issuer) *roles.Keys {
	t.Helper()
	return verifier(t, roles.Options{Issuers: []roles.Issuer{i}})
}

// refusal is what a caller is told of a token.
func refusal(t *testing.T, err error) roles.AuthError {
	t.Helper()
	var auth *roles.AuthError
	if !errors.As(err, &auth) {
		t.Fatalf("got error %v, want an *AuthError", err)
	}
	return *auth
}

// isAnn fails the test unless a token was accepted and is of ann.
func isAnn(t *testing.T, who roles.Principal, err error) {
	t.Helper()
	if err != nil || who.UserID != "ann" {
		t.Errorf("got user %q, error %v, want ann", who.UserID, err)
	}
}
