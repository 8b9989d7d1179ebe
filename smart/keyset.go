package smart

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/MicahParks/jwkset"
)

// ErrNoKey is wrapped by what a [KeySource] returns when it is certain that it
// has no key, or several, for a signature: the signature cannot be trusted.
var ErrNoKey = errors.New("not exactly one key for this signature")

// KeySource finds the public keys that verify signatures, by key id. It is safe
// for concurrent use.
type KeySource interface {
	// Key returns the one key that has this key id (kid) and a type (kty) that
	// fits the algorithm: an *rsa.PublicKey, an *ecdsa.PublicKey or an
	// ed25519.PublicKey. An error that wraps ErrNoKey means that there is none, or
	// more than one; any other error means that nobody knows at present, so that it
	// is worth while to try again. An empty kid finds nothing.
	Key(ctx context.Context, kid, alg string) (crypto.PublicKey, error)
}

// The bounds of keys and key sets that are read.
const (
	maxKeys    = 100
	minRSABits = 2048
	maxRSABits = 8192 // verifying takes time with the square of it
)

// StaticKeySet is a JWK Set that does not change. Make one with [ParseKeySet].
// It is safe for concurrent use.
type StaticKeySet struct {
	keys map[string][]verificationKey // by kid
}

type verificationKey struct {
	kid, kty, alg string
	public        crypto.PublicKey
}

// ParseKeySet reads a JWK Set (RFC 7517) of at most 100 keys as it is registered
// for a client. It refuses one that holds a private or symmetric key, an RSA key
// of less than 2048 or more than 8192 bits, or no key that verifies signatures.
// Keys of unknown types and curves, keys for encryption and keys without a kid
// are skipped. It keeps nothing of jwks.
func ParseKeySet(jwks []byte) (*StaticKeySet, error) {
	set, faults, err := readKeySet(jwks)
	if err != nil {
		return nil, err
	}
	bad := slices.ContainsFunc(faults, func(err error) bool { return errors.Is(err, errBadKey) })
	if bad || len(set.keys) == 0 {
		return nil, fmt.Errorf("key set: %w", errors.Join(append(faults, errUnusable)...))
	}
	return set, nil
}

// Key implements [KeySource]. Its errors wrap ErrNoKey, always.
func (s *StaticKeySet) Key(_ context.Context, kid, alg string) (crypto.PublicKey, error) {
	var found []verificationKey
	for _, key := range s.keys[kid] {
		if key.kty == typeFor(alg) {
			found = append(found, key)
		}
	}
	if len(found) != 1 || !found[0].fits(alg) {
		return nil, fmt.Errorf("%d keys of that id have the type that the algorithm needs: %w", len(found), ErrNoKey)
	}
	return found[0].public, nil
}

// noType is the kty of algorithms that need a secret, or nothing at all.
const noType = "none"

// typeFor returns the kty that an algorithm needs.
func typeFor(alg string) string {
	switch alg {
	case "RS256", "RS384", "RS512", "PS256", "PS384", "PS512":
		return "RSA"
	case "ES256", "ES384", "ES512":
		return "EC"
	case "EdDSA":
		return "OKP"
	}
	return noType
}

// fits looks closer than at the type: libraries verify ES384 with a key on P-256.
func (k verificationKey) fits(alg string) bool {
	if k.alg != "" && k.alg != alg {
		return false
	}
	if key, ok := k.public.(*ecdsa.PublicKey); ok {
		return map[string]int{"ES256": 256, "ES384": 384, "ES512": 521}[alg] == key.Params().BitSize
	}
	return true
}

var (
	errUnusable = errors.New("it has no usable key, or one that must not be there")
	// errBadKey is wrapped by faults that the owner of a set must mend.
	errBadKey = errors.New("key must not be used")
)

// readKeySet returns the usable keys, and why each of the others is not.
func readKeySet(jwks []byte) (*StaticKeySet, []error, error) {
	var document struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(jwks, &document); err != nil {
		return nil, nil, fmt.Errorf("key set is not JSON of the right form: %w", err)
	}
	switch n := len(document.Keys); {
	case document.Keys == nil:
		return nil, nil, errors.New(`key set has no member "keys"`)
	case n > maxKeys:
		return nil, nil, fmt.Errorf("key set has %d keys, more than %d", n, maxKeys)
	}
	set := &StaticKeySet{keys: map[string][]verificationKey{}}
	var faults []error
	for i, raw := range document.Keys {
		key, err := readKey(raw)
		if err != nil {
			faults = append(faults, fmt.Errorf("key %d: %w", i, err))
			continue
		}
		set.keys[key.kid] = append(set.keys[key.kid], key)
	}
	return set, faults, nil
}

func readKey(raw []byte) (verificationKey, error) {
	var jwk jwkset.JWKMarshal
	if err := json.Unmarshal(raw, &jwk); err != nil {
		return verificationKey{}, errors.New("it is not a JSON Web Key")
	}
	switch {
	case jwk.KTY == jwkset.KtyOct || jwk.D != "" || jwk.P != "" || jwk.Q != "" || jwk.K != "":
		return verificationKey{}, fmt.Errorf("it is private or symmetric: %w", errBadKey)
	case jwk.KID == "":
		return verificationKey{}, errors.New("it has no kid")
	case jwk.USE != "" && jwk.USE != jwkset.UseSig,
		len(jwk.KEYOPS) > 0 && !slices.Contains(jwk.KEYOPS, jwkset.KeyOpsVerify):
		return verificationKey{}, errors.New("it is not for signatures")
	}
	// Certificates are not looked at: nobody here would trust them.
	jwk.X5C, jwk.X5T, jwk.X5TS256, jwk.X5U = nil, "", "", ""
	parsed, err := jwkset.NewJWKFromMarshal(jwk, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{SkipKeyOps: true})
	if err != nil {
		return verificationKey{}, fmt.Errorf("it cannot be read: %w", err)
	}
	key := verificationKey{kid: jwk.KID, kty: jwk.KTY.String(), alg: jwk.ALG.String(), public: parsed.Key()}
	return key, checkKey(key.public)
}

func checkKey(key crypto.PublicKey) error {
	switch key := key.(type) {
	case *ecdsa.PublicKey, ed25519.PublicKey:
		return nil
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < minRSABits || bits > maxRSABits {
			return fmt.Errorf("its %d bits are not from %d to %d: %w", bits, minRSABits, maxRSABits, errBadKey)
		}
		return nil
	}
	return errors.New("it is not for signatures") // X25519
}
