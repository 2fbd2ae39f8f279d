package roles

import "errors"

// ReasonOf is why a caller was not believed, as one of a few words that can be
// counted: missing, malformed, expired, not_yet, issuer, audience, key, algorithm,
// signature or claims. An error that is no [*AuthError] is unavailable: tokens
// could not be verified at all.
func ReasonOf(err error) string {
	auth, is := errors.AsType[*AuthError](err)
	if !is {
		return "unavailable"
	}
	switch auth.Reason {
	case "no bearer token":
		return "missing"
	case "token is malformed", "token is longer than 8 KiB", "authorization scheme is not Bearer":
		return "malformed"
	case "token is expired":
		return "expired"
	case "token is not valid yet":
		return "not_yet"
	case "issuer is not accepted":
		return "issuer"
	case "audience is not accepted":
		return "audience"
	case "no key for this token":
		return "key"
	case "algorithm is not accepted":
		return "algorithm"
	case "signature is invalid":
		return "signature"
	}
	return "claims" // of identity, or one that is missing
}
