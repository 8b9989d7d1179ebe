package main

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"slices"
	"strings"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/httpadapter"
)

// defaultTenant is what the command line calls the tenant without a name, which
// open access has as well. The records that the server loads are its.
const defaultTenant = "default"

// tokens are the bearer tokens that the server knows. It is a flag.Value. A real
// host asks its authorization server instead, and has no secrets in its arguments.
type tokens []token

type token struct {
	hash   [sha256.Size]byte
	caller bulkexport.Caller
}

// Set adds TOKEN=CLIENT@TENANT. The token may have '=' in it, as base64 does.
// What is malformed is left to wellFormed, since package flag prints a value that is
// refused here.
func (t *tokens) Set(value string) error {
	end := strings.LastIndexByte(value, '=')
	client, tenant, found := strings.Cut(value[end+1:], "@")
	if end <= 0 || !found || client == "" || tenant == "" {
		*t = append(*t, token{})
		return nil
	}
	if tenant == defaultTenant {
		tenant = ""
	}
	*t = append(*t, token{
		hash:   sha256.Sum256([]byte(value[:end])),
		caller: bulkexport.Caller{Tenant: tenant, Client: client},
	})
	return nil
}

// wellFormed reports whether all that was set is.
func (t tokens) wellFormed() bool {
	return !slices.ContainsFunc(t, func(candidate token) bool { return candidate.caller.Client == "" })
}

// String shows no token: it gets into usage texts.
func (t *tokens) String() string { return "" }

// authorize says who makes a request. What it compares are hashes, all of them
// and in constant time, so that the time it takes says nothing about a token.
func (t tokens) authorize(r *http.Request) (bulkexport.Access, error) {
	scheme, secret, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	hash := sha256.Sum256([]byte(strings.TrimSpace(secret)))
	access, known := bulkexport.Access{}, 0
	for _, candidate := range t {
		if subtle.ConstantTimeCompare(hash[:], candidate.hash[:]) == 1 {
			access.Caller, known = candidate.caller, 1
		}
	}
	if known == 0 || !strings.EqualFold(scheme, "Bearer") {
		return bulkexport.Access{}, httpadapter.ErrUnauthenticated
	}
	return access, nil
}
