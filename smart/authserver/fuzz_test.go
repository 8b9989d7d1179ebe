package authserver_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// answers sends a form without the wire in between.
func (n *node) answers(t *testing.T, form string) answer {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/auth/token", strings.NewReader(form))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	n.server.ServeHTTP(w, r)
	return readAnswer(t, w.Result())
}

// FuzzTokenRequest sends any form: none gets a token, and each answer is one of
// OAuth that repeats nothing.
func FuzzTokenRequest(f *testing.F) {
	f.Add("")
	f.Add("grant_type=client_credentials&grant_type=client_credentials")
	f.Add("grant_type=client_credentials&scope=system/*.rs&client_secret=s")
	f.Add("grant_type=client_credentials&scope=system/*.rs&client_id=ec&client_assertion_type=" + assertionType +
		"&client_assertion=e30.e30.AA")
	f.Add("%zz=%ff;")
	n := direct(f)
	f.Fuzz(func(t *testing.T, form string) {
		res := n.answers(t, form)
		require.Contains(t, []int{http.StatusBadRequest, http.StatusUnauthorized}, res.status)
		require.Contains(t, []string{
			"invalid_request", "invalid_client", "invalid_scope", "unsupported_grant_type",
		}, res.Error)
		require.Less(t, len(res.body), 500)
	})
}

// FuzzAssertion replaces, inserts or takes away bytes of an assertion: only itself
// gets a token, and only once.
func FuzzAssertion(f *testing.F) {
	f.Add(0, 0, "")
	f.Add(0, 1, "f")
	f.Add(60, 10, "AAAA")
	f.Add(300, 1, "")
	f.Add(100, 0, ".")
	f.Add(0, 400, "eyJhbGciOiJub25lIn0.e30.")
	f.Fuzz(func(t *testing.T, at, length int, put string) {
		n := direct(t)
		original := n.attempt().seal()
		at = min(max(at, 0), len(original))
		length = min(max(length, 0), len(original)-at)
		changed := original[:at] + put + original[at+length:]
		try := func(assertion string) answer {
			form := n.attempt().form
			form.Set("client_assertion", assertion)
			return n.answers(t, form.Encode())
		}
		res := try(changed)
		if changed != original {
			require.NotEqual(t, http.StatusOK, res.status)
			require.Equal(t, http.StatusOK, try(original).status, "what was changed used nothing up")
		} else {
			require.Equal(t, http.StatusOK, res.status)
		}
		require.Equal(t, http.StatusUnauthorized, try(original).status)
	})
}
