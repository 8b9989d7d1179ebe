package httpadapter_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/httpadapter"
	"github.com/bulkexport/bulkexport/store/memstore"
)

// from sends a request from an address.
func (p polling) from(addr, target, token string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(p.Context(), http.MethodGet, target, nil)
	r.RemoteAddr = addr
	return serve(p.handler, r, token)
}

// The addresses of an attacker and of a client.
const (
	evil = "198.51.100.1:1234"
	good = "203.0.113.1:1234"
)

func TestFailedLoginsAreLimited(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		looks, refusals := 0, map[int]int{}
		p := newNode(t, memstore.New(), httpadapter.Config{
			FailedLogins: httpadapter.Rate{Burst: 3, Every: 10 * time.Second},
			Authorize: func(r *http.Request) (bulkexport.Access, error) {
				looks++
				return authorize(r)
			},
			Observer: httpadapter.Observer{Refused: func(_ context.Context, refusal httpadapter.Refusal) {
				require.Empty(t, refusal.Caller)
				require.Equal(t, "198.51.100.1", refusal.Remote)
				refusals[refusal.Status]++
			}},
		})
		// What is allowed, or denied to who is known, does not count.
		for range 10 {
			require.Equal(t, http.StatusAccepted, p.from(evil, exportPath, "alice").Code)
		}
		for range 3 {
			require.Equal(t, http.StatusUnauthorized, p.from(evil, exportPath, "wrong").Code)
		}
		throttled(t, p.from(evil, exportPath, "wrong"), "10", "credentials are not valid")
		require.Equal(t, 14, looks)
		for _, target := range []string{exportPath, unknownID, unknownID + "/Patient.ndjson"} {
			throttled(t, p.from(evil, target, "wrong"), "10", "credentials are not valid")
			throttled(t, p.from("198.51.100.1:999", target, "alice"), "10", "credentials are not valid")
		}
		require.Equal(t, 14, looks, "no look at credentials")
		require.Equal(t, map[int]int{401: 3, 429: 7}, refusals)
		require.Equal(t, http.StatusAccepted, p.from(good, exportPath, "alice").Code, "another address")

		p.heed(p.from(evil, exportPath, "alice"))
		require.Equal(t, http.StatusAccepted, p.from(evil, exportPath, "alice").Code)
		require.Equal(t, http.StatusUnauthorized, p.from(evil, exportPath, "wrong").Code)
		throttled(t, p.from(evil, exportPath, "wrong"), "10", "credentials are not valid")
	})
}

// TestQuestionsAreNoFailedLogins sends no credentials, or hardly any.
func TestQuestionsAreNoFailedLogins(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newNode(t, memstore.New(), httpadapter.Config{FailedLogins: httpadapter.Rate{Burst: 1, Every: time.Hour}})
		for _, headers := range []http.Header{{}, {"Authorization": {""}}, {"Authorization": {"Bearer "}}} {
			for range 3 {
				r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, exportPath, nil)
				r.RemoteAddr, r.Header = evil, headers
				w := httptest.NewRecorder()
				p.handler.ServeHTTP(w, r)
				require.Equal(t, http.StatusUnauthorized, w.Code)
			}
		}
		for range 3 {
			require.Equal(t, http.StatusForbidden, p.from(evil, exportPath, "suspended").Code)
			require.Equal(t, http.StatusServiceUnavailable, p.from(evil, exportPath, "trouble").Code)
		}
		require.Equal(t, http.StatusAccepted, p.from(evil, exportPath, "alice").Code)
	})
}

