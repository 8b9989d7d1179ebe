package authserver_test

import (
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport/smart"
	"github.com/bulkexport/bulkexport/smart/authserver"
)

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	small := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 1023), E: 65537}}
	for name, test := range map[string]struct {
		change func(*authserver.Config)
		faults []string
	}{
		"nothing":       {func(c *authserver.Config) { *c = authserver.Config{} }, []string{"BaseURL", "Clients"}},
		"relative":      {func(c *authserver.Config) { c.BaseURL = "/fhir" }, []string{"BaseURL"}},
		"http":          {func(c *authserver.Config) { c.BaseURL = "http://fhir.example.org" }, []string{"BaseURL"}},
		"ftp":           {func(c *authserver.Config) { c.BaseURL = "ftp://fhir.example.org" }, []string{"BaseURL"}},
		"password":      {func(c *authserver.Config) { c.BaseURL = "https://u:p@fhir.example.org" }, []string{"BaseURL"}},
		"query":         {func(c *authserver.Config) { c.BaseURL += "?a" }, []string{"BaseURL"}},
		"fragment":      {func(c *authserver.Config) { c.BaseURL += "#a" }, []string{"BaseURL"}},
		"path":          {func(c *authserver.Config) { c.BaseURL += "/{id}" }, []string{"BaseURL"}},
		"FHIR path":     {func(c *authserver.Config) { c.FHIRPath = "fhir" }, []string{"FHIRPath"}},
		"no time":       {func(c *authserver.Config) { c.Lifetime = time.Second }, []string{"Lifetime"}},
		"negative time": {func(c *authserver.Config) { c.Lifetime = -time.Minute }, []string{"Lifetime"}},
		"long time":     {func(c *authserver.Config) { c.Lifetime = 301 * time.Second }, []string{"Lifetime"}},
		"broken time":   {func(c *authserver.Config) { c.Lifetime = 10500 * time.Millisecond }, []string{"Lifetime"}},
		"failures":      {func(c *authserver.Config) { c.FailureLimit = -2 }, []string{"FailureLimit"}},
		"many failures": {func(c *authserver.Config) { c.FailureLimit = 10_001 }, []string{"FailureLimit"}},
		"no signer":     {withKeys(authserver.Key{ID: "a"}), []string{"Keys"}},
		"no key id":     {withKeys(authserver.Key{Signer: p256Key()}), []string{"Keys"}},
		"key id twice": {
			withKeys(authserver.Key{ID: "a", Signer: p256Key()}, authserver.Key{ID: "a", Signer: ecKey()}), []string{"Keys"},
		},
		"another curve": {withKeys(authserver.Key{ID: "a", Signer: newECKey(elliptic.P521())}), []string{"Keys"}},
		"small RSA key": {withKeys(authserver.Key{ID: "a", Signer: small}), []string{"Keys"}},
		"all at once": {func(c *authserver.Config) {
			c.BaseURL, c.FHIRPath, c.Lifetime, c.FailureLimit = "", "x", -1, -3
			c.Clients, c.Keys = []authserver.Client{{}}, []authserver.Key{{}}
		}, []string{
			"BaseURL", "FHIRPath", "Lifetime", "FailureLimit", "Keys", "client_id", "scope", "jwks or jwks_uri",
		}},
	} {
		cfg := authserver.Config{BaseURL: "https://fhir.example.org", Clients: clients()}
		test.change(&cfg)
		server, err := authserver.New(cfg)
		require.Error(t, err, name)
		require.Nil(t, server, name)
		lines := strings.Split(err.Error(), "\n")
		for _, field := range test.faults {
			require.Contains(t, err.Error(), field, name)
		}
		require.Len(t, lines, len(test.faults), "%s: %s", name, err)
		require.NotContains(t, err.Error(), "u:p")
	}
}

func withKeys(keys ...authserver.Key) func(*authserver.Config) {
	return func(c *authserver.Config) { c.Keys = keys }
}

