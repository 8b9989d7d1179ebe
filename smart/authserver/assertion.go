package authserver

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"time"
)

const (
	// assertionLifetime is how far ahead the end of an assertion may be.
	assertionLifetime = 5 * time.Minute
	// leeway is how far clocks may differ.
	leeway = 10 * time.Second
	// maxAssertion is the highest length of an assertion.
	maxAssertion = 16 << 10
)

// assertion is a signed statement of a client, as it arrived: nothing about it has
// been checked but its form.
type assertion struct {
	header, claims map[string]json.RawMessage
	signed         string // what the signature is made of
	signature      []byte
}

// readAssertion takes a JWS in compact form apart (RFC 7515, section 7.1). The fault
// says what is wrong with it.
func readAssertion(raw string) (a assertion, fault string) {
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		return a, "client_assertion is not a JWS in compact form."
	}
	decoded := make([][]byte, len(parts))
	for i, part := range parts {
		var err error
		decoded[i], err = base64.RawURLEncoding.Strict().DecodeString(part)
		if err != nil || strings.ContainsAny(part, "\r\n") { // the package skips these
			return a, "client_assertion has a part that is not base64url."
		}
	}
	a.signed, a.signature = parts[0]+"."+parts[1], decoded[2]
	var err error
	if a.header, err = readObject(decoded[0]); err != nil {
		return a, "The header of client_assertion is wrong: " + err.Error() + "."
	}
	if a.claims, err = readObject(decoded[1]); err != nil {
		return a, "The claims of client_assertion are wrong: " + err.Error() + "."
	}
	return a, ""
}

// client returns who the assertion claims to come from.
func (a assertion) client() string {
	if issuer, ok := asText(a.claims["iss"]); ok && len(issuer) <= maxName {
		return issuer
	}
	return ""
}

func (a assertion) algorithm() string { return textOf(a.header["alg"]) }
func (a assertion) keyID() string     { return textOf(a.header["kid"]) }
func (a assertion) id() string        { return textOf(a.claims["jti"]) }

// keySetURL returns the header jku, if there is one: empty if it is no string.
func (a assertion) keySetURL() (string, bool) {
	value, ok := a.header["jku"]
	return textOf(value), ok
}

func textOf(value json.RawMessage) string {
	text, _ := asText(value)
	return text
}

// fault returns what is wrong with an assertion, whoever signed it: the rules of
// SMART and RFC 7523 but for the signature and its being used once.
func (a assertion) fault(tokenURL, clientID string, now time.Time) string {
	if fault := a.headerFault(); fault != "" {
		return fault
	}
	if fault := a.namesFault(tokenURL, clientID); fault != "" {
		return fault
	}
	return a.timesFault(now)
}

func (a assertion) headerFault() string {
	if !slices.Contains(algorithms(), a.algorithm()) {
		return "The header alg of client_assertion must be RS384 or ES384."
	}
	if typ, ok := a.header["typ"]; ok && !strings.EqualFold(textOf(typ), "JWT") {
		return "The header typ of client_assertion must be JWT."
	}
	if kid := a.keyID(); kid == "" || len(kid) > maxName {
		return "The header kid of client_assertion must be a string of 1 to 255 bytes."
	}
	for _, name := range []string{"crit", "jwk", "x5c", "x5u"} {
		if _, ok := a.header[name]; ok {
			return "The header " + name + " of client_assertion is not supported."
		}
	}
	return ""
}

// algorithms are those of SMART.
func algorithms() []string { return []string{"RS384", "ES384"} }

func (a assertion) namesFault(tokenURL, clientID string) string {
	issuer := a.client()
	if issuer == "" {
		return "The claim iss of client_assertion must be a string of 1 to 255 bytes."
	}
	if textOf(a.claims["sub"]) != issuer {
		return "The claim sub of client_assertion must be the same as iss."
	}
	if clientID != "" && clientID != issuer {
		return "client_id must be the same as iss of client_assertion."
	}
	if audience, ok := asTexts(a.claims["aud"]); !ok || !slices.Contains(audience, tokenURL) {
		return "The claim aud of client_assertion must be the URL of the token endpoint."
	}
	if id := a.id(); id == "" || len(id) > maxName {
		return "The claim jti of client_assertion must be a string of 1 to 255 bytes."
	}
	return ""
}

func (a assertion) timesFault(now time.Time) string {
	ends, ok := asDate(a.claims["exp"])
	switch {
	case !ok:
		return "The claim exp of client_assertion must be a number of seconds since 1970."
	case !now.Before(ends.Add(leeway)):
		return "client_assertion has expired."
	case ends.After(now.Add(assertionLifetime + leeway)):
		return "The claim exp of client_assertion must be at most five minutes ahead."
	}
	for _, name := range []string{"nbf", "iat"} {
		value, ok := a.claims[name]
		if !ok {
			continue
		}
		begins, ok := asDate(value)
		switch {
		case !ok:
			return "The claim " + name + " of client_assertion must be a number of seconds since 1970."
		case begins.After(now.Add(leeway)):
			return "The claim " + name + " of client_assertion is in the future."
		}
	}
	return ""
}
