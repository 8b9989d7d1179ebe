package cryptsink

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"

	"filippo.io/age"

	"github.com/bulkexport/bulkexport"
)

var (
	_ age.Recipient = seal{}
	_ age.Identity  = seal{}
)

// The stored form. All headers have the same length, so that lengths of plain files
// follow from those of stored ones.
const (
	stanzaType = "github.com/bulkexport/cryptsink"
	// Each use of a job's key has a key of its own.
	purposeWrap = stanzaType + " v1 wrap"
	purposeID   = stanzaType + " v1 id"

	keyIDSize   = 16
	fileKeySize = 16
	wrappedSize = 12 + fileKeySize + 16 // nonce, file key, tag

	introSize  = len("age-encryption.org/v1\n")
	stanzaSize = len("-> "+stanzaType+" ") + 22 + 1 + 59 + 1 // key id and body in base64
	macSize    = len("--- ") + 43 + 1
	nonceSize  = 16
	headerSize = introSize + stanzaSize + macSize + nonceSize

	chunkSize  = 64 << 10
	tagSize    = 16
	sealedSize = chunkSize + tagSize
)

// errOtherKey is about a file of an earlier life of the job, which was deleted.
var errOtherKey = fmt.Errorf("%w: its key was deleted", bulkexport.ErrFileNotFound)

// seal seals and opens the key of one file.
type seal struct {
	key         Key
	jobID, name string
}

// Wrap implements [age.Recipient].
func (s seal) Wrap(fileKey []byte) ([]*age.Stanza, error) {
	id, aead, err := s.derive()
	if err != nil {
		return nil, err
	}
	return []*age.Stanza{{Type: stanzaType, Args: []string{id}, Body: aead.Seal(nil, nil, fileKey, s.place())}}, nil
}

// Unwrap implements [age.Identity].
func (s seal) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	id, aead, err := s.derive()
	if err != nil {
		return nil, err
	}
	if len(stanzas) != 1 || stanzas[0].Type != stanzaType || len(stanzas[0].Args) != 1 {
		return nil, errors.New("not a header of this package")
	}
	switch stanza := stanzas[0]; {
	case stanza.Args[0] != id:
		return nil, errOtherKey
	case len(stanza.Body) != wrappedSize:
		return nil, errors.New("the sealed key has another length")
	default:
		return aead.Open(nil, nil, stanza.Body, s.place())
	}
}

// derive returns the name of the job's key, which tells nothing of it, and what seals
// with it. Its nonces are random, for which there are few enough files in a job.
func (s seal) derive() (id string, aead cipher.AEAD, err error) {
	public, err := hkdf.Key(sha256.New, s.key[:], nil, purposeID, keyIDSize)
	if err != nil {
		return "", nil, err
	}
	secret, err := hkdf.Key(sha256.New, s.key[:], nil, purposeWrap, KeySize)
	if err != nil {
		return "", nil, err
	}
	block, err := aes.NewCipher(secret)
	if err != nil {
		return "", nil, err
	}
	aead, err = cipher.NewGCMWithRandomNonce(block)
	return base64.RawStdEncoding.EncodeToString(public), aead, err
}

// place is sealed along with the key. No two places are the same bytes.
func (s seal) place() []byte { return fmt.Appendf(nil, "%q of %q", s.name, s.jobID) }

// plainSize returns how long a file is of which this much is stored.
func plainSize(stored int64) int64 {
	sealed := stored - int64(headerSize)
	chunks := (sealed + sealedSize - 1) / sealedSize
	return max(0, sealed-chunks*tagSize)
}
