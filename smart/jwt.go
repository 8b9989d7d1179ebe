package smart

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/golang-jwt/jwt/v5"

	"github.com/bulkexport/bulkexport"
)

// Issuer is an authorization server whose access tokens are JWTs (RFC 9068, or
// near to it).
//
// A token counts if it is signed by a key of the issuer that its kid names; has
// iss, aud and exp, and is neither expired nor, by nbf and iat, from the future,
// with 10 s for clocks that differ; and names its client in client_id, else azp,
// else sub. Its scopes are in scope or scp, each a string or an array. Tokens of
// other types (typ), with extensions that have to be understood (crit), or bound
// to a key of the client (cnf), which a bearer cannot show, are refused.
type Issuer struct {
	// URL is the issuer's name, exactly as in iss. Required.
	URL string
	// Audience is what has to be in aud: the name of this server at the issuer, for
	// example its FHIR base URL. Required.
	Audience string
	// Keys are the issuer's, for example a [RemoteKeySet] of its jwks_uri. They are
	// asked for an empty kid, too, if a token has none. Required.
	Keys KeySource
	// Algorithms are the signature algorithms that are admitted: some of RS256 to
	// RS512, PS256 to PS512, ES256 to ES512 and EdDSA. By default RS384, ES384,
	// RS256 and ES256.
	Algorithms []string
	// Name, if not empty, is put before the names of clients, with a slash, since
	// clients of different issuers may have the same. It has no slash itself.
	Name string
	// Tenant returns the tenant that a verified token is for, for example by
	// [TenantClaim]; it must not change the claims. Its errors are answered as those
	// of [httpadapter.Config.Authorize] are. By default there are no tenants.
	Tenant func(claims map[string]any) (string, error)
}

// TenantClaim returns a function for [Issuer.Tenant] that takes the tenant from a
// claim. A token that does not have it, as a string that is not empty, is refused.
func TenantClaim(name string) func(claims map[string]any) (string, error) {
	return func(claims map[string]any) (string, error) {
		tenant, _ := claims[name].(string)
		if tenant == "" {
			return "", refused("the token names no tenant")
		}
		return tenant, nil
	}
}

// verifier verifies the tokens of an issuer.
type verifier struct {
	Issuer
	parser *jwt.Parser
}

func newVerifier(issuer Issuer) (*verifier, error) {
	switch {
	case issuer.URL == "":
		return nil, fault("URL", "is required")
	case issuer.Audience == "":
		return nil, fault("Audience", "is required")
	case issuer.Keys == nil:
		return nil, fault("Keys", "is required")
	}
	if err := checkName(issuer.Name); err != nil {
		return nil, err
	}
	algorithms := listOr(slices.Clone(issuer.Algorithms), "RS384", "ES384", "RS256", "ES256")
	for _, alg := range algorithms {
		if typeFor(alg) == noType {
			return nil, fault("Algorithms", fmt.Sprintf("has %q, which is not one for access tokens", alg))
		}
	}
	return &verifier{issuer, jwt.NewParser(
		jwt.WithValidMethods(algorithms),
		jwt.WithIssuer(issuer.URL),
		jwt.WithAudience(issuer.Audience),
		jwt.WithExpirationRequired(),
		jwt.WithIssuedAt(),
		jwt.WithLeeway(leeway),
		jwt.WithStrictDecoding(),
	)}, nil
}

// claimedIssuer returns the iss of what may be a JWT. Nothing is verified.
func claimedIssuer(text string) string {
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return ""
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return ""
	}
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		return ""
	}
	issuer, _ := claims["iss"].(string)
	return issuer
}