func TestConfigIsTaken(t *testing.T) {
	t.Parallel()
	for _, change := range []func(*authserver.Config){
		func(*authserver.Config) {},
		func(c *authserver.Config) { c.BaseURL += "/" },
		func(c *authserver.Config) { c.BaseURL += "/deep/path" },
		func(c *authserver.Config) { c.BaseURL = "http://localhost:8080" },
		func(c *authserver.Config) { c.BaseURL = "http://127.0.0.2" },
		func(c *authserver.Config) { c.BaseURL = "http://[::1]:80" },
		func(c *authserver.Config) { c.BaseURL, c.AllowHTTP = "http://fhir.example.org", true },
		func(c *authserver.Config) { c.FHIRPath = "/" },
		func(c *authserver.Config) { c.Lifetime = 10 * time.Second },
	} {
		cfg := authserver.Config{BaseURL: "https://fhir.example.org", Clients: clients()}
		change(&cfg)
		_, err := authserver.New(cfg)
		require.NoError(t, err)
	}
}

// client returns a registration as JSON, with some members replaced or, if nil,
// removed.
func client(members ...any) string {
	object := map[string]any{
		"client_id": "a", "tenant": "north", "scope": "system/*.rs", "jwks_uri": "https://client.example.org/jwks",
	}
	for i := 0; i < len(members); i += 2 {
		object[members[i].(string)] = members[i+1]
		if members[i+1] == nil {
			delete(object, members[i].(string))
		}
	}
	return string(must(json.Marshal(object)))
}

func TestReadClients(t *testing.T) {
	t.Parallel()
	inline := client("client_id", "b", "tenant", nil, "jwks_uri", nil, "jwks", json.RawMessage(jwks("k", ecKey())))
	want := authserver.Client{
		ID: "a", Tenant: "north", Scope: "system/*.rs", JWKSURL: "https://client.example.org/jwks",
	}
	read, err := authserver.ReadClients(strings.NewReader(" [" + client() + ",\n" + inline + "]\n"))
	require.NoError(t, err)
	require.Len(t, read, 2)
	require.Equal(t, want, read[0])
	require.Equal(t, "b", read[1].ID)
	require.Empty(t, read[1].Tenant)
	require.JSONEq(t, string(jwks("k", ecKey())), string(read[1].JWKS))
	_, err = authserver.New(authserver.Config{BaseURL: "https://fhir.example.org", Clients: read})
	require.NoError(t, err)

	read, err = authserver.ReadClients(strings.NewReader(client()))
	require.NoError(t, err)
	require.Equal(t, []authserver.Client{want}, read)
}

