package smart_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/httpadapter"
	"github.com/bulkexport/bulkexport/smart"
)

// counted returns an authorizer whose tokens last for a while, and how many it has
// verified.
func counted(tb testing.TB, cfg smart.Config, lifetime time.Duration) (*smart.Authorizer, *atomic.Int64) {
	tb.Helper()
	var verified atomic.Int64
	cfg.Opaque = func(_ context.Context, token string) (smart.Token, error) {
		verified.Add(1)
		if token == "bad" {
			return smart.Token{}, httpadapter.ErrUnauthenticated
		}
		known := smart.Token{Caller: bulkexport.Caller{Client: token}, Scope: "system/Patient.rs"}
		if lifetime > 0 {
			known.Expires = time.Now().Add(lifetime)
		}
		return known, nil
	}
	authorizer, err := smart.New(cfg)
	require.NoError(tb, err)
	return authorizer, &verified
}

func TestTokensAreRememberedForAWhile(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		cfg      smart.Config
		lifetime time.Duration
		want     time.Duration
	}{
		"default":              {smart.Config{}, 0, time.Minute},
		"longer than a minute": {smart.Config{}, time.Hour, time.Minute},
		"until it expires":     {smart.Config{}, 20 * time.Second, 20 * time.Second},
		"as configured":        {smart.Config{CacheTime: 5 * time.Minute}, time.Hour, 5 * time.Minute},
	} {
		synctest.Test(t, func(t *testing.T) {
			authorizer, verified := counted(t, c.cfg, c.lifetime)
			ask := func() {
				access, err := authorize(t, authorizer, "alice")
				require.NoError(t, err)
				require.Equal(t, []string{"Patient"}, access.Types)
			}
			ask()
			pass(c.want - time.Nanosecond)
			ask()
			require.EqualValues(t, 1, verified.Load(), name)
			pass(time.Nanosecond)
			ask()
			require.EqualValues(t, 2, verified.Load(), name)
		})
	}
}

func TestTokensOfAnIssuerEndWhileTheyAreRemembered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		authorizer := newAuthorizer(t, issuerKeys(t))
		token := signed(claims("exp", time.Now().Unix()+30))
		for range 30 + 10 { // and the leeway
			_, err := authorize(t, authorizer, token)
			require.NoError(t, err)
			pass(time.Second)
		}
		_, err := authorize(t, authorizer, token)
		require.ErrorIs(t, err, httpadapter.ErrUnauthenticated)
	})
}

func TestRefusalsAreNotRemembered(t *testing.T) {
	t.Parallel()
	authorizer, verified := counted(t, smart.Config{}, 0)
	for range 3 {
		_, err := authorize(t, authorizer, "bad")
		require.ErrorIs(t, err, httpadapter.ErrUnauthenticated)
	}
	require.EqualValues(t, 3, verified.Load())

	authorizer, verified = counted(t, smart.Config{CacheTime: -1}, 0)
	for range 3 {
		_, err := authorize(t, authorizer, "alice")
		require.NoError(t, err)
	}
	require.EqualValues(t, 3, verified.Load(), "nothing is remembered by this configuration")
}

func TestFewTokensAreRememberedAtOnce(t *testing.T) {
	t.Parallel()
	authorizer, verified := counted(t, smart.Config{CacheSize: 10}, 0)
	for i := range 1000 {
		for range 2 {
			access, err := authorize(t, authorizer, fmt.Sprint("client", i))
			require.NoError(t, err)
			require.Equal(t, fmt.Sprint("client", i), access.Client)
		}
	}
	require.EqualValues(t, 1000, verified.Load(), "the newest one is remembered")
	for i := range 1000 {
		_, err := authorize(t, authorizer, fmt.Sprint("client", 999-i))
		require.NoError(t, err)
	}
	require.GreaterOrEqual(t, verified.Load(), int64(2000-10))
	require.Less(t, verified.Load(), int64(2000), "some of the newest")
}

func TestTokensOfManyAreNotMixedUp(t *testing.T) {
	t.Parallel()
	authorizer, _ := counted(t, smart.Config{CacheSize: 8, CacheTime: time.Microsecond}, 0)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := range 500 {
				name := fmt.Sprint("client", i%16)
				access, err := authorize(t, authorizer, name)
				assert.NoError(t, err)
				assert.Equal(t, name, access.Client)
			}
		})
	}
	all.Wait()
}

// BenchmarkAuthorize compares a token that is verified with one that is remembered.
func BenchmarkAuthorize(b *testing.B) {
	token := signed(claims())
	for name, age := range map[string]time.Duration{"verified": -1, "remembered": time.Hour} {
		b.Run(name, func(b *testing.B) {
			authorizer, err := smart.New(smart.Config{CacheTime: age, Issuers: []smart.Issuer{{
				URL: issuerURL, Audience: audience, Keys: issuerKeys(b),
			}}})
			require.NoError(b, err)
			req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, "/", http.NoBody)
			require.NoError(b, err)
			req.Header.Set("Authorization", "Bearer "+token)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := authorizer.Authorize(req); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
