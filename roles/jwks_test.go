package roles_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tidings/roles"
)

// keySet is the server of an issuer that publishes its keys (RFC 7517).
type keySet struct {
	url string

	mu      sync.Mutex // guards what follows
	keys    []fields
	fetches int
}

// newKeySet serves keys until the test ends. Its connections do not outlive a
// request, so that nothing of it waits inside a bubble.
func newKeySet(t *testing.T, keys ...fields) *keySet {
	t.Helper()
	s := &keySet{keys: keys}
	server := httptest.NewServer(s)
	server.Config.SetKeepAlivesEnabled(false)
	t.Cleanup(server.Close)
	s.url = server.URL + "/keys"
	return s
}

func (s *keySet) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fetches++
	_ = json.NewEncoder(w).Encode(fields{"keys": s.keys})
}

// rotate replaces the keys.
func (s *keySet) rotate(keys ...fields) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = keys
}

func (s *keySet) fetched() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fetches
}

// jwk is a public key as RFC 7517 and RFC 8037 write it.
func jwk(kid string, key any) fields {
	number := func(n *big.Int, size int) string {
		return base64.RawURLEncoding.EncodeToString(n.FillBytes(make([]byte, size)))
	}
	f := fields{"use": "sig"}
	if kid != "" {
		f["kid"] = kid
	}
	switch key := key.(type) {
	case *rsa.PrivateKey:
		return f.with(fields{"kty": "RSA", "n": number(key.N, key.Size()), "e": "AQAB"})
	case *ecdsa.PrivateKey:
		point := must(key.PublicKey.Bytes()) // 4, x, y (SEC 1 §2.3.3)
		half := len(point) / 2
		text := base64.RawURLEncoding.EncodeToString
		return f.with(fields{"kty": "EC", "crv": key.Curve.Params().Name, "x": text(point[1 : 1+half]), "y": text(point[1+half:])})
	case ed25519.PrivateKey:
		public, _ := key.Public().(ed25519.PublicKey)
		return f.with(fields{"kty": "OKP", "crv": "Ed25519", "x": base64.RawURLEncoding.EncodeToString(public)})
	default:
		secret, _ := key.([]byte)
		return f.with(fields{"kty": "oct", "k": base64.RawURLEncoding.EncodeToString(secret)})
	}
}

// tokenOf names its key.
func tokenOf(kid, alg string, key any) string {
	return tokenWith(fields{"alg": alg, "kid": kid}, key, ann())
}

func TestKeySetVerifies(t *testing.T) {
	set := newKeySet(t, jwk("rsa", rsaKey()), jwk("256", p256Key()), jwk("384", p384Key()), jwk("521", p521Key()), jwk("ed", edKey()))
	v := verifierOf(t, roles.Issuer{JWKS: set.url})
	for _, test := range []struct {
		kid, alg string
		key      any
	}{
		{"rsa", "RS256", rsaKey()},
		{"rsa", "RS384", rsaKey()},
		{"rsa", "RS512", rsaKey()},
		{"rsa", "PS256", rsaKey()},
		{"rsa", "PS384", rsaKey()},
		{"rsa", "PS512", rsaKey()},
		{"256", "ES256", p256Key()},
		{"384", "ES384", p384Key()},
		{"521", "ES512", p521Key()},
		{"ed", "EdDSA", edKey()},
	} {
		t.Run(test.alg, func(t *testing.T) {
			who, err := v.Verify(t.Context(), tokenOf(test.kid, test.alg, test.key))
			isAnn(t, who, err)
			who, err = v.Verify(t.Context(), token(test.alg, test.key, ann()))
			if err != nil || who.UserID != "ann" {
				t.Errorf("without a key id: got user %q, error %v, want ann", who.UserID, err)
			}
		})
	}
	if got := set.fetched(); got != 1 {
		t.Errorf("the keys were fetched %d times, want once", got)
	}
}