func TestReadClientsRefuses(t *testing.T) {
	t.Parallel()
	empty := map[string]any{"keys": []any{}}
	private := json.RawMessage(`{"keys":[{"kty":"EC","crv":"P-384","kid":"k","x":"eA","y":"eQ","d":"c2VjcmV0"}]}`)
	for name, test := range map[string]struct {
		text string
		says []string // a line each
	}{
		"nothing":                {"", []string{"not a JSON object"}},
		"an empty list":          {"[]", []string{"no client"}},
		"no JSON":                {"[", []string{"not JSON"}},
		"two objects":            {client() + client(), []string{"not a JSON object"}},
		"a list of texts":        {`["a"]`, []string{"client 1"}},
		"null":                   {"null", []string{"not a JSON object"}},
		"an unknown member":      {client("secret", "x"), []string{`"secret" is not known`}},
		"a member in capitals":   {client("Client_ID", "x"), []string{`"Client_ID" is not known`}},
		"a member twice":         {`{"client_id":"a",` + client()[1:], []string{"twice"}},
		"an id that is a number": {client("client_id", 1), []string{"client_id is not a string"}},
		"no id":                  {client("client_id", nil), []string{"client_id must be"}},
		"an empty id":            {client("client_id", ""), []string{"client_id must be"}},
		"a long id":              {client("client_id", strings.Repeat("i", 256)), []string{"client_id must be"}},
		"an id with line break":  {client("client_id", "a\nb"), []string{"client_id must be"}},
		"a tenant that is none":  {client("tenant", "ä"), []string{"tenant must be"}},
		"no scope":               {client("scope", nil), []string{"scope is required"}},
		"an empty scope":         {client("scope", " "), []string{"scope is required"}},
		"a scope of a user":      {client("scope", "user/*.rs"), []string{"scope has nothing"}},
		"a scope with quotes":    {client("scope", `system/*.rs "`), []string{"scope has nothing"}},
		"no keys":                {client("jwks_uri", nil), []string{"jwks or jwks_uri is required"}},
		"keys twice":             {client("jwks", empty), []string{"beside jwks_uri"}},
		"empty keys":             {client("jwks_uri", nil, "jwks", empty), []string{"jwks is wrong"}},
		"private keys":           {client("jwks_uri", nil, "jwks", private), []string{"jwks is wrong"}},
		"http":                   {client("jwks_uri", "http://client.example.org/jwks"), []string{"jwks_uri is wrong"}},
		"file":                   {client("jwks_uri", "file:///etc/passwd"), []string{"jwks_uri is wrong"}},
		"password":               {client("jwks_uri", "https://u:c2VjcmV0@h/"), []string{"jwks_uri is wrong"}},
		"the same id twice":      {"[" + client() + "," + client() + "]", []string{`client 2 ("a"): client_id is`}},
		"all at once": {"[" + client("client_id", "one", "x", 1, "scope", 1) + "," + client("client_id", "two", "y", 1) + "]",
			[]string{`client 1 ("one")`, "is not", `client 2 ("two")`}},
		"more of it": {"[" + client("client_id", "", "scope", "") + "," + client("jwks_uri", "http://h") + "]",
			[]string{`client 1 (""): `, "is required", `client 2 ("a"): jwks_uri`}},
	} {
		read, err := authserver.ReadClients(strings.NewReader(test.text))
		require.Error(t, err, name)
		require.Nil(t, read, name)
		for _, says := range test.says {
			require.Contains(t, err.Error(), says, name)
		}
		require.NotContains(t, err.Error(), "c2VjcmV0", name)
		require.GreaterOrEqual(t, len(strings.Split(err.Error(), "\n")), len(test.says), "%s: %s", name, err)
	}
	_, err := authserver.ReadClients(strings.NewReader("[" + strings.Repeat(" ", 16<<20) + client() + "]"))
	require.ErrorContains(t, err, "more than")
}

// FuzzClients reads any registration: what is taken is what New takes.
func FuzzClients(f *testing.F) {
	inline := client("client_id", "b", "jwks_uri", nil, "jwks", json.RawMessage(jwks("k", ecKey())))
	f.Add("[" + client() + "," + inline + "]")
	f.Add(client("scope", "system/Patient.read"))
	f.Add(`{"client_id":"a","scope":"","jwks":null}`)
	f.Add(`[{"client_id":null}]`)
	f.Fuzz(func(t *testing.T, text string) {
		read, err := authserver.ReadClients(strings.NewReader(text))
		if err != nil {
			require.Empty(t, read)
			return
		}
		require.NotEmpty(t, read)
		ids := map[string]bool{}
		for _, c := range read {
			require.False(t, ids[c.ID])
			ids[c.ID] = true
			require.NotEmpty(t, c.ID)
			require.NotEmpty(t, smart.Grant(c.Scope, c.Scope))
			require.NotEqual(t, c.JWKS == nil, c.JWKSURL == "")
			require.True(t, c.JWKSURL == "" || strings.HasPrefix(strings.ToLower(c.JWKSURL), "https://"))
			if c.JWKS != nil {
				_, err := smart.ParseKeySet(c.JWKS)
				require.NoError(t, err)
			}
		}
		_, err = authserver.New(authserver.Config{BaseURL: "https://fhir.example.org", Clients: read})
		require.NoError(t, err)
	})
}
