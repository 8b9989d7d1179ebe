package authserver_test

import (
	"crypto"
	"crypto/rand"
	"crypto/sha512"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"
)

// rule is what a request for a token breaks, and how it is answered.
type rule struct {
	name   string
	change func(*attempt)
	status int
	code   string
	says   string // part of error_description
}

func set(name, value string) func(*attempt) { return func(a *attempt) { a.form.Set(name, value) } }
func drop(name string) func(*attempt)       { return func(a *attempt) { a.form.Del(name) } }

func head(name string, value any) func(*attempt)  { return func(a *attempt) { a.head[name] = value } }
func claim(name string, value any) func(*attempt) { return func(a *attempt) { a.claims[name] = value } }
func without(name string) func(*attempt) {
	return func(a *attempt) {
		delete(a.head, name)
		delete(a.claims, name)
	}
}

func in(d time.Duration) int64 { return time.Now().Add(d).Unix() }

// dated sets a claim to what is so far ahead when the attempt is made.
func dated(name string, d time.Duration) func(*attempt) {
	return func(a *attempt) { a.claims[name] = in(d) }
}

func header(name, value string) func(*attempt) {
	return func(a *attempt) { a.header.Set(name, value) }
}

// formRules are those of RFC 6749 and RFC 7521 for the request.
var formRules = []rule{
	{"a token needs POST: GET", func(a *attempt) { a.method = "GET" }, 405, "invalid_request", "POST"},
	{"a token needs POST: PUT", func(a *attempt) { a.method = "PUT" }, 405, "invalid_request", "POST"},
	{"a path that is none has nothing", func(a *attempt) { a.path = "/auth/tokens" }, 404, "invalid_request", "path"},
	{"a path is not cleaned", func(a *attempt) { a.path = "/auth//token" }, 404, "invalid_request", "path"},
	{"no parameter in the URL", func(a *attempt) { a.path += "?scope=system/*.rs" }, 400, "invalid_request", "URL"},
	{"no assertion in the URL", func(a *attempt) {
		a.path += "?client_assertion=" + a.seal()
		a.form.Set("client_assertion", "")
	}, 400, "invalid_request", "URL"},
	{"a form has a media type", func(a *attempt) { a.contentType = "" }, 400, "invalid_request", "form-urlencoded"},
	{"a form is not JSON", func(a *attempt) { a.contentType = "application/json" },
		400, "invalid_request", "form-urlencoded"},
	{"a form is not multipart", func(a *attempt) { a.contentType = "multipart/form-data; boundary=x" },
		400, "invalid_request", "form-urlencoded"},
	{"a media type is well-formed", func(a *attempt) { a.contentType = "application/x-www-form-urlencoded; =" },
		400, "invalid_request", "form-urlencoded"},
	{"a form is not compressed", header("Content-Encoding", "gzip"), 400, "invalid_request", "Content-Encoding"},
	{"a form is not longer than 64 KiB", set("padding", strings.Repeat("x", 64<<10)), 400, "invalid_request", "longer"},
	{"a form has escapes that are whole", body("grant_type=%zz"), 400, "invalid_request", "malformed"},
	{"a form has no semicolons", body("grant_type=client_credentials;scope=x"), 400, "invalid_request", "malformed"},
	{"a form is UTF-8", body("grant_type=client_credentials&other=%ff"), 400, "invalid_request", "UTF-8"},
	{"a form is not empty", body(""), 400, "invalid_request", "grant_type is missing"},
	{"grant_type is required", drop("grant_type"), 400, "invalid_request", "grant_type is missing"},
	{"grant_type has a value", set("grant_type", ""), 400, "invalid_request", "grant_type is missing"},
	{"grant_type is not authorization_code", set("grant_type", "authorization_code"),
		400, "unsupported_grant_type", "client_credentials"},
	{"grant_type is not refresh_token", set("grant_type", "refresh_token"),
		400, "unsupported_grant_type", "client_credentials"},
	{"grant_type is not jwt-bearer", set("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
		400, "unsupported_grant_type", "client_credentials"},
	{"grant_type keeps its case", set("grant_type", "Client_Credentials"),
		400, "unsupported_grant_type", "client_credentials"},
	{"grant_type stands once", twice("grant_type"), 400, "invalid_request", "more than once"},
	{"scope stands once", twice("scope"), 400, "invalid_request", "more than once"},
	{"client_assertion stands once", func(a *attempt) {
		a.form["client_assertion"] = []string{a.seal(), a.seal()}
	}, 400, "invalid_request", "more than once"},
	{"client_assertion_type stands once", twice("client_assertion_type"), 400, "invalid_request", "more than once"},
	{"client_id stands once", func(a *attempt) { a.form["client_id"] = []string{"ec", "ec"} },
		400, "invalid_request", "more than once"},
	{"what is not known stands once as well", func(a *attempt) { a.form["x"] = []string{"1", "1"} },
		400, "invalid_request", "more than once"},
	{"client_assertion_type is required", drop("client_assertion_type"),
		400, "invalid_request", "client_assertion_type is missing"},
	{"client_assertion_type is not that of SAML",
		set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"),
		400, "invalid_request", "client_assertion_type must be"},
	{"client_assertion_type is exact", set("client_assertion_type", assertionType+" "),
		400, "invalid_request", "client_assertion_type must be"},
	{"client_assertion is required", set("client_assertion", ""), 400, "invalid_request", "client_assertion is missing"},
	{"client_assertion is bounded", set("client_assertion", strings.Repeat("a", 16<<10+1)),
		400, "invalid_request", "client_assertion is too long"},
	{"a client authenticates", func(a *attempt) {
		a.form.Set("client_assertion", "")
		a.form.Del("client_assertion_type")
	}, 401, "invalid_client", "are missing"},
	{"client_secret is no authentication", func(a *attempt) {
		a.form.Set("client_assertion", "")
		a.form.Set("client_secret", "secret")
	}, 401, "invalid_client", "client_secret is not supported"},
	{"client_secret does not stand beside an assertion", set("client_secret", "secret"),
		400, "invalid_request", "more than one way"},
	{"Authorization does not stand beside an assertion", header("Authorization", "Basic ZWM6c2VjcmV0"),
		400, "invalid_request", "more than one way"},
	{"client_id is bounded", set("client_id", strings.Repeat("e", 256)), 400, "invalid_request", "client_id is too long"},
	{"client_id is that of the assertion", set("client_id", "rsa"), 401, "invalid_client", "client_id must be"},
	{"scope is required", drop("scope"), 400, "invalid_scope", "scope is missing"},
	{"scope is not empty", set("scope", " "), 400, "invalid_scope", "scope is missing"},
	{"scope is bounded", set("scope", strings.Repeat("system/*.rs ", 700)), 400, "invalid_scope", "scope is too long"},
	{"scope has no line breaks", set("scope", "system/*.rs\nsystem/Patient.rs"), 400, "invalid_scope", "characters"},
	{"scope has no quotes", set("scope", `system/*.rs"`), 400, "invalid_scope", "characters"},
	{"scope is ASCII", set("scope", "system/*.rs ü"), 400, "invalid_scope", "characters"},
	{"scope is one of systems", set("scope", "user/*.rs patient/*.rs openid"), 400, "invalid_scope", tooFar},
	{"scope is within what is allowed", set("scope", "system/*.cud system/Patient.write"),
		400, "invalid_scope", tooFar},
	{"scope has no query", set("scope", "system/Observation.rs?category=laboratory"), 400, "invalid_scope", tooFar},
	{"scope is nonsense", set("scope", "nonsense"), 400, "invalid_scope", tooFar},
}

func body(text string) func(*attempt) { return func(a *attempt) { a.body = &text } }

func twice(name string) func(*attempt) {
	return func(a *attempt) { a.form.Add(name, a.form.Get(name)) }
}

// assertionRules are those of SMART, RFC 7523 and RFC 7515 for the assertion. All
// failures to authenticate are invalid_client.
var assertionRules = []rule{
	assertionRule("an assertion is a JWS", func(a *attempt) { a.assertion = "nonsense" }, "compact form"),
	assertionRule("an assertion has three parts", forge(func(s string) string { return s + "." }), "compact form"),
	assertionRule("an assertion is signed", forge(func(s string) string { return s[:strings.LastIndexByte(s, '.')] }),
		"compact form"),
	assertionRule("an assertion is no JWE", func(a *attempt) { a.assertion = "e30.YQ.YQ.YQ.YQ" }, "compact form"),
	assertionRule("an assertion is not JWS in JSON", func(a *attempt) {
		parts := strings.Split(a.seal(), ".")
		a.assertion = `{"protected":"` + parts[0] + `","payload":"` + parts[1] + `","signature":"` + parts[2] + `"}`
	}, "compact form"),
	assertionRule("base64url has no padding", forge(func(s string) string { return s + "=" }), "base64url"),
	assertionRule("base64url is not base64", forge(func(s string) string {
		return s[:strings.LastIndexByte(s, '.')] + ".ab+/"
	}), "base64url"),
	assertionRule("base64url has no line breaks", forge(func(s string) string { return s + "\n" }), "base64url"),
	assertionRule("base64url has no bits left over", forge(func(s string) string {
		return s[:strings.LastIndexByte(s, '.')] + ".AB" // the last four bits are not zero
	}), "base64url"),
	assertionRule("the header is JSON", rawHead("{"), "header"),
	assertionRule("the header is whole", rawHead(`{"alg":"ES384","kid":"ec-1"`), "header"),
	assertionRule("the header is an object", rawHead(`["ES384"]`), "header"),
	assertionRule("the header has each member once", rawHead(`{"alg":"none","alg":"ES384","kid":"ec-1"}`), "twice"),
	assertionRule("the header is UTF-8", rawHead("{\"alg\":\"ES384\",\"kid\":\"ec-1\",\"x\":\"\xff\"}"), "header"),
	assertionRule("nothing follows the header", rawHead(`{"alg":"ES384","kid":"ec-1"} {}`), "header"),
	assertionRule("the claims are JSON", rawClaims("nonsense"), "claims"),
	assertionRule("the claims are whole", func(a *attempt) {
		text := string(must(json.Marshal(a.claims)))
		a.rawClaims = text[:len(text)-1]
	}, "claims"),
	assertionRule("the claims are an object", rawClaims(`"ec"`), "claims"),
	assertionRule("the claims have each member once", func(a *attempt) {
		text := string(must(json.Marshal(a.claims)))
		a.rawClaims = `{"iss":"rsa",` + text[1:]
	}, "twice"),

	assertionRule("alg is required", without("alg"), "header alg"),
	assertionRule("alg is not none", unsigned("none"), "header alg"),
	assertionRule("alg is not None", unsigned("None"), "header alg"),
	assertionRule("alg is not RS256", head("alg", "RS256"), "header alg"),
	assertionRule("alg is not RS512", head("alg", "RS512"), "header alg"),
	assertionRule("alg is not PS384", head("alg", "PS384"), "header alg"),
	assertionRule("alg is not ES256", head("alg", "ES256"), "header alg"),
	assertionRule("alg is not EdDSA", head("alg", "EdDSA"), "header alg"),
	assertionRule("alg keeps its case", head("alg", "es384"), "header alg"),
	assertionRule("alg is a string", head("alg", []string{"ES384"}), "header alg"),
	assertionRule("alg is not HMAC with the public key", withPublicKeyAsSecret, "header alg"),
	assertionRule("the name of a header keeps its case", func(a *attempt) {
		delete(a.head, "alg")
		a.head["ALG"] = "ES384"
	}, "header alg"),
	assertionRule("typ is JWT", head("typ", "at+jwt"), "header typ"),
	assertionRule("typ is a string", head("typ", 1), "header typ"),
	assertionRule("kid is required", without("kid"), "header kid"),
	assertionRule("kid is not empty", head("kid", ""), "header kid"),
	assertionRule("kid is a string", head("kid", 1), "header kid"),
	assertionRule("kid is bounded", head("kid", strings.Repeat("k", 256)), "header kid"),
	assertionRule("crit is refused", func(a *attempt) {
		a.head["crit"], a.head["exp"] = []string{"exp"}, in(time.Minute)
	}, "header crit"),
	assertionRule("crit is refused where it is null", head("crit", nil), "header crit"),
	assertionRule("jwk is refused", func(a *attempt) {
		a.key = otherEC()
		a.head["jwk"] = jose.JSONWebKey{Key: otherEC().Public(), KeyID: "ec-1"}
	}, "header jwk"),
	assertionRule("x5c is refused", head("x5c", []string{"MIIB"}), "header x5c"),
	assertionRule("x5u is refused", head("x5u", "https://mallory.example/cert"), "header x5u"),
	unknownRule("jku is a string", head("jku", 1)),
	unknownRule("jku is refused where none is registered", head("jku", "https://mallory.example/jwks")),
	unknownRule("jku is refused where it is empty", head("jku", "")),

	assertionRule("iss is required", without("iss"), "claim iss"),
	assertionRule("iss is not empty", claim("iss", ""), "claim iss"),
	assertionRule("iss is a string", claim("iss", []string{"ec"}), "claim iss"),
	assertionRule("iss is bounded", claim("iss", strings.Repeat("e", 256)), "claim iss"),
	assertionRule("sub is required", without("sub"), "claim sub"),
	assertionRule("sub is iss", claim("sub", "rsa"), "claim sub"),
	assertionRule("sub is a string", claim("sub", 7), "claim sub"),
	assertionRule("the name of a claim keeps its case", func(a *attempt) {
		delete(a.claims, "sub")
		a.claims["SUB"] = "ec"
	}, "claim sub"),
	assertionRule("aud is required", without("aud"), "claim aud"),
	assertionRule("aud is not another server", claim("aud", "https://mallory.example/auth/token"), "claim aud"),
	assertionRule("aud is not the FHIR base", func(a *attempt) { cutAudience(a, "/auth/token", "/fhir") }, "claim aud"),
	assertionRule("aud is not the issuer", func(a *attempt) { cutAudience(a, "/auth/token", "") }, "claim aud"),
	assertionRule("aud has no slash at the end", func(a *attempt) { cutAudience(a, "token", "token/") }, "claim aud"),
	assertionRule("aud keeps its case", func(a *attempt) { cutAudience(a, "http:", "HTTP:") }, "claim aud"),
	assertionRule("aud is not an empty list", claim("aud", []string{}), "claim aud"),
	assertionRule("aud is not a list of others", claim("aud", []string{"a", "b"}), "claim aud"),
	assertionRule("aud is a list of strings only", func(a *attempt) {
		a.claims["aud"] = []any{a.claims["aud"], 1}
	}, "claim aud"),
	assertionRule("aud is no object", claim("aud", map[string]any{}), "claim aud"),
	assertionRule("aud is not null", claim("aud", nil), "claim aud"),
	assertionRule("jti is required", without("jti"), "claim jti"),
	assertionRule("jti is not empty", claim("jti", ""), "claim jti"),
	assertionRule("jti is a string", claim("jti", 12345), "claim jti"),
	assertionRule("jti is bounded", claim("jti", strings.Repeat("j", 256)), "claim jti"),

	assertionRule("exp is required", without("exp"), "exp"),
	assertionRule("exp is not past", dated("exp", -20*time.Second), "expired"),
	assertionRule("exp is not long past", claim("exp", 0), "expired"),
	assertionRule("exp is at most five minutes ahead", dated("exp", 330*time.Second), "five minutes"),
	assertionRule("exp is not milliseconds", func(a *attempt) { a.claims["exp"] = time.Now().UnixMilli() }, "exp"),
	assertionRule("exp is a number", func(a *attempt) {
		a.claims["exp"] = time.Now().Add(time.Minute).Format(time.RFC3339)
	}, notNumber),
	assertionRule("exp is no number in a string", claim("exp", "4102444800"), notNumber),
	assertionRule("exp is not null", claim("exp", nil), notNumber),
	assertionRule("exp is not true", claim("exp", true), notNumber),
	assertionRule("exp is not negative", claim("exp", -1), notNumber),
	assertionRule("exp is not NaN", claim("exp", "NaN"), notNumber),
	assertionRule("exp is not 1e300", claim("exp", json.Number("1e300")), notNumber),
	assertionRule("exp is not 1e999", claim("exp", json.Number("1e999")), notNumber),
	assertionRule("exp is not 2^63", claim("exp", json.Number("9223372036854775808")), notNumber),
	assertionRule("exp has not a thousand digits", claim("exp", json.Number(strings.Repeat("9", 1000))),
		notNumber),
	assertionRule("nbf is not ahead", dated("nbf", time.Minute), "claim nbf"),
	assertionRule("nbf is a number", claim("nbf", "soon"), "claim nbf"),
	assertionRule("nbf is not null", claim("nbf", nil), "claim nbf"),
	assertionRule("iat is not ahead", dated("iat", time.Minute), "claim iat"),
	assertionRule("iat is a number", claim("iat", []int{1}), "claim iat"),

	unknownRule("a client is registered", func(a *attempt) { a.of("mallory", "ec-1", ecKey()) }),
	unknownRule("a client with RSA is registered", func(a *attempt) { a.of("mallory", "rsa-1", rsaKey()) }),
	unknownRule("an id of a client keeps its case", func(a *attempt) { a.of("EC", "ec-1", ecKey()) }),
	unknownRule("kid is known", head("kid", "ec-2")),
	unknownRule("kid keeps its case", head("kid", "EC-1")),
	unknownRule("kid is one of the client's own", func(a *attempt) { a.of("ec", "rsa-1", rsaKey()) }),
	unknownRule("kid is that of one key only", func(a *attempt) { a.of("twins", "twin", ecKey()) }),
	unknownRule("kty fits alg: RSA key", func(a *attempt) {
		a.of("rsa", "rsa-1", rsaKey())
		a.head["alg"] = "ES384"
	}),
	unknownRule("kty fits alg: EC key", head("alg", "RS384")),
	unknownRule("the curve fits alg", func(a *attempt) { a.of("ec", "ec-p256", p256Key()) }),
	unknownRule("the key is the one that is registered: ES384", func(a *attempt) { a.key = otherEC() }),
	unknownRule("the key is the one that is registered: RS384", func(a *attempt) { a.of("rsa", "rsa-1", otherRSA()) }),
	unknownRule("nobody signs for others", func(a *attempt) { a.of("rsa", "ec-1", ecKey()) }),
	unknownRule("a signature is not empty", forge(func(s string) string { return s[:strings.LastIndexByte(s, '.')+1] })),
	unknownRule("a signature is not zeros", forge(func(s string) string {
		return s[:strings.LastIndexByte(s, '.')+1] + encode(make([]byte, 96))
	})),
	unknownRule("a signature is not in ASN.1", func(a *attempt) {
		a.forge = func(s string) string {
			signed := s[:strings.LastIndexByte(s, '.')]
			hash := sha512.Sum384([]byte(signed))
			return signed + "." + encode(must(ecKey().Sign(rand.Reader, hash[:], crypto.SHA384)))
		}
	}),
	unknownRule("claims are not changed after they were signed", func(a *attempt) {
		a.forge = func(s string) string {
			parts := strings.Split(s, ".")
			a.claims["exp"] = in(time.Minute)
			return parts[0] + "." + encode(must(json.Marshal(a.claims))) + "." + parts[2]
		}
	}),
	unknownRule("a header is not changed after it was signed", func(a *attempt) {
		a.forge = func(s string) string {
			parts := strings.Split(s, ".")
			return encode([]byte(`{"alg":"ES384","kid":"ec-1"}`)) + "." + parts[1] + "." + parts[2]
		}
	}),
}

func assertionRule(name string, change func(*attempt), says string) rule {
	return rule{name, change, http.StatusUnauthorized, "invalid_client", says}
}

const notNumber = "exp of client_assertion must be a number"

// unknownText is the one answer to all that depends on what is registered.
const unknownText = "The client is not known here, or client_assertion is not signed with one of its keys " +
	"(iss, kid, alg, jku)."

func unknownRule(name string, change func(*attempt)) rule {
	return assertionRule(name, change, unknownText)
}

func rawHead(text string) func(*attempt)   { return func(a *attempt) { a.rawHead = text } }
func rawClaims(text string) func(*attempt) { return func(a *attempt) { a.rawClaims = text } }

func forge(change func(string) string) func(*attempt) { return func(a *attempt) { a.forge = change } }

func cutAudience(a *attempt, old, replacement string) {
	a.claims["aud"] = strings.Replace(a.claims["aud"].(string), old, replacement, 1)
}

func unsigned(alg string) func(*attempt) {
	return func(a *attempt) {
		a.head["alg"] = alg
		a.forge = func(s string) string { return s[:strings.LastIndexByte(s, '.')+1] }
	}
}

// withPublicKeyAsSecret is what servers fall for that verify with whatever algorithm
// the header names.
func withPublicKeyAsSecret(a *attempt) {
	secret := must(jose.JSONWebKey{Key: ecKey().Public(), KeyID: "ec-1"}.MarshalJSON())
	options := (&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", "ec-1")
	signer := must(jose.NewSigner(jose.SigningKey{Algorithm: jose.HS384, Key: secret}, options))
	a.assertion = must(must(signer.Sign(must(json.Marshal(a.claims)))).CompactSerialize())
}

// tooFar is said to clients that are who they say they are.
const tooFar = "scope has nothing that this client may have"

// TestRefused breaks one rule at a time. Who does not authenticate uses nothing up:
// the same id gets a token right afterwards.
func TestRefused(t *testing.T) {
	t.Parallel()
	for _, test := range append(formRules, assertionRules...) {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			n := newNode(t)
			a, good := n.attempt(), n.attempt()
			good.claims["jti"] = a.claims["jti"]
			test.change(a)
			request := a.request(t.Context(), n.base)
			res := n.send(t, request)
			require.Equal(t, test.status, res.status, res.body)
			require.Equal(t, test.code, res.Error)
			require.Contains(t, res.Description, test.says)
			require.Empty(t, res.header.Values("WWW-Authenticate"))
			require.Empty(t, res.header.Values("Retry-After"))
			require.Equal(t, test.status == http.StatusMethodNotAllowed, res.header.Get("Allow") == "POST")

			issued, refused, log := n.log.take()
			require.Empty(t, issued)
			if test.status != 404 && test.status != 405 {
				require.Len(t, refused, 1)
				require.Equal(t, test.status, refused[0].Status)
				require.Equal(t, test.code, refused[0].Error)
				require.Equal(t, "127.0.0.1", refused[0].Address)
				require.LessOrEqual(t, len(refused[0].Client), 255)
				require.NotEmpty(t, refused[0].Reason)
			}
			require.Empty(t, log)
			require.NotContains(t, res.body, good.claims["jti"])
			require.NotContains(t, res.body, "mallory")
			if test.says == tooFar {
				require.Equal(t, http.StatusUnauthorized, n.try(t, good).status, "the client was authenticated")
				return
			}
			require.Equal(t, http.StatusOK, n.try(t, good).status)
		})
	}
}

