package authserver

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/asn1"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
)

// Key signs tokens.
type Key struct {
	// ID is its kid: 1 to 255 bytes of printable ASCII, other than that of each other
	// key, also of those that are gone.
	ID string
	// Signer has the private key, or asks who has it. Its public key is ECDSA on the
	// curve P-256, which is fastest, or P-384; or RSA with 2048 to 8192 bits. It must
	// be safe for concurrent use, as those of the standard library are.
	Signer crypto.Signer
}

// makeKeys returns a key for this process.
func makeKeys() ([]Key, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("authserver: make key: %w", err)
	}
	return []Key{{ID: rand.Text(), Signer: private}}, nil
}

// keysRule returns the rule that keys break, if any.
func keysRule(keys []Key) string {
	seen := map[string]bool{}
	for _, key := range keys {
		switch {
		case key.ID == "" || !isName(key.ID):
			return "must have an ID each, of 1 to 255 characters of printable ASCII"
		case seen[key.ID]:
			return "must have an ID each that no other has"
		case key.Signer == nil || algorithmOf(key.Signer.Public()) == "":
			return "must have a Signer each, with ECDSA on P-256 or P-384, or RSA with 2048 to 8192 bits"
		}
		seen[key.ID] = true
	}
	return ""
}

// algorithmOf returns the algorithm that a key signs with, or "".
func algorithmOf(key crypto.PublicKey) string {
	switch key := key.(type) {
	case *ecdsa.PublicKey:
		switch key.Curve {
		case elliptic.P256():
			return "ES256"
		case elliptic.P384():
			return "ES384"
		}
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits >= 2048 && bits <= 8192 {
			return "RS384"
		}
	}
	return ""
}

// keySetOf returns the public keys as a JWK Set.
func keySetOf(keys []Key) ([]byte, error) {
	set := jwkset.JWKSMarshal{}
	for _, key := range keys {
		public := key.Signer.Public()
		jwk, err := jwkset.NewJWKFromKey(public, jwkset.JWKOptions{Metadata: jwkset.JWKMetadataOptions{
			ALG: jwkset.ALG(algorithmOf(public)), KID: key.ID, USE: jwkset.UseSig,
		}})
		if err != nil {
			return nil, fmt.Errorf("authserver: publish key %q: %w", key.ID, err)
		}
		set.Keys = append(set.Keys, jwk.Marshal())
	}
	return json.Marshal(set)
}

// signer makes tokens. It is a jwt.SigningMethod, since those of the library want
// private keys in memory.
type signer struct {
	key       crypto.Signer
	id        string
	algorithm string
	hash      crypto.Hash
}

func newSigner(key Key) signer {
	algorithm := algorithmOf(key.Signer.Public())
	hash := crypto.SHA384
	if algorithm == "ES256" {
		hash = crypto.SHA256
	}
	return signer{key.Signer, key.ID, algorithm, hash}
}

// sign returns a signed access token (RFC 9068).
func (s signer) sign(claims jwt.MapClaims) (string, error) {
	token := jwt.NewWithClaims(s, claims)
	token.Header["typ"], token.Header["kid"] = "at+jwt", s.id
	return token.SignedString(s.key)
}

// Alg implements jwt.SigningMethod.
func (s signer) Alg() string { return s.algorithm }

// Verify implements jwt.SigningMethod. Tokens are not verified here.
func (s signer) Verify(string, []byte, any) error { return errors.ErrUnsupported }

// Sign implements jwt.SigningMethod, for the key of the signer.
func (s signer) Sign(text string, _ any) ([]byte, error) {
	hash := s.hash.New()
	_, _ = hash.Write([]byte(text)) // never fails
	signature, err := s.key.Sign(rand.Reader, hash.Sum(nil), s.hash)
	if err != nil || s.algorithm == "RS384" {
		return signature, err
	}
	var pair struct{ R, S *big.Int }
	if rest, err := asn1.Unmarshal(signature, &pair); err != nil || len(rest) > 0 {
		return nil, errors.New("the signature is not one of ECDSA")
	}
	size := s.hash.Size() // that of the curve as well
	joined := make([]byte, 2*size)
	if pair.R.Sign() < 0 || pair.S.Sign() < 0 || pair.R.BitLen() > 8*size || pair.S.BitLen() > 8*size {
		return nil, errors.New("the signature is not one of this curve")
	}
	pair.R.FillBytes(joined[:size])
	pair.S.FillBytes(joined[size:])
	return joined, nil
}

// decoys are keys that nobody has. Signatures of clients without a key are checked
// with them, so that it takes the same time.
type decoys struct {
	rsa   *rsa.PublicKey
	ecdsa *ecdsa.PublicKey
}

func newDecoys() (decoys, error) {
	private, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		return decoys{}, fmt.Errorf("authserver: make key: %w", err)
	}
	modulus := make([]byte, 2048/8)
	_, _ = rand.Read(modulus) // never fails
	// As long as a real one and odd, it takes as long; that it is hardly the product of
	// two primes matters to nobody.
	modulus[0] |= 0x80
	modulus[len(modulus)-1] |= 1
	return decoys{
		rsa:   &rsa.PublicKey{N: new(big.Int).SetBytes(modulus), E: 65537},
		ecdsa: &private.PublicKey,
	}, nil
}

func (d decoys) key(algorithm string) crypto.PublicKey {
	if algorithm == "ES384" {
		return d.ecdsa
	}
	return d.rsa
}
