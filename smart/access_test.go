package smart_test

import (
	"context"
	"crypto"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/httpadapter"
	"github.com/bulkexport/bulkexport/smart"
)

// authorize asks an authorizer about a token without a server.
func authorize(tb testing.TB, authorizer *smart.Authorizer, token string) (bulkexport.Access, error) {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), http.MethodGet, "/", http.NoBody)
	require.NoError(tb, err)
	req.Header.Set("Authorization", "Bearer "+token)
	return authorizer.Authorize(req)
}

func TestTokensThatCount(t *testing.T) {
	t.Parallel()
	authorizer := newAuthorizer(t, issuerKeys(t))
	now := time.Now().Unix()
	alice := bulkexport.Access{Caller: bulkexport.Caller{Client: "alice"}}
	inTenant := bulkexport.Access{Caller: bulkexport.Caller{Tenant: "north", Client: "alice"}}
	nothing := bulkexport.Access{Caller: alice.Caller, Types: []string{}}
	client := func(name string) bulkexport.Access {
		return bulkexport.Access{Caller: bulkexport.Caller{Client: name}}
	}
	with := func(members ...any) string { return signed(claims(members...)) }
	headed := func(members ...any) string { return forged(header(members...), claims(), p384Key()) }
	for name, c := range map[string]struct {
		token string
		want  bulkexport.Access
	}{
		"ES384":            {with(), alice},
		"RS384":            {sign(jose.RS384, "rsa", rsaKey(), claims()), alice},
		"RS256":            {sign(jose.RS256, "rsa", rsaKey(), claims()), alice},
		"ES256":            {sign(jose.ES256, "p256", p256Key(), claims()), alice},
		"typ at+jwt":       {headed(), alice},
		"typ JWT":          {headed("typ", "JWT"), alice},
		"typ in full":      {headed("typ", "application/at+JWT"), alice},
		"no typ":           {headed("typ", nil), alice},
		"unknown header":   {headed("x5t", "abc", "jku", "https://evil.example", "cty", "x"), alice},
		"several aud":      {with("aud", []string{"https://other.example", audience}), alice},
		"tenant":           {with("tenant", "north"), inTenant},
		"azp":              {with("client_id", nil, "azp", "bob"), client("bob")},
		"sub":              {with("client_id", nil), client("subject")},
		"client_id first":  {with("azp", "bob"), alice},
		"just expired":     {with("exp", now-3), alice},
		"clock behind":     {with("nbf", now+5, "iat", now+5), alice},
		"no iat":           {with("iat", nil), alice},
		"scope as a list":  {with("scope", []string{"system/*.r", "system/*.s"}), alice},
		"scp":              {with("scope", nil, "scp", "system/*.read"), alice},
		"scp as a list":    {with("scope", nil, "scp", []string{"openid", "system/*.read"}), alice},
		"scope before scp": {with("scope", "", "scp", "system/*.read"), nothing},
		"no scope":         {with("scope", nil), nothing},
		"some types": {with("scope", "system/Patient.rs system/Group.read system/Task.cud"),
			bulkexport.Access{Caller: alice.Caller, Types: []string{"Group", "Patient"}}},
	} {
		for range 2 { // verified and remembered
			access, err := authorize(t, authorizer, c.token)
			require.NoError(t, err, name)
			require.Equal(t, c.want, access, name)
			for i := range access.Types {
				access.Types[i] = "Observation" // what is remembered does not change
			}
		}
	}
}

func TestAlgorithmsAreThoseOfTheConfiguration(t *testing.T) {
	t.Parallel()
	tokens := map[string]string{
		"RS256": sign(jose.RS256, "rsa", rsaKey(), claims()), "RS384": sign(jose.RS384, "rsa", rsaKey(), claims()),
		"RS512": sign(jose.RS512, "rsa", rsaKey(), claims()), "PS256": sign(jose.PS256, "rsa", rsaKey(), claims()),
		"PS384": sign(jose.PS384, "rsa", rsaKey(), claims()), "PS512": sign(jose.PS512, "rsa", rsaKey(), claims()),
		"ES256": sign(jose.ES256, "p256", p256Key(), claims()), "ES384": sign(jose.ES384, "ec", p384Key(), claims()),
		"EdDSA": sign(jose.EdDSA, "ed", edKey(), claims()),
	}
	for _, admitted := range slices.Sorted(maps.Keys(tokens)) {
		authorizer, err := smart.New(smart.Config{Issuers: []smart.Issuer{{
			URL: issuerURL, Audience: audience, Keys: issuerKeys(t), Algorithms: []string{admitted},
		}}})
		require.NoError(t, err)
		for alg, token := range tokens {
			_, err := authorize(t, authorizer, token)
			if alg == admitted {
				require.NoError(t, err, alg)
			} else {
				require.ErrorIs(t, err, httpadapter.ErrUnauthenticated, "%s where %s is admitted", alg, admitted)
			}
		}
	}
}