// TestOtherAuthentication: RFC 6749 wants a challenge for the scheme that was used.
func TestOtherAuthentication(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	for authorization, challenge := range map[string]string{
		"Basic ZWM6c2VjcmV0": `Basic realm="token"`,
		"basic ZWM6c2VjcmV0": `Basic realm="token"`,
		"Bearer token":       `Bearer realm="token"`,
		"Evil\"scheme x":     `Basic realm="token"`,
	} {
		a := n.attempt()
		a.form.Set("client_assertion", "")
		a.header.Set("Authorization", authorization)
		res := n.try(t, a)
		require.Equal(t, http.StatusUnauthorized, res.status)
		require.Equal(t, "invalid_client", res.Error)
		require.Equal(t, challenge, res.header.Get("WWW-Authenticate"))
	}
}

// TestReportedClient is who a request says that it comes from, as far as it does.
func TestReportedClient(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	for _, test := range []struct {
		change func(*attempt)
		client string
	}{
		{claim("exp", 1), "ec"},
		{func(a *attempt) { a.assertion, a.form["client_id"] = "nonsense", []string{"somebody"} }, "somebody"},
		{func(a *attempt) { a.form["scope"], a.form["client_id"] = nil, []string{"ec"} }, "ec"},
		{claim("iss", strings.Repeat("e", 256)), ""},
		{set("client_id", strings.Repeat("e", 256)), ""},
		{set("grant_type", ""), ""},
	} {
		a := n.attempt()
		test.change(a)
		require.NotEqual(t, http.StatusOK, n.try(t, a).status)
		_, refused, _ := n.log.take()
		require.Len(t, refused, 1)
		require.Equal(t, test.client, refused[0].Client)
	}
}

// TestNobodyLearnsWhoIsRegistered: unknown clients and wrong keys get the same bytes;
// only the host is told which it was.
func TestNobodyLearnsWhoIsRegistered(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	reasons := map[string]bool{}
	var first answer
	for i, change := range []func(*attempt){
		func(a *attempt) { a.of("mallory", "ec-1", otherEC()) },
		func(a *attempt) { a.key = otherEC() },
		head("kid", "x"),
		head("jku", "https://mallory.example/jwks"),
		func(a *attempt) { a.of("mallory", "ec-1", otherRSA()) },
	} {
		a := n.attempt()
		change(a)
		res := n.try(t, a)
		res.header.Del("Date")
		if i == 0 {
			first = res
		}
		require.Equal(t, first, res)
		_, refused, _ := n.log.take()
		require.Len(t, refused, 1)
		require.Equal(t, a.claims["iss"], refused[0].Client)
		reasons[refused[0].Reason] = true
	}
	require.Len(t, reasons, 4)
}
