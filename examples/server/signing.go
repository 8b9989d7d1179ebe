package main

import (
	"crypto/rand"
	"fmt"
	"os"
	"strings"

	"github.com/bulkexport/bulkexport/httpadapter"
)

// signing is how URLs of files are signed: not at all where a bucket has its own.
func (o options) signing() (httpadapter.SignedURLs, error) {
	if o.signedURLs == 0 || strings.HasPrefix(o.sink, "s3://") && o.keyFolder == "" {
		return httpadapter.SignedURLs{}, nil
	}
	key := make([]byte, 32)
	if o.urlKey == "" {
		_, _ = rand.Read(key) // which does not fail
	} else {
		var err error
		if key, err = os.ReadFile(o.urlKey); err != nil {
			return httpadapter.SignedURLs{}, fmt.Errorf("-url-key: %w", err)
		}
	}
	return httpadapter.SignedURLs{Keys: [][]byte{key}, TTL: o.signedURLs}, nil
}
