package smart_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport/smart"
)

const keysURL = "https://issuer.example/jwks"

// keyServer answers requests without a network, so that time can be a test's own.
type keyServer struct {
	handler  atomic.Pointer[http.HandlerFunc]
	requests atomic.Int64
}

// serves makes a server that answers with a key set.
func serves(set []byte, headers ...string) *keyServer {
	s := &keyServer{}
	s.serve(set, headers...)
	return s
}

func (s *keyServer) serve(set []byte, headers ...string) {
	s.do(func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(headers); i += 2 {
			w.Header().Add(headers[i], headers[i+1])
		}
		_, _ = w.Write(set)
	})
}

func (s *keyServer) do(handler http.HandlerFunc) { s.handler.Store(&handler) }

// fail answers with a status and nothing else.
func (s *keyServer) fail(status int) {
	s.do(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
}

// RoundTrip implements http.RoundTripper.
func (s *keyServer) RoundTrip(r *http.Request) (*http.Response, error) {
	s.requests.Add(1)
	w := httptest.NewRecorder()
	(*s.handler.Load())(w, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return w.Result(), nil
}

// keySet returns the set of the server's keys.
func (s *keyServer) keySet(tb testing.TB, cfg smart.RemoteConfig) *smart.RemoteKeySet {
	tb.Helper()
	cfg.Client = &http.Client{Transport: s}
	set, err := smart.NewRemoteKeySet(keysURL, cfg)
	require.NoError(tb, err)
	return set
}

// hang is a handler that never answers.
func hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

func hasKey(t *testing.T, set smart.KeySource, kid string) {
	t.Helper()
	key, err := set.Key(t.Context(), kid, "ES384")
	require.NoError(t, err)
	require.Equal(t, p384Key().Public(), key)
}

// lacksKey wants certainty.
func lacksKey(t *testing.T, set smart.KeySource, kid string) {
	t.Helper()
	_, err := set.Key(t.Context(), kid, "ES384")
	require.ErrorIs(t, err, smart.ErrNoKey)
}

// knowsNot wants an error that may pass.
func knowsNot(t *testing.T, set smart.KeySource, kid string) {
	t.Helper()
	_, err := set.Key(t.Context(), kid, "ES384")
	require.Error(t, err)
	require.NotErrorIs(t, err, smart.ErrNoKey)
}

// pass lets time go by in a bubble of synctest.
func pass(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // the clock of synctest
}

func TestRemoteKeysAreKeptAsLongAsAllowed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		headers []string
		want    time.Duration
	}{
		"nothing said":      {nil, time.Hour},
		"max-age":           {[]string{"Cache-Control", "max-age=600"}, 10 * time.Minute},
		"more":              {[]string{"Cache-Control", `public, Max-Age="600", must-revalidate`}, 10 * time.Minute},
		"two headers":       {[]string{"Cache-Control", "public", "Cache-Control", "max-age=60"}, time.Minute},
		"twice":             {[]string{"Cache-Control", "max-age=60,max-age=600"}, time.Minute},
		"too long":          {[]string{"Cache-Control", "max-age=86400"}, time.Hour},
		"much too long":     {[]string{"Cache-Control", "max-age=99999999999999999999999"}, time.Hour},
		"no-store":          {[]string{"Cache-Control", "max-age=600, no-store"}, 5 * time.Second},
		"no-cache":          {[]string{"Cache-Control", "no-cache"}, 5 * time.Second},
		"nothing":           {[]string{"Cache-Control", "max-age=0"}, 5 * time.Second},
		"malformed":         {[]string{"Cache-Control", "max-age=-5"}, 5 * time.Second},
		"old already":       {[]string{"Cache-Control", "max-age=600", "Age", "500"}, 100 * time.Second},
		"too old":           {[]string{"Cache-Control", "max-age=600", "Age", "700"}, 5 * time.Second},
		"of another header": {[]string{"Expires", "0", "Pragma", "no-cache"}, time.Hour},
	} {
		synctest.Test(t, func(t *testing.T) {
			server := serves(jwks(jwk("a", p384Key())), c.headers...)
			set := server.keySet(t, smart.RemoteConfig{})
			require.Zero(t, server.requests.Load(), "nothing is fetched before the first use")
			hasKey(t, set, "a")
			pass(c.want - time.Nanosecond)
			hasKey(t, set, "a")
			assert.EqualValues(t, 1, server.requests.Load(), name)
			server.serve(jwks(jwk("b", p384Key())))
			pass(time.Nanosecond)
			lacksKey(t, set, "a")
			hasKey(t, set, "b")
			assert.EqualValues(t, 2, server.requests.Load(), name)
		})
	}
}

