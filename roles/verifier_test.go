package roles_test

import (
	"crypto/ecdh"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tidings/roles"
)

func TestSharedSecretVerifiesEveryHMAC(t *testing.T) {
	v := verifierOf(t, roles.Issuer{Secret: secretA})
	for _, alg := range []string{"HS256", "HS384", "HS512"} {
		t.Run(alg, func(t *testing.T) {
			who, err := v.Verify(t.Context(), token(alg, secretA, ann()))
			isAnn(t, who, err)
		})
	}
}

func TestPublicKeyFileVerifies(t *testing.T) {
	certificate := func(key any, signer any) []byte {
		template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "issuer"}, NotAfter: now}
		der := must(x509.CreateCertificate(rand.Reader, template, template, key, signer))
		return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	}
	pkcs1 := pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(&rsaKey().PublicKey)})
	for _, test := range []struct {
		name string
		file []byte
		key  any
		algs []string
	}{
		{"RSA", pkixPEM(rsaKey().Public()), rsaKey(), []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}},
		{"RSA in PKCS 1", pkcs1, rsaKey(), []string{"RS256", "PS256"}},
		{"RSA in a certificate", certificate(rsaKey().Public(), rsaKey()), rsaKey(), []string{"RS256"}},
		{"P-256", pkixPEM(p256Key().Public()), p256Key(), []string{"ES256"}},
		{"P-256 in a certificate", certificate(p256Key().Public(), p256Key()), p256Key(), []string{"ES256"}},
		{"P-384", pkixPEM(p384Key().Public()), p384Key(), []string{"ES384"}},
		{"P-521", pkixPEM(p521Key().Public()), p521Key(), []string{"ES512"}},
		{"Ed25519", pkixPEM(edKey().Public()), edKey(), []string{"EdDSA"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := verifierOf(t, roles.Issuer{KeyFile: keyFile(t, test.file)})
			for _, alg := range test.algs {
				who, err := v.Verify(t.Context(), token(alg, test.key, ann()))
				if err != nil || who.UserID != "ann" {
					t.Errorf("%s: got user %q, error %v, want ann", alg, who.UserID, err)
				}
			}
		})
	}
}

