package smart_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport/httpadapter"
	"github.com/bulkexport/bulkexport/smart"
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

func TestNobodyIsAskedAboutWhatIsNoToken(t *testing.T) {
	t.Parallel()
	authorizer, asked := counted(t, smart.Config{}, 0)
	for _, token := range []string{
		"", "=", "==", "a=b", "a b", "a,b", `"a"`, "a\x00", "a\tb", "a\r\nX: y", "é", "a%41", "a;b", "a:b",
		strings.Repeat("a", 8<<10+1),
	} {
		_, err := authorize(t, authorizer, token)
		require.ErrorIs(t, err, httpadapter.ErrUnauthenticated, "%q", token)
	}
	require.Zero(t, asked.Load())
	for i, token := range []string{"a", "a==", "A.b-C_d~e+f/9", strings.Repeat("a", 8<<10)} {
		_, err := authorize(t, authorizer, token)
		require.NoError(t, err)
		require.EqualValues(t, i+1, asked.Load())
	}
}
