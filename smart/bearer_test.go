package smart_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport/httpadapter"
)

// FuzzBearer tries Authorization headers: none but the one token gets in.
func FuzzBearer(f *testing.F) {
	authorizer := newAuthorizer(f, issuerKeys(f))
	good := signed(claims("exp", 4102444800))
	// What the fuzzer keeps is good for this key only: the token is put in here.
	const here = "TOKEN"
	f.Add("Bearer "+here, "")
	f.Add("bearer  "+here, "")
	f.Add("Bearer "+here, "Bearer "+here)
	f.Add("Basic "+here, "")
	f.Add(here, "")
	f.Add("Bearer "+here+"=", "")
	f.Add("Bearer "+here+".", "")
	f.Add("Bearer "+here+"A", "")
	for _, token := range refusedTokens() {
		f.Add("Bearer "+token, "")
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		if strings.Contains(first, good) {
			return
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
		require.NoError(t, err)
		headers := []string{strings.ReplaceAll(first, here, good)}
		if second != "" {
			headers = append(headers, strings.ReplaceAll(second, here, good))
		}
		req.Header["Authorization"] = headers
		access, err := authorizer.Authorize(req)

		scheme, token, _ := strings.Cut(headers[0], " ")
		if len(headers) == 1 && strings.EqualFold(scheme, "Bearer") && strings.TrimLeft(token, " ") == good {
			require.NoError(t, err)
			require.Equal(t, "alice", access.Client)
			return
		}
		require.ErrorIs(t, err, httpadapter.ErrUnauthenticated)
		require.Zero(t, access)
	})
}

func TestSchemesHaveNoCase(t *testing.T) {
	t.Parallel()
	authorizer := newAuthorizer(t, issuerKeys(t))
	for _, scheme := range []string{"Bearer ", "bearer ", "BEARER ", "Bearer    "} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
		require.NoError(t, err)
		req.Header.Set("Authorization", scheme+signed(claims()))
		_, err = authorizer.Authorize(req)
		require.NoError(t, err, scheme)
	}
}
