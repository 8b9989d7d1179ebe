package smart_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The challenges of RFC 6750: without an error code where there is no token.
const (
	noToken  = `Bearer realm="FHIR"`
	badToken = `Bearer realm="FHIR", error="invalid_token"`
)

// unsigned makes a token of the algorithm "none", in its spellings.
func unsigned(alg string) string {
	encode := func(object any) string { return base64.RawURLEncoding.EncodeToString(must(json.Marshal(object))) }
	return encode(header("alg", alg)) + "." + encode(claims()) + "."
}

// confused makes a token that is signed with a public key as the secret of HS256.
func confused(kid string, secret []byte) string {
	encode := func(object any) string { return base64.RawURLEncoding.EncodeToString(must(json.Marshal(object))) }
	input := encode(header("alg", "HS256", "kid", kid)) + "." + encode(claims())
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(input))
	return input + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// spareBits spells the same signature in another way.
func spareBits(token string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := len(token) - 1
	return token[:last] + string(alphabet[strings.IndexByte(alphabet, token[last])+1])
}

// refusedTokens are tokens that say nothing about who sends them.
func refusedTokens() map[string]string {
	good := signed(claims())
	parts := strings.Split(good, ".")
	spki := must(x509.MarshalPKIXPublicKey(rsaKey().Public()))
	asPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki})
	asJWK := must(json.Marshal(jwk("rsa", rsaKey())))
	stranger := newECKey(p384Key().Curve)
	strangerJWK := jose.JSONWebKey{Key: stranger.Public()}
	now := time.Now().Unix()
	with := func(members ...any) string { return signed(claims(members...)) }
	headed := func(members ...any) string { return forged(header(members...), claims(), p384Key()) }
	return map[string]string{
		// signatures
		"wrong key":                  sign(jose.ES384, "ec", stranger, claims()),
		"wrong key, its own inside":  sign(jose.ES384, "ec", stranger, claims(), "jwk", strangerJWK),
		"wrong key, no kid but jwk":  sign(jose.ES384, "", stranger, claims(), "jwk", strangerJWK),
		"wrong key and jku":          sign(jose.ES384, "x", stranger, claims(), "jku", "https://evil.example/jwks"),
		"key of another kid":         sign(jose.ES384, "rsa", p384Key(), claims()),
		"unknown kid":                sign(jose.ES384, "nobody", p384Key(), claims()),
		"kid that two keys have":     sign(jose.ES384, "twice", p384Key(), claims()),
		"kid in another case":        sign(jose.ES384, "EC", p384Key(), claims()),
		"missing kid":                sign(jose.ES384, "", p384Key(), claims()),
		"kid is a number":            headed("kid", 1),
		"kid in another member":      headed("kid", nil, "KID", "ec"),
		"none":                       unsigned("none"),
		"None":                       unsigned("None"),
		"NONE":                       unsigned("NONE"),
		"no algorithm":               headed("alg", nil),
		"algorithm is a list":        headed("alg", []string{"ES384"}),
		"algorithm nobody knows":     headed("alg", "ES999"),
		"algorithm of another curve": headed("alg", "ES256"),
		"algorithm of another key":   headed("alg", "RS384"),
		"HS256 with the key as PEM":  confused("rsa", asPEM),
		"HS256 with the key as DER":  confused("rsa", spki),
		"HS256 with the key as JWK":  confused("rsa", asJWK),
		"HS256 without a secret":     confused("ec", nil),
		"PS256, which is not set":    sign(jose.PS256, "rsa", rsaKey(), claims()),
		"RS512, which is not set":    sign(jose.RS512, "rsa", rsaKey(), claims()),
		"EdDSA, which is not set":    sign(jose.EdDSA, "ed", edKey(), claims()),
		"no signature":               parts[0] + "." + parts[1] + ".",
		"signature of another token": strings.Join(parts[:2], ".") + "." + strings.Split(scoped("system/*.read"), ".")[2],
		"claims of another token":    parts[0] + "." + strings.Split(scoped("system/*.read"), ".")[1] + "." + parts[2],
		// headers
		"crit":                   headed("crit", []string{"exp"}, "exp", now),
		"empty crit":             headed("crit", []string{}),
		"unencoded payload":      headed("crit", []string{"b64"}, "b64", false),
		"typ of logout tokens":   headed("typ", "logout+jwt"),
		"typ of DPoP proofs":     headed("typ", "dpop+jwt"),
		"typ of requests":        headed("typ", "oauth-authz-req+jwt"),
		"empty typ":              headed("typ", ""),
		"typ is a list":          headed("typ", []string{"JWT"}),
		"typ of another group":   headed("typ", "text/at+jwt"),
		"not JSON in the header": "bm90IEpTT04." + parts[1] + "." + parts[2],
		// claims
		"expired":                with("exp", now-60),
		"expired long ago":       with("exp", 1),
		"missing exp":            with("exp", nil),
		"exp is text":            with("exp", "4102444800"),
		"exp is zero":            with("exp", 0),
		"nbf in the future":      with("nbf", now+60),
		"nbf is text":            with("nbf", "soon"),
		"iat in the future":      with("iat", now+60),
		"another iss":            with("iss", "https://other.example"),
		"iss with a slash":       with("iss", issuerURL+"/"),
		"iss in another case":    with("iss", strings.ToUpper(issuerURL)),
		"missing iss":            with("iss", nil),
		"iss is a list":          with("iss", []string{issuerURL}),
		"another aud":            with("aud", "https://fhir.example/other"),
		"aud that is longer":     with("aud", audience+"/Patient"),
		"missing aud":            with("aud", nil),
		"empty aud":              with("aud", ""),
		"other auds":             with("aud", []string{"https://a.example", "https://b.example"}),
		"no auds":                with("aud", []string{}),
		"aud is a number":        with("aud", 1),
		"no client":              with("client_id", nil, "sub", nil),
		"empty client":           with("client_id", ""),
		"client is a number":     with("client_id", 1),
		"scope is a number":      with("scope", 1),
		"scope is an object":     with("scope", map[string]any{"system/*.rs": true}),
		"scopes are not text":    with("scope", []any{"system/*.rs", 1}),
		"bound to a key":         with("cnf", map[string]any{"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}),
		"tenant is empty":        with("tenant", ""),
		"tenant is a number":     with("tenant", 1),
		"no JSON in the claims":  parts[0] + ".bm90IEpTT04." + parts[2],
		"claims are a list":      parts[0] + ".W10." + parts[2],
		"expired, of no use too": with("exp", now-60, "scope", "system/*.write"),
		// form
		"truncated":              good[:len(good)-1],
		"truncated twice":        good[:len(good)/2],
		"one character more":     good + "A",
		"one character else":     good[:20] + "_" + good[21:],
		"spare bits":             spareBits(sign(jose.RS384, "rsa", rsaKey(), claims())),
		"one segment more":       good + ".AAAA",
		"one dot less":           strings.Replace(good, ".", "", 1),
		"dots only":              "..",
		"five segments":          "a.b.c.d.e",
		"garbage":                "garbage",
		"token after a token":    good + " " + good,
		"tokens with a comma":    good + ", Bearer " + good,
		"padded":                 good + "==",
		"quoted":                 `"` + good + `"`,
		"percent":                strings.ReplaceAll(good, ".", "%2E"),
		"not ASCII":              good + "é",
		"base64 of another kind": parts[0] + "." + parts[1] + "." + strings.Repeat("+/", 64),
		"oversized":              scoped("system/*.rs " + strings.Repeat("x", 8<<10)),
		"oversized by zeroes":    good + strings.Repeat("=", 8<<10),
	}
}

func TestRequestsWithoutAValidTokenAreRefused(t *testing.T) {
	t.Parallel()
	k := newKit(t, newAuthorizer(t, issuerKeys(t)))
	good := signed(claims())
	status, files := k.export("/fhir/$export?_type=Patient", good)
	urls := map[string]string{
		"kick-off": k.base + "/fhir/$export", "patients": k.base + "/fhir/Patient/$export?_type=Patient",
		"group": k.base + "/fhir/Group/all/$export", "status": status, "file": files["Patient"],
	}
	type request struct {
		authorization []string
		challenge     string
	}
	requests := map[string]request{
		"missing":          {nil, noToken},
		"empty":            {[]string{""}, noToken},
		"scheme only":      {[]string{"Bearer"}, badToken},
		"empty token":      {[]string{"Bearer "}, badToken},
		"two headers":      {[]string{"Bearer " + good, "Bearer " + good}, badToken},
		"two, one bad":     {[]string{"Basic QWxhZGRpbjpvcGVu", "Bearer " + good}, noToken},
		"Basic":            {[]string{"Basic QWxhZGRpbjpvcGVu"}, noToken},
		"token as Basic":   {[]string{"Basic " + good}, noToken},
		"DPoP":             {[]string{"DPoP " + good}, noToken},
		"no scheme":        {[]string{good}, noToken},
		"no space":         {[]string{"Bearer" + good}, noToken},
		"tab for a space":  {[]string{"Bearer\t" + good}, noToken},
		"scheme and comma": {[]string{"Bearer, " + good}, noToken},
	}
	for name, token := range refusedTokens() {
		requests[name] = request{[]string{"Bearer " + token}, badToken}
	}
	require.Greater(t, len(requests), 40)
	for name, r := range requests {
		for what, url := range urls {
			for _, accept := range []string{"application/fhir+json", "application/json"} {
				about := name + ", " + what + ", " + accept
				res := k.do(http.MethodGet, url, accept, r.authorization...)
				require.Equal(t, http.StatusUnauthorized, res.status, about)
				require.Equal(t, []string{r.challenge}, res.header.Values("WWW-Authenticate"), about)
				require.True(t, strings.HasPrefix(res.header.Get("Content-Type"), accept), about)
				require.Equal(t, "A valid access token is required.", k.outcome(res), about)
			}
		}
		res := k.do(http.MethodDelete, status, "application/json", r.authorization...)
		require.Equal(t, http.StatusUnauthorized, res.status, name)
		k.outcome(res)
	}
	require.Equal(t, http.StatusOK, k.get(status, good).status, "the export is there still")
	for name, token := range refusedTokens() {
		if len(token) > 20 {
			require.NotContains(t, k.log.String(), token, name)
		}
	}
	require.NotContains(t, k.log.String(), good)
}

func TestTokensAreInTheirHeaderOnly(t *testing.T) {
	t.Parallel()
	k := newKit(t, newAuthorizer(t, issuerKeys(t)))
	good := signed(claims())
	res := k.do(http.MethodGet, k.base+"/fhir/$export?access_token="+good, "application/fhir+json")
	require.Equal(t, http.StatusUnauthorized, res.status)
	k.outcome(res)

	form := strings.NewReader("access_token=" + good)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, k.base+"/fhir/$export", form)
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	post, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.NoError(t, post.Body.Close())
	require.Equal(t, http.StatusUnauthorized, post.StatusCode)
	http.DefaultClient.CloseIdleConnections()
}

func TestErrorsHoldNothingOfTheToken(t *testing.T) {
	t.Parallel()
	authorizer := newAuthorizer(t, issuerKeys(t))
	for name, token := range refusedTokens() {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer "+token)
		_, err = authorizer.Authorize(req)
		require.Error(t, err, name)
		secrets := append(strings.Split(token, "."), "alice", "subject", "system/", "evil.example", "4102444800")
		for _, secret := range secrets {
			if len(secret) > 4 {
				assert.NotContains(t, err.Error(), secret, name)
			}
		}
	}
}