func TestKeySetAcceptsNoKeyOfAnotherKind(t *testing.T) {
	const algorithm, key, signature = "algorithm is not accepted", "no key for this token", "signature is invalid"
	set := newKeySet(t,
		jwk("rsa", rsaKey()), jwk("pinned", rsaKey()).with(fields{"alg": "RS256"}), jwk("short", shortRSAKey()),
		jwk("256", p256Key()), jwk("secret", secretA))
	v := verifierOf(t, roles.Issuer{JWKS: set.url})
	for _, test := range []struct {
		name, token string
		want        string
	}{
		{"none", tokenOf("rsa", "none", nil), algorithm},
		{"secret in a public place", tokenOf("secret", "HS256", secretA), algorithm},
		{"secret in a public place, without a key id", token("HS256", secretA, ann()), algorithm},
		{"HS256 with the text of the public key", tokenOf("rsa", "HS256", pkixPEM(rsaKey().Public())), algorithm},
		{"RS512 by a key for RS256", tokenOf("pinned", "RS512", rsaKey()), key},
		{"PS256 by a key for RS256", tokenOf("pinned", "PS256", rsaKey()), key},
		{"RSA of 1024 bits", tokenOf("short", "RS256", shortRSAKey()), key},
		{"RSA of 1024 bits, without a key id", token("RS256", shortRSAKey(), ann()), signature},
		{"ES384 by a key for ES256", tokenOf("256", "ES384", p256Key()), key},
		{"ES384 by a key for ES256, without a key id", token("ES384", p256Key(), ann()), key},
		{"ES256 by an RSA key", tokenOf("rsa", "ES256", p256Key()), key},
		{"RS256 with the key of another", tokenOf("rsa", "RS256", otherRSAKey()), signature},
		{"RS256 by an elliptic key", tokenOf("256", "RS256", rsaKey()), key},
		{"EdDSA by an elliptic key", tokenOf("256", "EdDSA", edKey()), key},
		{"key id of another kind", tokenWith(fields{"alg": "RS256", "kid": 7}, rsaKey(), ann()), key},
	} {
		t.Run(test.name, func(t *testing.T) {
			who, err := v.Verify(t.Context(), test.token)
			if got := refusal(t, err); got.Reason != test.want || !who.Anonymous() {
				t.Errorf("got user %q, reason %q, want %q", who.UserID, got.Reason, test.want)
			}
		})
	}
}

func TestUnknownKeyIsFetchedAtMostEvery10Seconds(t *testing.T) {
	first, second := jwk("1", p256Key()), jwk("2", p384Key())
	set := newKeySet(t, first)
	synctest.Test(t, func(t *testing.T) {
		v := verifierOf(t, roles.Issuer{JWKS: set.url})
		verify := func(what, token, want string, fetches int) {
			t.Helper()
			start := time.Now()
			_, err := v.Verify(t.Context(), token)
			got := ""
			if err != nil {
				got = refusal(t, err).Reason
			}
			if got != want || set.fetched() != fetches {
				t.Errorf("%s: got reason %q after %d fetches, want %q after %d", what, got, set.fetched(), want, fetches)
			}
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("%s: the caller waited %v", what, took)
			}
		}
		old, fresh := tokenOf("1", "ES256", p256Key()), tokenOf("2", "ES384", p384Key())
		unknown, later := tokenOf("3", "ES256", p256Key()), time.After
		verify("known key", old, "", 1)
		set.rotate(first.with(fields{"alg": "ES256"}), second)
		verify("known key, other algorithm", tokenOf("1", "RS256", rsaKey()), "no key for this token", 1)
		verify("new key", fresh, "", 2)
		verify("old key, still there", old, "", 2)
		for range 100 {
			verify("unknown key", unknown, "no key for this token", 2)
		}
		set.rotate(second)
		<-later(11 * time.Second)
		verify("unknown key, later", unknown, "no key for this token", 3)
		verify("old key, gone", old, "no key for this token", 3)
		verify("new key", fresh, "", 3)
		set.rotate(first)
		<-later(time.Hour)
		synctest.Wait()
		verify("keys of an hour later", old, "", 4)
		verify("new key, gone", fresh, "no key for this token", 5)
	})
}

func TestManyTokensOfANewKeyAreAccepted(t *testing.T) {
	set := newKeySet(t, jwk("1", p256Key()))
	synctest.Test(t, func(t *testing.T) {
		v := verifierOf(t, roles.Issuer{JWKS: set.url})
		set.rotate(jwk("2", p384Key()))
		errs := make([]error, 50)
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() { _, errs[i] = v.Verify(t.Context(), tokenOf("2", "ES384", p384Key())) })
		}
		wg.Wait()
		for i, err := range errs {
			if err != nil {
				t.Errorf("caller %d of %d: got %v, want no error", i, len(errs), err)
			}
		}
		if got := set.fetched(); got != 2 {
			t.Errorf("the keys were fetched %d times, want 2", got)
		}
	})
}

func TestKeySetThatCannotBeFetchedIsAnError(t *testing.T) {
	for _, test := range []struct {
		name   string
		answer http.HandlerFunc
	}{
		{"error", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }},
		{"no JSON", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }},
		{"broken key", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"keys":[{"kty":"RSA"}]}`)) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := httptest.NewServer(test.answer)
			defer server.Close()
			v, err := roles.NewVerifier(t.Context(), roles.Options{Issuers: []roles.Issuer{{Name: "a", JWKS: server.URL}}})
			if v != nil || err == nil || !strings.HasPrefix(err.Error(), `issuer "a": fetch JWKS: `) {
				t.Errorf("got %v, error %v, want one of the fetch", v, err)
			}
		})
	}
}