func TestTokensThatAllowNoExport(t *testing.T) {
	t.Parallel()
	k := newKit(t, newAuthorizer(t, issuerKeys(t)))
	status, files := k.export("/fhir/$export?_type=Patient", signed(claims()))
	for _, scopes := range append(slices.Clone(useless), strings.Join(useless, " ")) {
		token := scoped(scopes)
		for _, path := range []string{"/fhir/$export", "/fhir/$export?_type=Patient", "/fhir/Group/all/$export"} {
			res := k.get(k.base+path, token)
			require.Equal(t, http.StatusForbidden, res.status, "%s: %q", path, scopes)
			require.Contains(t, k.outcome(res), "this client may not export any resource type", "%q", scopes)
		}
		for _, url := range []string{status, files["Patient"]} {
			res := k.get(url, token)
			require.Equal(t, http.StatusForbidden, res.status, "%s: %q", url, scopes)
			k.outcome(res)
		}
	}
}

func TestExportsAreNarrowedToTheScopes(t *testing.T) {
	t.Parallel()
	k := newKit(t, newAuthorizer(t, issuerKeys(t)))
	narrow := scoped("system/Patient.rs system/Organization.read system/Group.r system/Observation.write")

	_, files := k.export("/fhir/$export", narrow)
	require.Equal(t, []string{"Organization", "Patient"}, slices.Sorted(maps.Keys(files)))
	_, files = k.export("/fhir/$export?_type=Patient", narrow)
	require.Equal(t, []string{"Patient"}, slices.Sorted(maps.Keys(files)))
	_, files = k.export("/fhir/$export", signed(claims()))
	require.Equal(t, []string{"Group", "Observation", "Organization", "Patient"}, slices.Sorted(maps.Keys(files)))
	_, files = k.export("/fhir/Group/all/$export", scoped("system/Patient.rs system/Group.rs"))
	require.Equal(t, []string{"Group", "Patient"}, slices.Sorted(maps.Keys(files)))

	for path, text := range map[string]string{
		"/fhir/$export?_type=Observation":             "this client may not export Observation",
		"/fhir/$export?_type=Patient,Observation":     "this client may not export Observation",
		"/fhir/Patient/$export?_type=Observation":     "this client may not export Observation",
		"/fhir/Group/all/$export":                     "this client may not export Group",
		"/fhir/Group/all/$export?_type=Patient":       "this client may not export Group",
		"/fhir/Group/all/$export?_type=Patient,Group": "this client may not export Group",
	} {
		res := k.get(k.base+path, narrow)
		require.Equal(t, http.StatusForbidden, res.status, path)
		require.Contains(t, k.outcome(res), text, path)
	}
}

func TestLaterTokensAreAskedAnew(t *testing.T) {
	t.Parallel()
	k := newKit(t, newAuthorizer(t, issuerKeys(t)))
	status, files := k.export("/fhir/$export?_type=Patient,Observation", signed(claims()))
	enough := scoped("system/Patient.rs system/Observation.rs")
	require.Equal(t, http.StatusOK, k.get(status, enough).status)
	require.Equal(t, http.StatusOK, k.get(files["Observation"], enough).status)

	narrower := scoped("system/Patient.rs")
	require.Equal(t, http.StatusOK, k.get(files["Patient"], narrower).status)
	for _, url := range []string{status, files["Observation"]} {
		res := k.get(url, narrower)
		require.Equal(t, http.StatusForbidden, res.status)
		require.Equal(t, `Bearer realm="FHIR", error="insufficient_scope"`, res.header.Get("WWW-Authenticate"))
		k.outcome(res)
	}
	res := k.do(http.MethodDelete, status, "application/json", "Bearer "+narrower)
	require.Equal(t, http.StatusForbidden, res.status)
	require.Equal(t, `Bearer realm="FHIR", error="insufficient_scope"`, res.header.Get("WWW-Authenticate"))
	k.outcome(res)
	require.Equal(t, http.StatusOK, k.get(status, enough).status, "it is there still")
}

