package cryptsink

import (
	"bytes"
	"crypto/sha256"
	"errors"
)

// A key file is the key and the beginning of its hash: a key that was damaged would
// look like one of an earlier life of the job.
const (
	sumSize     = 8
	encodedSize = KeySize + sumSize
)

var errKeyFile = errors.New("the key file is damaged")

func encodeKey(key Key) []byte { return append(key[:], sumOf(key)...) }

func decodeKey(content []byte) (key Key, err error) {
	if len(content) != encodedSize {
		return Key{}, errKeyFile
	}
	if copy(key[:], content); !bytes.Equal(content[KeySize:], sumOf(key)) {
		return Key{}, errKeyFile
	}
	return key, nil
}

func sumOf(key Key) []byte {
	sum := sha256.Sum256(key[:])
	return sum[:sumSize]
}