func TestIssuerOfNoUseIsRefused(t *testing.T) {
	block := func(kind string, der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}) }
	x25519 := must(ecdh.X25519().GenerateKey(rand.Reader)).Public()
	good := roles.Issuer{Name: "a", Secret: secretA}
	for _, test := range []struct {
		name    string
		issuers []roles.Issuer
		want    string
	}{
		{"none", nil, "no way to verify tokens: configure a secret, a key file or a JWKS URL"},
		{"no key", []roles.Issuer{{Name: "a"}}, `issuer "a": want exactly one of a secret, a key file and a JWKS URL`},
		{"two keys", []roles.Issuer{{Secret: secretA, KeyFile: "x"}}, `issuer "": want exactly one of a secret, a key file and a JWKS URL`},
		{"three keys", []roles.Issuer{{Secret: secretA, KeyFile: "x", JWKS: "y"}}, `issuer "": want exactly one of a secret, a key file and a JWKS URL`},
		{"secret of 31 bytes", []roles.Issuer{{Secret: secretA[:31]}}, `issuer "": secret of 31 bytes, at least 32 are needed`},
		{"two without a name", []roles.Issuer{good, {Secret: secretB}}, `issuer "": with several issuers each needs a name of its own`},
		{"two of one name", []roles.Issuer{good, {Name: "a", Secret: secretB}}, `issuer "a": with several issuers each needs a name of its own`},
		{"second without a key", []roles.Issuer{good, {Name: "b"}}, `issuer "b": want exactly one`},
		{"no file", []roles.Issuer{{KeyFile: filepath.Join(t.TempDir(), "absent.pem")}}, "absent.pem: no such file"},
		{"no PEM", []roles.Issuer{{KeyFile: keyFile(t, []byte("hello"))}}, "key.pem: no PEM block"},
		{"private key", []roles.Issuer{{KeyFile: keyFile(t, block("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(edKey()))))}}, "want a PUBLIC KEY or CERTIFICATE, got PRIVATE KEY"},
		{"broken public key", []roles.Issuer{{KeyFile: keyFile(t, block("PUBLIC KEY", []byte("x")))}}, `issuer "": `},
		{"broken PKCS 1 key", []roles.Issuer{{KeyFile: keyFile(t, block("RSA PUBLIC KEY", []byte("x")))}}, `issuer "": `},
		{"broken certificate", []roles.Issuer{{KeyFile: keyFile(t, block("CERTIFICATE", []byte("x")))}}, "key.pem: x509: "},
		{"RSA of 1024 bits", []roles.Issuer{{KeyFile: keyFile(t, pkixPEM(shortRSAKey().Public()))}}, "RSA key of 1024 bits, at least 2048 are needed"},
		{"P-224", []roles.Issuer{{KeyFile: keyFile(t, pkixPEM(p224Key().Public()))}}, "curve P-224 is not supported"},
		{"X25519", []roles.Issuer{{KeyFile: keyFile(t, pkixPEM(x25519))}}, "keys of type *ecdh.PublicKey are not supported"},
		{"JWKS without a scheme", []roles.Issuer{{JWKS: "example.com/keys"}}, "JWKS is no http(s) URL"},
		{"JWKS in a file", []roles.Issuer{{JWKS: "file:///keys"}}, "JWKS is no http(s) URL"},
		{"JWKS without a host", []roles.Issuer{{JWKS: "https:///keys"}}, "JWKS is no http(s) URL"},
		{"JWKS that is no URL", []roles.Issuer{{JWKS: "https://exa mple/keys"}}, "JWKS is no http(s) URL"},
	} {
		t.Run(test.name, func(t *testing.T) {
			v, err := roles.NewVerifier(t.Context(), roles.Options{Issuers: test.issuers, Now: clock})
			if v != nil || err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, error %v, want an error with %q", v, err, test.want)
			}
		})
	}
}

func TestAlgorithmOfAnotherKeyIsRefused(t *testing.T) {
	const algorithm, key = "algorithm is not accepted", "no key for this token"
	rsaPEM, ecPEM := pkixPEM(rsaKey().Public()), pkixPEM(p256Key().Public())
	rsaDER, _ := pem.Decode(rsaPEM)
	secret := roles.Issuer{Secret: secretA}
	rsaFile, ecFile := roles.Issuer{KeyFile: keyFile(t, rsaPEM)}, roles.Issuer{KeyFile: keyFile(t, ecPEM)}
	for _, test := range []struct {
		name   string
		issuer roles.Issuer
		token  string
		want   string
	}{
		{"none for a secret", secret, token("none", nil, ann()), algorithm},
		{"none for a key", rsaFile, token("none", nil, ann()), algorithm},
		{"none with a signature", secret, token("none", nil, ann()) + "c2ln", algorithm},
		{"None", secret, token("None", nil, ann()), key},
		{"no algorithm", secret, tokenWith(fields{"typ": "JWT"}, nil, ann()), key},
		{"algorithm of another kind", secret, tokenWith(fields{"alg": 1}, nil, ann()), key},
		{"unknown algorithm", secret, token("HS1", nil, ann()), key},
		{"lower case", secret, tokenWith(fields{"alg": "hs256"}, nil, ann()), key},
		{"RS256 for a secret", secret, token("RS256", rsaKey(), ann()), algorithm},
		{"HS256 with the text of the public key", rsaFile, token("HS256", rsaPEM, ann()), algorithm},
		{"HS256 with the trimmed text of the public key", rsaFile, token("HS256", []byte(strings.TrimSpace(string(rsaPEM))), ann()), algorithm},
		{"HS512 with the bytes of the public key", rsaFile, token("HS512", rsaDER.Bytes, ann()), algorithm},
		{"HS256 with the text of an elliptic key", ecFile, token("HS256", ecPEM, ann()), algorithm},
		{"ES256 for an RSA key", rsaFile, token("ES256", p256Key(), ann()), algorithm},
		{"RS256 for an elliptic key", ecFile, token("RS256", rsaKey(), ann()), algorithm},
		{"ES384 by a key for ES256", ecFile, token("ES384", p256Key(), ann()), algorithm},
		{"EdDSA for an elliptic key", ecFile, token("EdDSA", edKey(), ann()), algorithm},
	} {
		t.Run(test.name, func(t *testing.T) {
			who, err := verifierOf(t, test.issuer).Verify(t.Context(), test.token)
			got, want := refusal(t, err), roles.AuthError{Code: "invalid_token", Reason: test.want}
			if diff := cmp.Diff(want, got); diff != "" || !who.Anonymous() {
				t.Errorf("user %q, refusal (-want +got):\n%s", who.UserID, diff)
			}
		})
	}
}

func TestRefusedTokenSaysWhy(t *testing.T) {
	const marker = "MARKER" // in everything that came with the token
	v := verifierOf(t, roles.Issuer{Name: "https://issuer.example", Audience: "tidings", Secret: secretA})
	good := ann().with(fields{"iss": "https://issuer.example", "aud": "tidings"})
	who, err := v.Verify(t.Context(), token("HS256", secretA, good))
	isAnn(t, who, err)
	signed := func(changes fields) string {
		claims := good.with(fields{"sub": "user " + marker, "jti": marker}).with(changes)
		return tokenWith(fields{"alg": "HS256", "kid": marker}, secretA, claims)
	}
	for _, test := range []struct {
		name, token string
		want        string
	}{
		{"expired", signed(fields{"exp": now.Add(-time.Second).Unix()}), "token is expired"},
		{"expires now", signed(fields{"exp": now.Unix()}), "token is expired"},
		{"expired and for others", signed(fields{"exp": now.Unix() - 1, "aud": marker}), "token is expired"},
		{"expired long ago", signed(fields{"exp": -1}), "token is expired"},
		{"not yet valid", signed(fields{"nbf": now.Add(time.Second).Unix()}), "token is not valid yet"},
		{"never expires", signed(fields{"exp": nil}), "a required claim is missing"},
		{"exp of another kind", signed(fields{"exp": marker}), "token is invalid"},
		{"nbf of another kind", signed(fields{"nbf": marker}), "token is invalid"},
		{"other issuer", signed(fields{"iss": "https://issuer.example/" + marker}), "issuer is not accepted"},
		{"no issuer", signed(fields{"iss": nil}), "a required claim is missing"},
		{"issuer of another kind", signed(fields{"iss": []string{"https://issuer.example", marker}}), "token is invalid"},
		{"other audience", signed(fields{"aud": marker}), "audience is not accepted"},
		{"other audiences", signed(fields{"aud": []string{marker, "tidings " + marker}}), "audience is not accepted"},
		{"no audience", signed(fields{"aud": nil}), "a required claim is missing"},
		{"empty audience", signed(fields{"aud": []string{}}), "a required claim is missing"},
		{"audience of another kind", signed(fields{"aud": 7}), "a required claim is missing"},
		{"other secret", token("HS256", secretB, good.with(fields{"sub": marker})), "signature is invalid"},
		{"no signature", strings.Join(strings.Split(signed(nil), ".")[:2], ".") + ".", "signature is invalid"},
		{"changed claims", strings.Replace(signed(nil), "."+encode(good.with(fields{"sub": "user " + marker, "jti": marker})), "."+encode(good.with(fields{"sub": "bob", "jti": marker})), 1), "signature is invalid"},
		{"one part", marker + "-" + marker, "token is malformed"},
		{"two parts", marker + ".e30", "token is malformed"},
		{"four parts", signed(nil) + "." + marker, "token is malformed"},
		{"no base64", "ä" + marker + ".e30.e30", "token is malformed"},
		{"padded base64", signed(nil) + "=", "token is malformed"},
		{"no JSON", "TUFSS0VS." + encode(good) + ".c2ln", "token is malformed"},
		{"claims that are no JSON", encode(fields{"alg": "HS256"}) + ".TUFSS0VS.c2ln", "token is malformed"},
		{"claims that are an array", tokenWith(fields{"alg": "HS256"}, secretA, []string{marker}), "token is malformed"},
		{"no claims at all", tokenWith(fields{"alg": "HS256"}, secretA, nil), "a required claim is missing"},
		{"longer than 8 KiB", signed(fields{"sub": strings.Repeat(marker, 2000)}), "token is longer than 8 KiB"},
		{"no user", signed(fields{"sub": nil}), "claim sub with the user id is missing or no string"},
		{"role that is no string", signed(fields{"role": []any{marker, 1}}), "claim role: a role is no string"},
	} {
		t.Run(test.name, func(t *testing.T) {
			who, err := v.Verify(t.Context(), test.token)
			got, want := refusal(t, err), roles.AuthError{Code: "invalid_token", Reason: test.want}
			if diff := cmp.Diff(want, got); diff != "" || !who.Anonymous() {
				t.Errorf("user %q, refusal (-want +got):\n%s", who.UserID, diff)
			}
			if got, want := err.Error(), "unauthenticated: "+test.want; got != want {
				t.Errorf("text: got %q, want %q", got, want)
			}
			header := `Bearer realm="tidings", error="invalid_token", error_description="` + test.want + `"`
			if got := got.WWWAuthenticate(); got != header {
				t.Errorf("WWW-Authenticate: got %s, want %s", got, header)
			}
			for _, piece := range append(strings.Split(test.token, "."), marker) {
				if text := fmt.Sprintf("%v %+v %#v", err, err, err); len(piece) > 3 && strings.Contains(text, piece) {
					t.Errorf("the error %q holds %q of the token", text, piece)
				}
			}
		})
	}
}

func TestMissingTokenIsToldWithoutAnErrorCode(t *testing.T) {
	_, err := verifierOf(t, roles.Issuer{Secret: secretA}).Verify(t.Context(), "")
	got := refusal(t, err)
	if got.Code != "" || got.Reason != "no bearer token" || got.WWWAuthenticate() != `Bearer realm="tidings"` {
		t.Errorf("got %+v with header %s, want no code", got, got.WWWAuthenticate())
	}
	if !errors.Is(err, roles.ErrUnauthenticated) {
		t.Errorf("error %v is not ErrUnauthenticated", err)
	}
}

func TestTokenOf8KiBIsReadAndNotAByteMore(t *testing.T) {
	v := verifierOf(t, roles.Issuer{Secret: secretA})
	longest := tokenOfLength(t, roles.MaxTokenBytes)
	who, err := v.Verify(t.Context(), longest)
	isAnn(t, who, err)
	if _, err := v.Verify(t.Context(), tokenOfLength(t, roles.MaxTokenBytes+1)); refusal(t, err).Reason != "token is longer than 8 KiB" {
		t.Errorf("one byte more: got %v", err)
	}
}

// tokenOfLength is a good token of some thousand bytes.
func tokenOfLength(t *testing.T, length int) string {
	t.Helper()
	for kid := range 4 { // no base64 text has a length of 4n+1: the header helps out
		for filler := length*3/4 - 300; filler < length*3/4; filler++ {
			header := fields{"alg": "HS256", "kid": strings.Repeat("k", kid)}
			made := tokenWith(header, secretA, ann().with(fields{"x": strings.Repeat("x", filler)}))
			if len(made) == length {
				return made
			}
		}
	}
	t.Fatalf("no token of %d bytes", length)
	return ""
}

func TestLeewayForgivesSkewOfTheClock(t *testing.T) {
	for _, test := range []struct {
		name   string
		leeway time.Duration
		claims fields
		want   string
	}{
		{"no leeway, in time", 0, fields{"exp": now.Unix() + 1, "nbf": now.Unix()}, ""},
		{"no leeway, late", 0, fields{"exp": now.Unix()}, "token is expired"},
		{"no leeway, early", 0, fields{"nbf": now.Unix() + 1}, "token is not valid yet"},
		{"late inside", time.Minute, fields{"exp": now.Unix() - 59}, ""},
		{"late at the end", time.Minute, fields{"exp": now.Unix() - 60}, "token is expired"},
		{"early inside", time.Minute, fields{"nbf": now.Unix() + 60}, ""},
		{"early beyond", time.Minute, fields{"nbf": now.Unix() + 61}, "token is not valid yet"},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := verifier(t, roles.Options{Issuers: []roles.Issuer{{Secret: secretA}}, Leeway: test.leeway})
			who, err := v.Verify(t.Context(), token("HS256", secretA, ann().with(test.claims)))
			if test.want == "" {
				isAnn(t, who, err)
				return
			}
			if got := refusal(t, err).Reason; got != test.want {
				t.Errorf("leeway %v, claims %v: got %q, want %q", test.leeway, test.claims, got, test.want)
			}
		})
	}
}

func TestClockIsTheRealOneByDefault(t *testing.T) {
	v, err := roles.NewVerifier(t.Context(), roles.Options{Issuers: []roles.Issuer{{Secret: secretA}}})
	if err != nil {
		t.Fatal(err)
	}
	who, err := v.Verify(t.Context(), token("HS256", secretA, ann().with(fields{"exp": time.Now().Add(time.Hour).Unix()})))
	isAnn(t, who, err)
	if _, err := v.Verify(t.Context(), token("HS256", secretA, ann().with(fields{"exp": time.Now().Unix() - 1}))); refusal(t, err).Reason != "token is expired" {
		t.Errorf("token of the past: got %v", err)
	}
}

func TestNamesAreNotLookedAtWhenNoneAreConfigured(t *testing.T) {
	v := verifierOf(t, roles.Issuer{Secret: secretA})
	for _, claims := range []fields{{}, {"iss": "anybody"}, {"aud": "anything"}, {"aud": []string{"x", "y"}}} {
		who, err := v.Verify(t.Context(), token("HS256", secretA, ann().with(claims)))
		if err != nil || who.UserID != "ann" {
			t.Errorf("claims %v: got user %q, error %v, want ann", claims, who.UserID, err)
		}
	}
}

func TestOneOfManyAudiencesIsEnough(t *testing.T) {
	v := verifierOf(t, roles.Issuer{Audience: "tidings", Secret: secretA})
	for _, audience := range []any{"tidings", []string{"tidings"}, []string{"other", "tidings"}} {
		who, err := v.Verify(t.Context(), token("HS256", secretA, ann().with(fields{"aud": audience})))
		if err != nil || who.UserID != "ann" {
			t.Errorf("audience %v: got user %q, error %v, want ann", audience, who.UserID, err)
		}
	}
}

func TestTokenOfAnotherIssuerIsRefused(t *testing.T) {
	rsaPEM := pkixPEM(rsaKey().Public())
	v := verifier(t, roles.Options{Issuers: []roles.Issuer{
		{Name: "a", Audience: "for a", Secret: secretA},
		{Name: "b", Secret: secretB},
		{Name: "c", KeyFile: keyFile(t, rsaPEM)},
	}})
	for _, test := range []struct {
		name, token string
		want        string
	}{
		{"a", token("HS256", secretA, ann().with(fields{"iss": "a", "aud": "for a"})), ""},
		{"b", token("HS256", secretB, ann().with(fields{"iss": "b"})), ""},
		{"c", token("RS256", rsaKey(), ann().with(fields{"iss": "c"})), ""},
		{"a with the key of b", token("HS256", secretB, ann().with(fields{"iss": "a", "aud": "for a"})), "signature is invalid"},
		{"b with the key of a", token("HS256", secretA, ann().with(fields{"iss": "b"})), "signature is invalid"},
		{"a with the key of c", token("RS256", rsaKey(), ann().with(fields{"iss": "a", "aud": "for a"})), "algorithm is not accepted"},
		{"c with the key of a", token("HS256", secretA, ann().with(fields{"iss": "c"})), "algorithm is not accepted"},
		{"c with its public key as a secret", token("HS256", rsaPEM, ann().with(fields{"iss": "c"})), "algorithm is not accepted"},
		{"a for the audience of nobody", token("HS256", secretA, ann().with(fields{"iss": "a"})), "a required claim is missing"},
		{"unknown issuer", token("HS256", secretA, ann().with(fields{"iss": "d"})), "issuer is not accepted"},
		{"issuer in another case", token("HS256", secretA, ann().with(fields{"iss": "A", "aud": "for a"})), "issuer is not accepted"},
		{"no issuer", token("HS256", secretA, ann()), "issuer is not accepted"},
		{"issuer of another kind", token("HS256", secretA, ann().with(fields{"iss": []string{"a"}})), "issuer is not accepted"},
		{"none", token("none", nil, ann().with(fields{"iss": "b"})), "algorithm is not accepted"},
		{"garbage", "a.b.c", "token is malformed"},
		{"unknown algorithm", token("HS1", nil, ann().with(fields{"iss": "b"})), "no key for this token"},
	} {
		t.Run(test.name, func(t *testing.T) {
			who, err := v.Verify(t.Context(), test.token)
			if test.want == "" {
				isAnn(t, who, err)
				return
			}
			if got := refusal(t, err).Reason; got != test.want || !who.Anonymous() {
				t.Errorf("got user %q, reason %q, want %q", who.UserID, got, test.want)
			}
		})
	}
}

// A token without an end is accepted by those who say so.
func TestEndlessTokens(t *testing.T) {
	text := token("HS256", secretA, fields{"sub": "ann"})
	for _, endless := range []bool{false, true} {
		v, err := roles.NewVerifier(t.Context(), roles.Options{Issuers: []roles.Issuer{{Secret: secretA}}, Endless: endless})
		if err != nil {
			t.Fatal(err)
		}
		who, err := v.Verify(t.Context(), text)
		if (err == nil) != endless || endless && (who.UserID != "ann" || !who.Expires.IsZero()) {
			t.Errorf("endless = %v: got %v, %v", endless, who, err)
		}
	}
}