func TestExportsBelongToTheirClients(t *testing.T) {
	t.Parallel()
	k := newKit(t, newAuthorizer(t, issuerKeys(t)))
	status, files := k.export("/fhir/$export", signed(claims()))
	for name, token := range map[string]string{
		"another client":            signed(claims("client_id", "bob")),
		"another tenant":            signed(claims("tenant", "north")),
		"a client with more before": signed(claims("client_id", "x/alice")),
		"a client by another claim": signed(claims("client_id", "bob", "sub", "alice", "azp", "alice")),
	} {
		for _, url := range []string{status, files["Patient"]} {
			res := k.get(url, token)
			require.Equal(t, http.StatusNotFound, res.status, name)
			k.outcome(res)
		}
		res := k.do(http.MethodDelete, status, "application/json", "Bearer "+token)
		require.Equal(t, http.StatusNotFound, res.status, name)
		k.outcome(res)
	}
	require.Equal(t, http.StatusOK, k.get(status, signed(claims())).status)
	require.Equal(t, http.StatusOK, k.get(files["Patient"], scoped("system/*.read", "jti", "2")).status)
}

func TestIssuersAreApart(t *testing.T) {
	t.Parallel()
	const secondURL = "https://second.example"
	second, err := smart.ParseKeySet(jwks(jwk("ec", newECKey(p384Key().Curve)), jwk("p256", p256Key())))
	require.NoError(t, err)
	authorizer, err := smart.New(smart.Config{Issuers: []smart.Issuer{
		{URL: issuerURL, Audience: audience, Keys: issuerKeys(t), Name: "one"},
		{URL: secondURL, Audience: "second", Keys: second, Name: "two", Tenant: smart.TenantClaim("org")},
	}})
	require.NoError(t, err)
	access, err := authorize(t, authorizer, signed(claims()))
	require.NoError(t, err)
	require.Equal(t, bulkexport.Caller{Client: "one/alice"}, access.Caller)

	of := func(members ...any) string {
		all := append([]any{"iss", secondURL, "aud", "second", "org", "west"}, members...)
		return sign(jose.ES256, "p256", p256Key(), claims(all...))
	}
	access, err = authorize(t, authorizer, of())
	require.NoError(t, err)
	require.Equal(t, bulkexport.Caller{Tenant: "west", Client: "two/alice"}, access.Caller)
	for name, token := range map[string]string{
		"key of the other":          signed(claims("iss", secondURL, "aud", "second", "org", "west")),
		"audience of the other":     of("aud", audience),
		"no tenant":                 of("org", nil),
		"issuer that is not known":  of("iss", "https://third.example"),
		"issuer that is repeated":   of("iss", []string{issuerURL, secondURL}),
		"issuer in another member":  of("iss", nil, "ISS", secondURL),
		"issuer in both, otherwise": of("ISS", issuerURL, "iss", "https://third.example"),
	} {
		_, err := authorize(t, authorizer, token)
		require.ErrorIs(t, err, httpadapter.ErrUnauthenticated, name)
	}
}

func TestTroubleWithKeysIsNoRefusal(t *testing.T) {
	t.Parallel()
	k := newKit(t, newAuthorizer(t, keyFunc(func(context.Context, string, string) (crypto.PublicKey, error) {
		return nil, errors.New("issuer is down")
	})))
	token := signed(claims())
	res := k.get(k.base+"/fhir/$export", token)
	require.Equal(t, http.StatusServiceUnavailable, res.status)
	require.NotEmpty(t, res.header.Get("Retry-After"))
	require.Empty(t, res.header.Get("WWW-Authenticate"))
	assert.NotContains(t, k.outcome(res), "issuer")
	assert.Contains(t, k.log.String(), "issuer is down")
	assert.NotContains(t, k.log.String(), token)
	// What is refused anyway needs no keys.
	res = k.get(k.base+"/fhir/$export", sign(jose.PS256, "rsa", rsaKey(), claims()))
	require.Equal(t, http.StatusUnauthorized, res.status)
}

