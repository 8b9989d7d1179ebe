package smart_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport/smart"
)

// Keys are made once: RSA keys take long.
var (
	rsaKey  = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	p384Key = sync.OnceValue(func() *ecdsa.PrivateKey { return newECKey(elliptic.P384()) })
	p256Key = sync.OnceValue(func() *ecdsa.PrivateKey { return newECKey(elliptic.P256()) })
	edKey   = sync.OnceValue(func() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(make([]byte, 32)) })
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func newECKey(curve elliptic.Curve) *ecdsa.PrivateKey {
	return must(ecdsa.GenerateKey(curve, rand.Reader))
}

// jwk returns a public key as JSON, with some members replaced or, if nil, removed.
func jwk(kid string, key crypto.Signer, members ...any) map[string]any {
	text := must(jose.JSONWebKey{Key: key.Public(), KeyID: kid}.MarshalJSON())
	object := map[string]any{}
	if err := json.Unmarshal(text, &object); err != nil {
		panic(err)
	}
	for i := 0; i < len(members); i += 2 {
		object[members[i].(string)] = members[i+1]
		if members[i+1] == nil {
			delete(object, members[i].(string))
		}
	}
	return object
}

// jwks returns a JWK Set.
func jwks(keys ...map[string]any) []byte {
	if keys == nil {
		keys = []map[string]any{}
	}
	return must(json.Marshal(map[string]any{"keys": keys}))
}

func TestKeySetFindsTheKeyOfIDAndType(t *testing.T) {
	t.Parallel()
	set, err := smart.ParseKeySet(jwks(
		jwk("a", rsaKey()), jwk("a", p384Key()), jwk("b", p256Key(), "use", "sig"), jwk("c", edKey()),
		jwk("d", rsaKey(), "alg", "RS384", "key_ops", []string{"verify", "of the future"}),
		jwk("e", p384Key()), jwk("e", newECKey(elliptic.P384())),
		jwk("f", p384Key(), "x5u", "http://127.0.0.1/cert", "x5c", []string{"???"}),
	))
	require.NoError(t, err)
	for _, c := range []struct {
		kid, alg string
		want     crypto.PublicKey // nil: none
	}{
		{"a", "RS384", rsaKey().Public()},
		{"a", "PS256", rsaKey().Public()},
		{"a", "ES384", p384Key().Public()},
		{"a", "ES256", nil}, // wrong curve
		{"a", "EdDSA", nil},
		{"a", "HS256", nil},
		{"a", "none", nil},
		{"a", "", nil},
		{"b", "ES256", p256Key().Public()},
		{"b", "ES384", nil},
		{"c", "EdDSA", edKey().Public()},
		{"d", "RS384", rsaKey().Public()},
		{"d", "RS256", nil}, // the key is for another algorithm
		{"e", "ES384", nil}, // two keys
		{"f", "ES384", p384Key().Public()},
		{"", "RS384", nil},
		{"A", "RS384", nil},
		{"z", "RS384", nil},
	} {
		key, err := set.Key(t.Context(), c.kid, c.alg)
		if c.want == nil {
			require.ErrorIs(t, err, smart.ErrNoKey, "%s %s", c.kid, c.alg)
			assert.Nil(t, key, "%s %s", c.kid, c.alg)
			continue
		}
		require.NoError(t, err, "%s %s", c.kid, c.alg)
		assert.Equal(t, c.want, key, "%s %s", c.kid, c.alg)
	}
}