func TestRemoteKeysOfUnknownIDsAreLookedForOncePerInterval(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := serves(jwks(jwk("a", p384Key())))
		set := server.keySet(t, smart.RemoteConfig{MinInterval: 10 * time.Second})
		hasKey(t, set, "a")
		for i := range 20 {
			lacksKey(t, set, fmt.Sprint("made up ", i))
		}
		require.EqualValues(t, 1, server.requests.Load())

		pass(10 * time.Second)
		server.serve(jwks(jwk("a", p384Key()), jwk("b", p384Key())))
		hasKey(t, set, "b")
		for i := range 20 {
			lacksKey(t, set, fmt.Sprint("made up ", i))
			hasKey(t, set, "a")
		}
		require.EqualValues(t, 2, server.requests.Load())
	})
}

func TestRemoteKeysMayAllBeWithdrawn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := serves(jwks(jwk("a", p384Key())))
		set := server.keySet(t, smart.RemoteConfig{})
		hasKey(t, set, "a")
		server.serve(jwks())
		pass(time.Hour)
		lacksKey(t, set, "a")
	})
}

// troubles are answers that are no key sets.
func troubles() map[string]http.HandlerFunc {
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(code)
			_, _ = w.Write(jwks(jwk("a", p384Key())))
		}
	}
	text := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) }
	}
	redirect := func(to string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.URL.String() != keysURL {
				_, _ = w.Write(jwks(jwk("b", p384Key())))
				return
			}
			http.Redirect(w, r, to, http.StatusFound)
		}
	}
	return map[string]http.HandlerFunc{
		"hangs":               hang,
		"500":                 status(500),
		"404":                 status(404),
		"204":                 status(204),
		"nothing":             text(""),
		"HTML":                text("<html>"),
		"another document":    text(`{"issuer":"https://issuer.example"}`),
		"cut off":             text(string(jwks(jwk("a", p384Key())))[:100]),
		"huge":                text(string(jwks(jwk("b", p384Key()))) + strings.Repeat(" ", 256<<10)),
		"too many keys":       text(string(jwks(slicesOf(jwk("b", edKey()), 101)...))),
		"redirects elsewhere": redirect("https://other.example/jwks"),
		"another port":        redirect("https://issuer.example:444/jwks"),
		"another scheme":      redirect("http://issuer.example/jwks"),
		"in circles":          redirect(keysURL),
	}
}

func TestRemoteKeysWorkOnWhileTheirServerDoesNot(t *testing.T) {
	t.Parallel()
	for name, trouble := range troubles() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				server := serves(jwks(jwk("a", p384Key())))
				set := server.keySet(t, smart.RemoteConfig{StaleTime: 6 * time.Hour})
				hasKey(t, set, "a")
				begin := time.Now()
				server.do(trouble)
				pass(time.Hour)
				hasKey(t, set, "a")
				assert.LessOrEqual(t, time.Since(begin), time.Hour+5*time.Second, "no longer than a time-out")
				knowsNot(t, set, "b")

				for time.Since(begin) < 5*time.Hour {
					hasKey(t, set, "a")
					pass(20 * time.Second)
				}
				perMinute := float64(server.requests.Load()) / (4 * 60)
				assert.Less(t, perMinute, 5.0, "redirects included")
				assert.Greater(t, perMinute, 0.9)

				pass(time.Hour)
				knowsNot(t, set, "a")
				server.serve(jwks(jwk("b", p384Key())))
				pass(time.Minute)
				hasKey(t, set, "b")
				lacksKey(t, set, "a")
			})
		})
	}
}

func TestRemoteKeysThatNeverCame(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := &keyServer{}
		server.fail(http.StatusBadGateway)
		set := server.keySet(t, smart.RemoteConfig{StaleTime: -1})
		for range 20 {
			knowsNot(t, set, "a")
		}
		require.EqualValues(t, 1, server.requests.Load())
		server.serve(jwks(jwk("a", p384Key())))
		knowsNot(t, set, "a")
		pass(5 * time.Second)
		hasKey(t, set, "a")

		server.fail(http.StatusBadGateway)
		pass(time.Hour)
		knowsNot(t, set, "a") // by the configuration
	})
}

func TestRemoteKeysAreFetchedOnceForAllWhoWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := &keyServer{}
		goOn := make(chan struct{})
		server.do(func(w http.ResponseWriter, _ *http.Request) {
			<-goOn
			_, _ = w.Write(jwks(jwk("a", p384Key())))
		})
		set := server.keySet(t, smart.RemoteConfig{})
		first, cancelFirst := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() {
			_, err := set.Key(first, "a", "ES384")
			assert.NoError(t, err)
		})
		synctest.Wait()
		for range 50 {
			all.Go(func() { hasKey(t, set, "a") })
		}
		impatient, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := set.Key(impatient, "a", "ES384")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		cancelFirst() // whoever fetches does so for the others
		synctest.Wait()
		close(goOn)
		all.Wait()
		require.EqualValues(t, 1, server.requests.Load())
	})
}