// TestKeysRotateWithoutAFailedRequest has clients that go on with requests while
// the issuer publishes new keys, signs with them, and withdraws old ones.
func TestKeysRotateWithoutAFailedRequest(t *testing.T) {
	t.Parallel()
	server := serves(jwks(jwk("0", p384Key())), "Cache-Control", "max-age=0")
	authorizer, err := smart.New(smart.Config{CacheTime: -1, Issuers: []smart.Issuer{{
		URL: issuerURL, Audience: audience, Keys: server.keySet(t, smart.RemoteConfig{MinInterval: time.Nanosecond}),
	}}})
	require.NoError(t, err)
	k := newKit(t, authorizer)
	status := k.kickOff("/fhir/$export", sign(jose.ES384, "0", p384Key(), claims()))

	const rounds, clients = 10, 4
	tokens := make(chan string)
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for token := range tokens {
				code := k.get(status, token).status
				assert.True(t, code == http.StatusOK || code == http.StatusAccepted, "status %d", code)
			}
		})
	}
	old, oldName := p384Key(), "0"
	published := []map[string]any{jwk("0", old)}
	for round := range rounds {
		next, name := newECKey(p384Key().Curve), string(rune('a'+round))
		// Tokens of the last round but one may be under way.
		published = append(published[max(len(published)-2, 0):], jwk(name, next))
		server.serve(jwks(published...), "Cache-Control", "max-age=0")
		for i := range 3 * clients {
			tokens <- sign(jose.ES384, oldName, old, claims("jti", i))
			tokens <- sign(jose.ES384, name, next, claims("jti", i))
		}
		old, oldName = next, name
	}
	close(tokens)
	all.Wait()
	require.GreaterOrEqual(t, server.requests.Load(), int64(rounds))

	res := k.get(status, sign(jose.ES384, "0", p384Key(), claims()))
	require.Equal(t, http.StatusUnauthorized, res.status, "the first key was withdrawn")
}

func TestConfigurationsThatAreRefused(t *testing.T) {
	t.Parallel()
	keys := issuerKeys(t)
	type issuers = []smart.Issuer
	good := func(change func(*smart.Issuer)) smart.Issuer {
		issuer := smart.Issuer{URL: issuerURL, Audience: audience, Keys: keys, Name: "one"}
		change(&issuer)
		return issuer
	}
	with := func(algorithms ...string) issuers {
		return issuers{good(func(i *smart.Issuer) { i.Algorithms = algorithms })}
	}
	one := with()[0]
	opaque := func(context.Context, string) (smart.Token, error) { return smart.Token{}, nil }
	for field, cfg := range map[string]smart.Config{
		"Issuers or Config.Opaque": {},
		"[0].URL":                  {Issuers: issuers{good(func(i *smart.Issuer) { i.URL = "" })}},
		"[0].Audience":             {Issuers: issuers{good(func(i *smart.Issuer) { i.Audience = "" })}},
		"[0].Keys":                 {Issuers: issuers{good(func(i *smart.Issuer) { i.Keys = nil })}},
		"[0].Name must":            {Issuers: issuers{good(func(i *smart.Issuer) { i.Name = "a/b" })}},
		"[0].Name is required":     {Issuers: issuers{good(func(i *smart.Issuer) { i.Name = "" })}, Opaque: opaque},
		"[1].Name is required":     {Issuers: issuers{one, good(func(i *smart.Issuer) { i.URL, i.Name = "x", "" })}},
		"[1].URL is that":          {Issuers: issuers{one, good(func(i *smart.Issuer) { i.Name = "two" })}},
		"[1].Name is that":         {Issuers: issuers{one, good(func(i *smart.Issuer) { i.URL = "x" })}},
		`"none"`:                   {Issuers: with("none")},
		`"HS256"`:                  {Issuers: with("RS256", "HS256")},
	} {
		_, err := smart.New(cfg)
		require.ErrorContains(t, err, field)
	}
	_, err := smart.New(smart.Config{Issuers: issuers{one}, Opaque: opaque})
	require.NoError(t, err)
}
