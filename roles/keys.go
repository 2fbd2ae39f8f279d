package roles

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/time/rate"
)

// MinSecretBytes is the least a shared secret may have (RFC 7518 §3.2).
const MinSecretBytes = 32

// Issuer is one authority whose tokens are accepted, with its keys: exactly
// one of Secret, KeyFile and JWKS.
type Issuer struct {
	// Name is the value of "iss" that its tokens must have. It may be empty
	// when there is one issuer only: "iss" is not looked at then.
	Name string
	// Audience must be among the "aud" of its tokens; empty = not looked at.
	Audience string
	// Secret is shared with the issuer: HS256, HS384 or HS512.
	Secret []byte
	// KeyFile is a PEM file with a public key or a certificate: RSA (RS*,
	// PS*), ECDSA (ES*) or Ed25519 (EdDSA).
	KeyFile string
	// JWKS is the https URL of a key set (RFC 7517), which is fetched at the
	// start, again every hour, and when a token names an unknown key, but then
	// at most every 10 s.
	JWKS string
}

// LogValue names the issuer without its secret.
func (i Issuer) LogValue() slog.Value {
	return slog.GroupValue(slog.String("name", i.Name), slog.String("key_file", i.KeyFile), slog.String("jwks", i.JWKS))
}

// The pace at which key sets are fetched.
const (
	jwksRefresh = time.Hour
	jwksUnknown = 10 * time.Second
	jwksTimeout = 10 * time.Second
)

// authority is an issuer that is ready to verify.
type authority struct {
	issuer Issuer
	parser *jwt.Parser
	keys   jwt.Keyfunc
}

func (i Issuer) authority(ctx context.Context, o Options) (*authority, error) {
	given := 0
	for _, has := range []bool{len(i.Secret) > 0, i.KeyFile != "", i.JWKS != ""} {
		if has {
			given++
		}
	}
	if given != 1 {
		return nil, errors.New("want exactly one of a secret, a key file and a JWKS URL")
	}
	a := &authority{issuer: i}
	methods, err := a.load(ctx)
	if err != nil {
		return nil, err
	}
	options := []jwt.ParserOption{
		jwt.WithValidMethods(methods), jwt.WithLeeway(o.Leeway), jwt.WithTimeFunc(o.Now),
	}
	if !o.Endless {
		options = append(options, jwt.WithExpirationRequired())
	}
	if i.Name != "" {
		options = append(options, jwt.WithIssuer(i.Name))
	}
	if i.Audience != "" {
		options = append(options, jwt.WithAudience(i.Audience))
	}
	a.parser = jwt.NewParser(options...)
	return a, nil
}

// load makes the key function and says which algorithms its keys are for: a
// public key must never be taken for a shared secret.
func (a *authority) load(ctx context.Context) (methods []string, err error) {
	switch {
	case len(a.issuer.Secret) > 0:
		if len(a.issuer.Secret) < MinSecretBytes {
			return nil, fmt.Errorf("secret of %d bytes, at least %d are needed", len(a.issuer.Secret), MinSecretBytes)
		}
		a.keys = func(*jwt.Token) (any, error) { return a.issuer.Secret, nil }
		return []string{"HS256", "HS384", "HS512"}, nil
	case a.issuer.KeyFile != "":
		key, err := readPublicKey(a.issuer.KeyFile)
		if err != nil {
			return nil, err
		}
		a.keys = func(*jwt.Token) (any, error) { return key, nil }
		return methodsOf(key)
	default:
		return a.loadJWKS(ctx)
	}
}