func TestRemoteKeysThatWerePublishedDuringAFetch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := &keyServer{}
		server.do(func(w http.ResponseWriter, _ *http.Request) {
			pass(time.Second)
			_, _ = w.Write(jwks(jwk("a", p384Key())))
		})
		set := server.keySet(t, smart.RemoteConfig{MinInterval: time.Millisecond})
		var all sync.WaitGroup
		all.Go(func() { hasKey(t, set, "a") })
		synctest.Wait()
		server.serve(jwks(jwk("a", p384Key()), jwk("b", p384Key())))
		for range 10 {
			all.Go(func() { hasKey(t, set, "b") }) // waits for a fetch that cannot bring it, and for another
		}
		all.Wait()
		require.EqualValues(t, 2, server.requests.Load())
	})
}

func TestRemoteKeysThatAreOldNeedNoWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := serves(jwks(jwk("a", p384Key())))
		set := server.keySet(t, smart.RemoteConfig{})
		hasKey(t, set, "a")
		server.do(hang)
		pass(time.Hour)
		hasKey(t, set, "a") // takes the time of a time-out, the first time
		pass(time.Minute)
		var one sync.WaitGroup
		one.Go(func() { hasKey(t, set, "a") })
		synctest.Wait() // it is fetching
		now := time.Now()
		for range 100 {
			hasKey(t, set, "a")
		}
		require.Equal(t, now, time.Now())
		one.Wait()
	})
}

func TestRemoteKeysOverTheNetwork(t *testing.T) {
	t.Parallel()
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		assert.Fail(t, "asked a server that was not configured")
	}))
	t.Cleanup(other.Close)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /jwks", func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "application/jwk-set+json, application/json", r.Header.Get("Accept"))
		assert.NotContains(t, r.Header, "Authorization")
		assert.NotContains(t, r.Header, "Cookie")
		_, _ = w.Write(jwks(jwk("a", p384Key())))
	})
	mux.Handle("/moved", http.RedirectHandler("/jwks", http.StatusMovedPermanently))
	mux.Handle("/away", http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	mux.HandleFunc("/endless", func(w http.ResponseWriter, _ *http.Request) {
		for {
			if _, err := w.Write(make([]byte, 4096)); err != nil {
				return
			}
		}
	})
	mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	for path, works := range map[string]bool{
		"/jwks": true, "/moved": true, "/away": false, "/endless": false, "/slow": false, "/nowhere": false,
	} {
		set, err := smart.NewRemoteKeySet(server.URL+path, smart.RemoteConfig{
			AllowHTTP: true, Timeout: map[string]time.Duration{"/slow": 10 * time.Millisecond}[path],
		})
		require.NoError(t, err)
		if works {
			hasKey(t, set, "a")
		} else {
			knowsNot(t, set, "a")
		}
	}
}

func TestRemoteKeysOverTLS(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(jwks(jwk("a", p384Key())))
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // it is told of the handshake that fails
	server.StartTLS()
	t.Cleanup(server.Close)
	trusting, err := smart.NewRemoteKeySet(server.URL, smart.RemoteConfig{Client: server.Client()})
	require.NoError(t, err)
	hasKey(t, trusting, "a")
	set, err := smart.NewRemoteKeySet(server.URL, smart.RemoteConfig{})
	require.NoError(t, err)
	knowsNot(t, set, "a") // a certificate that nobody knows
}

func TestRemoteKeysHaveAProperURL(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{
		"", "jwks", "/jwks", "http://issuer.example/jwks", "ftp://issuer.example/jwks", "file:///etc/passwd",
		"https:issuer.example", "https://", "https://user:secret@issuer.example", "https://issuer.example/#a", "https://%zz",
	} {
		_, err := smart.NewRemoteKeySet(bad, smart.RemoteConfig{})
		require.Error(t, err, bad)
		require.NotContains(t, err.Error(), "secret")
	}
	_, err := smart.NewRemoteKeySet("http://127.0.0.1/jwks", smart.RemoteConfig{AllowHTTP: true})
	require.NoError(t, err)
	_, err = smart.NewRemoteKeySet("ftp://127.0.0.1/jwks", smart.RemoteConfig{AllowHTTP: true})
	require.Error(t, err)
}