// verify returns what a token says, if it is to be believed.
func (v *verifier) verify(ctx context.Context, text string) (Token, error) {
	claims := jwt.MapClaims{}
	var trouble error
	_, err := v.parser.ParseWithClaims(text, claims, func(token *jwt.Token) (any, error) {
		if err := checkHeader(token.Header); err != nil {
			return nil, err
		}
		kid, _ := token.Header["kid"].(string)
		key, err := v.Keys.Key(ctx, kid, token.Method.Alg())
		if err != nil && !errors.Is(err, ErrNoKey) {
			trouble = fmt.Errorf("keys of issuer %s: %w", v.URL, err)
		}
		return key, err
	})
	switch {
	case trouble != nil:
		return Token{}, trouble
	case err != nil:
		return Token{}, refused(reason(err))
	}
	return v.token(claims)
}

var errHeader = errors.New("header asks for what there is not")

// checkHeader refuses what must not be overlooked (RFC 7515, section 4.1.11; RFC
// 9068, section 2.1). Keys, or where to find them, are not taken from headers.
func checkHeader(header map[string]any) error {
	if _, ok := header["crit"]; ok {
		return errHeader
	}
	typ, ok := header["typ"]
	if !ok {
		return nil
	}
	name, _ := typ.(string)
	switch strings.TrimPrefix(strings.ToLower(name), "application/") {
	case "jwt", "at+jwt":
		return nil
	}
	return errHeader
}

// reason says why a token was refused without repeating anything of it.
func reason(err error) string {
	for _, known := range []struct {
		err  error
		text string
	}{
		{ErrNoKey, "no key verifies the token"},
		{errHeader, "the header of the token asks for what is not supported"},
		{jwt.ErrTokenMalformed, "the token is malformed"},
		{jwt.ErrTokenSignatureInvalid, "the signature of the token is wrong, or of an algorithm that is not admitted"},
		{jwt.ErrTokenExpired, "the token has expired"},
		{jwt.ErrTokenNotValidYet, "the token is not valid yet"},
		{jwt.ErrTokenUsedBeforeIssued, "the token is from the future"},
		{jwt.ErrTokenInvalidAudience, "the token is for another audience"},
		{jwt.ErrTokenRequiredClaimMissing, "the token lacks a claim"},
	} {
		if errors.Is(err, known.err) {
			return known.text
		}
	}
	return "the token is not valid"
}

// token reads claims that were verified.
func (v *verifier) token(claims jwt.MapClaims) (Token, error) {
	token, err := readClaims(claims, v.Name)
	if err != nil || v.Tenant == nil {
		return token, err
	}
	token.Caller.Tenant, err = v.Tenant(claims)
	return token, err
}

// readClaims reads who a token was issued to, for what, and until when. JWTs have
// it in the same words as introspection.
func readClaims(claims jwt.MapClaims, name string) (Token, error) {
	if _, ok := claims["cnf"]; ok {
		return Token{}, refused("the token is bound to a key, which a bearer does not show")
	}
	scope, err := scopeOf(claims)
	if err != nil {
		return Token{}, err
	}
	token := Token{Caller: bulkexport.Caller{Client: clientName(name, clientOf(claims))}, Scope: scope}
	expires, err := claims.GetExpirationTime()
	switch {
	case err != nil:
		return Token{}, refused("exp is not a number")
	case expires != nil:
		token.Expires = expires.Time
	}
	return token, nil
}

// clientOf returns the first name that there is; none, which is refused later, if
// it is not one.
func clientOf(claims jwt.MapClaims) string {
	for _, name := range []string{"client_id", "azp", "sub"} {
		if value, ok := claims[name]; ok {
			client, _ := value.(string)
			return client
		}
	}
	return ""
}

// scopeOf wants strings: what is half understood may allow too much.
func scopeOf(claims jwt.MapClaims) (string, error) {
	value, ok := claims["scope"]
	if !ok {
		value = claims["scp"]
	}
	switch value := value.(type) {
	case nil:
		return "", nil
	case string:
		return value, nil
	case []any:
		scopes := make([]string, len(value))
		for i, one := range value {
			scope, ok := one.(string)
			if !ok {
				return "", refused("the scopes are not text")
			}
			scopes[i] = scope
		}
		return strings.Join(scopes, " "), nil
	}
	return "", refused("the scopes are not text")
}