func (a *authority) loadJWKS(ctx context.Context) ([]string, error) {
	u, err := url.Parse(a.issuer.JWKS)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" {
		return nil, errors.New("JWKS is no http(s) URL")
	}
	storage, err := jwkset.NewStorageFromHTTP(a.issuer.JWKS, jwkset.HTTPClientStorageOptions{
		Ctx: ctx, HTTPTimeout: jwksTimeout, RefreshInterval: jwksRefresh,
	})
	if err != nil {
		return nil, fmt.Errorf("fetch JWKS: %w", err)
	}
	client, err := jwkset.NewHTTPClient(jwkset.HTTPClientOptions{
		HTTPURLs:          map[string]jwkset.Storage{a.issuer.JWKS: storage},
		RefreshUnknownKID: rate.NewLimiter(rate.Inf, 1), // keySet has the pace
		RateLimitWaitMax:  jwksTimeout,                  // bounds the fetch
	})
	if err != nil {
		return nil, fmt.Errorf("keep JWKS: %w", err)
	}
	set := &keySet{pace: rate.NewLimiter(rate.Every(jwksUnknown), 1)}
	if set.known, err = keyfunc.New(keyfunc.Options{Ctx: ctx, Storage: storage}); err != nil {
		return nil, fmt.Errorf("use JWKS: %w", err)
	}
	if set.fetching, err = keyfunc.New(keyfunc.Options{Ctx: ctx, Storage: client}); err != nil {
		return nil, fmt.Errorf("use JWKS: %w", err)
	}
	a.keys = set.keys
	// Symmetric keys in a public place are no keys, so their algorithms are
	// not accepted at all.
	return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}, nil
}

// keySet finds the keys of a token in a JWKS.
type keySet struct {
	known, fetching keyfunc.Keyfunc
	pace            *rate.Limiter
	turn            sync.Mutex // held while the set is fetched for an unknown key
}

// keys are those the token may have been signed with: the one it names, or all
// when it names none, but only if its algorithm is one for that key.
func (s *keySet) keys(token *jwt.Token) (any, error) {
	found, err := s.known.Keyfunc(token)
	if errors.Is(err, jwkset.ErrKeyNotFound) {
		found, err = s.fetch(token)
	}
	if err != nil {
		return nil, err
	}
	set, all := found.(jwt.VerificationKeySet)
	if !all {
		set.Keys = []jwt.VerificationKey{found}
	}
	set.Keys = slices.DeleteFunc(set.Keys, func(key jwt.VerificationKey) bool {
		methods, err := methodsOf(key)
		return err != nil || !slices.Contains(methods, token.Method.Alg())
	})
	return set, nil
}

// fetch looks for a key that is not known yet. Whoever comes while the set is
// fetched waits for it; whoever comes before it may be fetched again does not
// wait, or tokens of made-up keys would hold up everybody.
func (s *keySet) fetch(token *jwt.Token) (any, error) {
	s.turn.Lock()
	defer s.turn.Unlock()
	if s.pace.Allow() {
		return s.fetching.Keyfunc(token)
	}
	return s.known.Keyfunc(token)
}

func readPublicKey(file string) (crypto.PublicKey, error) {
	data, err := os.ReadFile(file) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, fmt.Errorf("%s: no PEM block", file)
	}
	switch block.Type {
	case "CERTIFICATE":
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		return certificate.PublicKey, nil
	case "RSA PUBLIC KEY":
		return x509.ParsePKCS1PublicKey(block.Bytes)
	case "PUBLIC KEY":
		return x509.ParsePKIXPublicKey(block.Bytes)
	default:
		return nil, fmt.Errorf("%s: want a PUBLIC KEY or CERTIFICATE, got %s", file, block.Type)
	}
}

// minRSABits is the least an RSA key may have (RFC 7518 §3.3).
const minRSABits = 2048

func methodsOf(key crypto.PublicKey) ([]string, error) {
	switch key := key.(type) {
	case *rsa.PublicKey:
		if key.N.BitLen() < minRSABits {
			return nil, fmt.Errorf("RSA key of %d bits, at least %d are needed", key.N.BitLen(), minRSABits)
		}
		return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}, nil
	case *ecdsa.PublicKey:
		// One algorithm per curve (RFC 7518 §3.4).
		switch key.Curve.Params().BitSize {
		case 256:
			return []string{"ES256"}, nil
		case 384:
			return []string{"ES384"}, nil
		case 521:
			return []string{"ES512"}, nil
		}
		return nil, fmt.Errorf("curve %s is not supported", key.Curve.Params().Name)
	case ed25519.PublicKey:
		return []string{"EdDSA"}, nil
	default:
		return nil, fmt.Errorf("keys of type %T are not supported", key)
	}
}
