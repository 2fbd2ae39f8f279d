package roles

import (
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"
)

// maxName bounds a user id and the name of a role, in bytes.
const maxName = 256

// maxRoles bounds the roles of one caller: each is a membership that is
// delivered to.
const maxRoles = 256

// IdentityProvider says which claims make the principal. The zero value takes
// the user from "sub" and the roles from every claim commonly used for them.
type IdentityProvider struct {
	// User is the claim of the user id: "sub" by default, "email" for
	// identities by e-mail, or a dotted path such as "ext.user.id".
	User string
	// Roles are the claims of the roles; a claim is a string or an array of
	// strings. A path is tried as one name first, then by its dots.
	Roles []string
}

// DefaultRoleClaims are the claims that IdentityProvider looks for.
func DefaultRoleClaims() []string {
	return []string{"role", "roles", "realm_access.roles", "http://schemas.microsoft.com/ws/2008/06/identity/claims/role"}
}

func (p IdentityProvider) withDefaults() IdentityProvider {
	if p.User == "" {
		p.User = "sub"
	}
	if len(p.Roles) == 0 {
		p.Roles = DefaultRoleClaims()
	}
	return p
}

// principal makes the principal of claims that have been verified.
func (p IdentityProvider) principal(claims jwt.MapClaims) (Principal, error) {
	id, _ := lookup(claims, p.User).(string)
	switch {
	case id == "":
		return Principal{}, invalid("claim " + p.User + " with the user id is missing or no string")
	case len(id) > maxName || !utf8.ValidString(id):
		return Principal{}, invalid("user id is not 1 to 256 bytes of UTF-8")
	}
	if p.User == "email" && unverified(claims["email_verified"]) {
		return Principal{}, invalid("e-mail address is not verified")
	}
	who := Principal{UserID: id}
	who.Email, _ = claims["email"].(string)
	who.Name, _ = claims["name"].(string)
	who.Issuer, _ = claims["iss"].(string)
	if issued, err := claims.GetIssuedAt(); err == nil && issued != nil {
		who.IssuedAt = issued.Truncate(time.Second)
	}
	if expires, err := claims.GetExpirationTime(); err == nil && expires != nil {
		who.Expires = expires.Truncate(time.Second)
	}
	for _, claim := range p.Roles {
		names, err := stringsOf(lookup(claims, claim))
		if err != nil {
			return Principal{}, invalid("claim " + claim + ": " + err.Error())
		}
		who.Roles = append(who.Roles, names...)
	}
	slices.Sort(who.Roles)
	who.Roles = slices.Compact(who.Roles)
	if len(who.Roles) > maxRoles {
		return Principal{}, invalid("more than 256 roles")
	}
	return who, nil
}

// unverified tells whether an issuer says that it has not verified an address
// (OpenID Connect Core 1.0, "Standard Claims"). One that says nothing is
// believed.
func unverified(claim any) bool { return claim == false || claim == "false" }

// lookup finds a claim by its name, or else by a path of names.
func lookup(claims map[string]any, path string) any {
	if value, ok := claims[path]; ok {
		return value
	}
	name, rest, dotted := strings.Cut(path, ".")
	if inner, ok := claims[name].(map[string]any); ok && dotted {
		return lookup(inner, rest)
	}
	return nil
}

type claimError string

func (e claimError) Error() string { return string(e) }

// stringsOf are the names in a claim: none, one, or an array.
func stringsOf(claim any) ([]string, error) {
	var names []string
	switch claim := claim.(type) {
	case nil:
	case string:
		names = []string{claim}
	case []any:
		for _, element := range claim {
			name, ok := element.(string)
			if !ok {
				return nil, claimError("a role is no string")
			}
			names = append(names, name)
		}
	default:
		return nil, claimError("roles are neither a string nor an array of strings")
	}
	for _, name := range names {
		if name == "" || len(name) > maxName || !utf8.ValidString(name) {
			return nil, claimError("the name of a role is not 1 to 256 bytes of UTF-8")
		}
	}
	return names, nil
}