func TestKeySetSkipsWhatIsNotForSignatures(t *testing.T) {
	t.Parallel()
	others := []map[string]any{
		jwk("k", rsaKey(), "use", "enc"),
		jwk("k", rsaKey(), "use", "later"),
		jwk("k", rsaKey(), "key_ops", []string{"encrypt"}),
		jwk("k", rsaKey(), "key_ops", "verify"),
		jwk("k", rsaKey(), "kty", "PQ"),
		jwk("k", rsaKey(), "kty", nil),
		jwk("k", rsaKey(), "n", nil),
		jwk("k", rsaKey(), "n", "???"),
		jwk("k", rsaKey(), "e", "AQAAAAAAAAAD"), // 2^64 and 3
		jwk("k", p384Key(), "crv", "secp256k1"),
		jwk("k", p384Key(), "crv", "P-256"),
		jwk("k", p384Key(), "x", "AAAA"),
		jwk("k", edKey(), "crv", "X25519"),
		jwk("k", edKey(), "x", "AAAA"),
		jwk("", rsaKey()),
		{"kid": "k"},
		nil,
	}
	for _, other := range others {
		_, err := smart.ParseKeySet(jwks(other))
		require.Error(t, err, "%v", other)
	}
	set, err := smart.ParseKeySet(jwks(append(others, jwk("k", rsaKey()), jwk("k", p384Key()))...))
	require.NoError(t, err)
	key, err := set.Key(t.Context(), "k", "RS384")
	require.NoError(t, err)
	require.Equal(t, rsaKey().Public(), key)
	key, err = set.Key(t.Context(), "k", "ES384")
	require.NoError(t, err)
	require.Equal(t, p384Key().Public(), key)
}

func TestKeySetsThatAreRefused(t *testing.T) {
	t.Parallel()
	private := func(key any) map[string]any {
		object := map[string]any{}
		require.NoError(t, json.Unmarshal(must(jose.JSONWebKey{Key: key, KeyID: "k"}.MarshalJSON()), &object))
		return object
	}
	// Such keys cannot be made here: Go refuses.
	modulus := func(bits int) map[string]any {
		return jwk("k", rsaKey(), "n", strings.Repeat("_", bits/6))
	}
	good := jwk("good", rsaKey())
	for name, set := range map[string][]byte{
		"nothing":         nil,
		"garbage":         []byte("<html>"),
		"another form":    []byte(`{"keys":{}}`),
		"no keys":         []byte(`{}`),
		"null":            []byte(`{"keys":null}`),
		"a key":           must(json.Marshal(good)),
		"empty":           jwks(),
		"two":             append(jwks(good), jwks(good)...),
		"private RSA key": jwks(good, private(rsaKey())),
		"private EC key":  jwks(good, private(p384Key())),
		"private Ed key":  jwks(good, private(edKey())),
		"secret":          jwks(good, map[string]any{"kty": "oct", "kid": "k", "k": "c2VjcmV0"}),
		"small RSA key":   jwks(good, modulus(1536)),
		"huge RSA key":    jwks(good, modulus(9000)),
		"101 keys":        jwks(slicesOf(good, 101)...),
	} {
		_, err := smart.ParseKeySet(set)
		require.Error(t, err, name)
		assert.NotContains(t, err.Error(), "c2VjcmV0", name)
		assert.NotContains(t, err.Error(), fmt.Sprint(private(p384Key())["d"]), name)
	}
	_, err := smart.ParseKeySet(jwks(good, modulus(4098)))
	require.NoError(t, err)
}

func slicesOf[T any](v T, n int) []T {
	all := make([]T, n)
	for i := range all {
		all[i] = v
	}
	return all
}

func FuzzKeySet(f *testing.F) {
	f.Add(jwks(jwk("k", rsaKey()), jwk("k", p384Key()), jwk("l", edKey()), jwk("m", p256Key(), "use", "enc")))
	f.Add([]byte(`{"keys":[{"kty":"EC","kid":"k","crv":"P-384","x":"","y":""}]}`))
	f.Add([]byte(`{"keys":[{"kty":"RSA","kid":"k","n":"AQ","e":"AQAB","KTY":"oct"}]}`))
	algorithms := []string{"RS256", "RS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
	f.Fuzz(func(t *testing.T, data []byte) {
		set, err := smart.ParseKeySet(data)
		if err != nil {
			return
		}
		for _, alg := range algorithms {
			key, err := set.Key(t.Context(), "k", alg)
			if err != nil {
				require.ErrorIs(t, err, smart.ErrNoKey)
				continue
			}
			switch key := key.(type) {
			case *rsa.PublicKey:
				require.GreaterOrEqual(t, key.N.BitLen(), 2048)
				require.Contains(t, "RS256 RS384 PS512", alg)
			case *ecdsa.PublicKey:
				require.Equal(t, map[string]int{"ES256": 256, "ES384": 384, "ES512": 521}[alg], key.Params().BitSize)
			case ed25519.PublicKey:
				require.Equal(t, "EdDSA", alg)
			default:
				require.Fail(t, "another key", "%T", key)
			}
		}
	})
}