// TestAddressesOfFailedLogins says which addresses count as one, and which not at all.
func TestAddressesOfFailedLogins(t *testing.T) {
	t.Parallel()
	header := func(r *http.Request) string { return r.RemoteAddr }
	for _, test := range []struct {
		name       string
		remote     func(*http.Request) string
		first, two string
		together   bool
	}{
		{"ports", nil, "198.51.100.1:1", "198.51.100.1:2", true},
		{"neighbours", nil, "198.51.100.1:1", "198.51.100.2:1", false},
		{"an IPv6 network", nil, "[2001:db8:1:2::1]:1", "[2001:db8:1:2:ffff::2]:1", true},
		{"two IPv6 networks", nil, "[2001:db8:1:2::1]:1", "[2001:db8:1:3::1]:1", false},
		{"IPv4 in IPv6", nil, "198.51.100.1:1", "[::ffff:198.51.100.1]:1", true},
		{"a proxy in a private network", nil, "10.0.0.1:1", "10.0.0.1:1", false},
		{"a proxy in a private IPv6 network", nil, "[fd00::1]:1", "[fd00::1]:1", false},
		{"a proxy on a link", nil, "[fe80::1%eth0]:1", "[fe80::1%eth0]:1", false},
		{"a proxy on this machine", nil, "127.0.0.1:1", "127.0.0.1:1", false},
		{"a proxy at a socket", nil, "@", "@", false},
		{"a private network that the host knows", header, "10.0.0.1", "10.0.0.1", true},
		{"an IPv6 network that the host knows", header, "2001:db8:1:2::1", "2001:db8:1:2::3", true},
		{"a name of the host's", header, "somewhere", "somewhere", true},
		{"what the host does not know", header, "", "", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newNode(t, memstore.New(), httpadapter.Config{
					RemoteAddr: test.remote, FailedLogins: httpadapter.Rate{Burst: 1, Every: time.Hour},
				})
				require.Equal(t, http.StatusUnauthorized, p.from(test.first, exportPath, "wrong").Code)
				code := p.from(test.two, exportPath, "wrong").Code
				require.Equal(t, test.together, code == http.StatusTooManyRequests, "%d", code)
			})
		})
	}
}

func TestDefaultOfFailedLogins(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		p, off := newNode(t, store, httpadapter.Config{}),
			newNode(t, store, httpadapter.Config{FailedLogins: httpadapter.Rate{Burst: -1}})
		for range 60 {
			require.Equal(t, http.StatusUnauthorized, p.from(evil, exportPath, "wrong").Code)
		}
		for range 100 {
			throttled(t, p.from(evil, exportPath, "wrong"), "1", "credentials are not valid")
			require.Equal(t, http.StatusUnauthorized, off.from(evil, exportPath, "wrong").Code)
		}
		elapse(time.Second)
		require.Equal(t, http.StatusUnauthorized, p.from(evil, exportPath, "wrong").Code)
	})
}

// TestNodesCountFailedLoginsTogether has an address shut out by a node when it has
// failed there once more.
func TestNodesCountFailedLoginsTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store, cfg := memstore.New(), httpadapter.Config{FailedLogins: httpadapter.Rate{Burst: 2, Every: time.Minute}}
		first, second := newNode(t, store, cfg), newNode(t, store, cfg)
		require.Equal(t, http.StatusUnauthorized, first.from(evil, exportPath, "wrong").Code)
		require.Equal(t, http.StatusUnauthorized, second.from(evil, exportPath, "wrong").Code)
		throttled(t, first.from(evil, exportPath, "wrong"), "60", "credentials are not valid")
		throttled(t, second.from(evil, exportPath, "wrong"), "60", "credentials are not valid")
		throttled(t, second.from(evil, exportPath, "alice"), "60", "credentials are not valid")
		elapse(time.Minute)
		require.Equal(t, http.StatusAccepted, first.from(evil, exportPath, "alice").Code)
		require.Equal(t, http.StatusAccepted, second.from(evil, exportPath, "alice").Code)
	})
}

// TestShutOutAddressesTakeBoundedMemory has more of them than are remembered.
func TestShutOutAddressesTakeBoundedMemory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newNode(t, memstore.New(), httpadapter.Config{FailedLogins: httpadapter.Rate{Burst: 1, Every: time.Hour}})
		const most = 10_000
		addr := func(n int) string { return fmt.Sprintf("198.%d.%d.%d:1", 51+n>>16, n>>8&0xff, n&0xff) }
		for n := range most + 1 {
			require.Equal(t, http.StatusUnauthorized, p.from(addr(n), exportPath, "wrong").Code)
			require.Equal(t, http.StatusTooManyRequests, p.from(addr(n), exportPath, "wrong").Code)
		}
		require.Equal(t, http.StatusTooManyRequests, p.from(addr(7), unknownID, "alice").Code)
		// One beyond is looked at, but not let through with what is wrong.
		require.Equal(t, http.StatusNotFound, p.from(addr(most), unknownID, "alice").Code)
		require.Equal(t, http.StatusTooManyRequests, p.from(addr(most), unknownID, "wrong").Code)
		elapse(time.Hour)
		require.Equal(t, http.StatusNotFound, p.from(addr(7), unknownID, "alice").Code)
	})
}
