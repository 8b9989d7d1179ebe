package authserver_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/smart/authserver"
)

func TestAssertionCountsOnce(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	a := n.attempt()
	a.assertion = a.seal()
	require.Equal(t, http.StatusOK, n.try(t, a).status)
	for range 3 {
		res := n.try(t, a)
		require.Equal(t, http.StatusUnauthorized, res.status)
		require.Equal(t, "invalid_client", res.Error)
		require.Contains(t, res.Description, "jti")
	}
	again := n.attempt()
	again.claims["jti"] = a.claims["jti"]
	require.Equal(t, http.StatusUnauthorized, n.try(t, again).status, "the id counts, not the assertion")
	other := n.attempt().of("rsa", "rsa-1", rsaKey())
	other.claims["jti"] = a.claims["jti"]
	require.Equal(t, http.StatusOK, n.try(t, other).status, "an id is that of a client")
}

// TestAssertionCountsOnceForAllNodes: nodes behind one URL share a limiter.
func TestAssertionCountsOnceForAllNodes(t *testing.T) {
	t.Parallel()
	limiter := bulkexport.NewLimiter()
	share := func(cfg *authserver.Config) { cfg.Limiter, cfg.BaseURL = limiter, "https://fhir.example.org" }
	nodes := []*node{newNode(t, share), newNode(t, share), newNode(t, share)}
	a := newAttempt("https://fhir.example.org")
	a.assertion = a.seal()
	require.Equal(t, http.StatusOK, nodes[0].try(t, a).status)
	for _, n := range nodes {
		require.Equal(t, http.StatusUnauthorized, n.try(t, a).status)
	}
	fresh := newAttempt("https://fhir.example.org")
	require.Equal(t, http.StatusOK, nodes[1].try(t, fresh).status)
}

// TestOneOfManyAtOnceWins also where they come to several nodes.
func TestOneOfManyAtOnceWins(t *testing.T) {
	t.Parallel()
	limiter := bulkexport.NewLimiter()
	share := func(cfg *authserver.Config) { cfg.Limiter, cfg.BaseURL = limiter, "https://fhir.example.org" }
	nodes := []*node{newNode(t, share), newNode(t, share)}
	a := newAttempt("https://fhir.example.org")
	a.assertion = a.seal()
	statuses := make([]int, 40)
	var group sync.WaitGroup
	for i := range statuses {
		r := a.request(t.Context(), "http://ignored.example")
		group.Go(func() {
			w := httptest.NewRecorder()
			nodes[i%2].server.ServeHTTP(w, r)
			statuses[i] = w.Code
		})
	}
	group.Wait()
	counts := map[int]int{}
	for _, status := range statuses {
		counts[status]++
	}
	require.Equal(t, map[int]int{http.StatusOK: 1, http.StatusUnauthorized: 39}, counts)
}

// direct is a server without a network, for a bubble of synctest.
func direct(t testing.TB, change ...func(*authserver.Config)) *node {
	t.Helper()
	n := &node{base: "https://fhir.example.org", log: &journal{}}
	cfg := config(n.base, n.log)
	for _, c := range change {
		c(&cfg)
	}
	server, err := authserver.New(cfg)
	require.NoError(t, err)
	n.server = server
	return n
}

// from sends an attempt from an address.
func (n *node) from(t *testing.T, address string, a *attempt) answer {
	t.Helper()
	r := a.request(t.Context(), n.base)
	r.RemoteAddr = address
	w := httptest.NewRecorder()
	n.server.ServeHTTP(w, r)
	return readAnswer(t, w.Result())
}

// TestTimesToTheSecond: clocks may differ by 10 s, and no more.
func TestTimesToTheSecond(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		claim  string
		ahead  time.Duration
		status int
	}{
		{"exp", -10 * time.Second, http.StatusUnauthorized},
		{"exp", -9 * time.Second, http.StatusOK},
		{"exp", 310 * time.Second, http.StatusOK},
		{"exp", 311 * time.Second, http.StatusUnauthorized},
		{"nbf", 10 * time.Second, http.StatusOK},
		{"nbf", 11 * time.Second, http.StatusUnauthorized},
		{"iat", 10 * time.Second, http.StatusOK},
		{"iat", 11 * time.Second, http.StatusUnauthorized},
	} {
		synctest.Test(t, func(t *testing.T) {
			n := direct(t)
			a := n.attempt()
			a.claims[test.claim] = in(test.ahead)
			require.Equal(t, test.status, n.from(t, "192.0.2.1:1", a).status, "%s %s", test.claim, test.ahead)
		})
	}
}

// TestUsedIDsAreRemembered: an id is refused as long as any assertion with it may be
// valid, and afterwards it is forgotten.
func TestUsedIDsAreRemembered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := direct(t)
		try := func() int {
			a := n.attempt()
			a.claims["jti"], a.claims["exp"] = "the same", in(310*time.Second)
			return n.from(t, "192.0.2.1:1", a).status
		}
		require.Equal(t, http.StatusOK, try())
		for range 35 {
			require.Equal(t, http.StatusUnauthorized, try())
			time.Sleep(10 * time.Second) //nolint:forbidigo // the clock is that of the bubble
		}
		time.Sleep(11 * time.Second) //nolint:forbidigo // the clock is that of the bubble
		require.Equal(t, http.StatusOK, try())
	})
}

// brokenLimiter knows nothing of assertions.
type brokenLimiter struct{ err error }

func (l brokenLimiter) Take(context.Context, string, time.Duration, time.Duration) (time.Duration, error) {
	return 0, l.err
}

// TestNoTokenWhileNobodyKnows whether an assertion was used.
func TestNoTokenWhileNobodyKnows(t *testing.T) {
	t.Parallel()
	for _, err := range []error{bulkexport.ErrLimiterFull, errors.New("the database is away")} {
		n := newNode(t, func(cfg *authserver.Config) { cfg.Limiter, cfg.FailureLimit = brokenLimiter{err}, 5 })
		res := n.try(t, n.attempt())
		require.Equal(t, http.StatusServiceUnavailable, res.status)
		require.Equal(t, "temporarily_unavailable", res.Error)
		require.Equal(t, "5", res.header.Get("Retry-After"))
		require.NotContains(t, res.body, "database")
		_, _, log := n.log.take()
		require.Contains(t, log, err.Error())
		wrong := n.attempt()
		wrong.key = otherEC()
		require.Equal(t, http.StatusUnauthorized, n.try(t, wrong).status, "what is wrong stays so")
	}
}

// keysOf keeps what a limiter is asked.
type keysOf struct {
	bulkexport.Limiter
	mu   sync.Mutex
	keys map[string]bool
}

func (l *keysOf) Take(ctx context.Context, key string, cost, burst time.Duration) (time.Duration, error) {
	l.mu.Lock()
	l.keys[key] = true
	l.mu.Unlock()
	return l.Limiter.Take(ctx, key, cost, burst)
}

// TestLimiterKeys are short, differ, and say nothing.
func TestLimiterKeys(t *testing.T) {
	t.Parallel()
	limiter := &keysOf{Limiter: bulkexport.NewLimiter(), keys: map[string]bool{}}
	n := newNode(t, func(cfg *authserver.Config) { cfg.Limiter, cfg.FailureLimit = limiter, 5 })
	for _, id := range []string{"a", "b"} {
		a := n.attempt()
		a.claims["jti"] = id
		require.Equal(t, http.StatusOK, n.try(t, a).status)
	}
	wrong := n.attempt()
	wrong.key = otherEC()
	require.Equal(t, http.StatusUnauthorized, n.try(t, wrong).status)
	require.Len(t, limiter.keys, 4)
	for key := range limiter.keys {
		require.LessOrEqual(t, len(key), 255)
		require.NotContains(t, key, "127.0.0.1")
	}
}

func limited(cfg *authserver.Config) { cfg.FailureLimit = 3 }

// wrongKey is an attempt in the name of a client.
func (n *node) wrongKey(client string) *attempt {
	return n.attempt().of(client, client+"-1", otherEC())
}

// TestFailuresAreLimited where they come from, and nowhere else.
func TestFailuresAreLimited(t *testing.T) {
	t.Parallel()
	for _, client := range []string{"ec", "mallory"} { // known or not
		synctest.Test(t, func(t *testing.T) {
			n := direct(t, limited)
			here, there := "192.0.2.1:1234", "192.0.2.2:1234"
			for range 3 {
				require.Equal(t, http.StatusUnauthorized, n.from(t, here, n.wrongKey(client)).status)
			}
			res := n.from(t, here, n.wrongKey(client))
			require.Equal(t, http.StatusTooManyRequests, res.status)
			require.Equal(t, "slow_down", res.Error)
			require.Equal(t, "10", res.header.Get("Retry-After"))

			right := n.attempt().of(client, "ec-1", ecKey())
			require.Equal(t, http.StatusTooManyRequests, n.from(t, here, right).status, "nor with the right key")
			require.Equal(t, http.StatusOK, n.from(t, here, n.attempt().of("rsa", "rsa-1", rsaKey())).status)
			require.Equal(t, http.StatusOK, n.from(t, there, n.attempt()).status)
			require.Equal(t, http.StatusUnauthorized, n.from(t, there, n.wrongKey(client)).status)

			time.Sleep(1500 * time.Millisecond) //nolint:forbidigo // the clock is that of the bubble
			res = n.from(t, here, right)
			require.Equal(t, "9", res.header.Get("Retry-After"), "not too early")
			wait, err := strconv.Atoi(res.header.Get("Retry-After"))
			require.NoError(t, err)
			time.Sleep(time.Duration(wait) * time.Second) //nolint:forbidigo // the clock is that of the bubble
			require.Equal(t, http.StatusUnauthorized, n.from(t, here, n.wrongKey(client)).status)
			require.Equal(t, http.StatusTooManyRequests, n.from(t, here, n.wrongKey(client)).status)
		})
	}
}

// TestAddressIsLimited whoever it says that it is.
func TestAddressIsLimited(t *testing.T) {
	t.Parallel()
	for _, addresses := range [][]string{
		{"192.0.2.1:1", "192.0.2.1:2", "[::ffff:192.0.2.1]:3"},
		{"[2001:db8::1]:1", "[2001:db8::ffff:2]:1", "[2001:db8::3%eth0]:1"},
	} {
		synctest.Test(t, func(t *testing.T) {
			n := direct(t, limited)
			try := func(i int) answer {
				return n.from(t, addresses[i%len(addresses)], n.wrongKey(fmt.Sprint("mallory", i)))
			}
			for i := range 15 {
				require.Equal(t, http.StatusUnauthorized, try(i).status)
			}
			res := try(15)
			require.Equal(t, http.StatusTooManyRequests, res.status)
			require.Equal(t, "2", res.header.Get("Retry-After"))
			require.Equal(t, http.StatusTooManyRequests, n.from(t, addresses[0], n.attempt()).status)
			require.Equal(t, http.StatusOK, n.from(t, "[2001:db8:0:1::1]:1", n.attempt()).status)
			require.Equal(t, http.StatusOK, n.from(t, "no address", n.attempt()).status)
			time.Sleep(2 * time.Second) //nolint:forbidigo // the clock is that of the bubble
			require.Equal(t, http.StatusOK, n.from(t, addresses[1], n.attempt()).status)
		})
	}
}

// TestRefusedAddressesAreBounded: more than 10,000 at once are let through to the
// limiter, and those that have waited make room.
func TestRefusedAddressesAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := direct(t, func(cfg *authserver.Config) { cfg.FailureLimit = 1 })
		wrong := n.attempt()
		wrong.claims["exp"] = 1
		wrong.assertion = wrong.seal()
		fail := func(address string) {
			require.Equal(t, http.StatusUnauthorized, n.from(t, address, wrong).status)
			require.Equal(t, http.StatusTooManyRequests, n.from(t, address, wrong).status)
		}
		right := func(address string) int { return n.from(t, address, n.attempt()).status }
		for i := range 10_000 {
			fail(fmt.Sprint("address ", i))
		}
		require.Equal(t, http.StatusTooManyRequests, right("address 9999"))
		fail("one more")
		require.Equal(t, http.StatusOK, right("one more"))
		time.Sleep(10 * time.Second) //nolint:forbidigo // the clock is that of the bubble
		fail("another")
		require.Equal(t, http.StatusTooManyRequests, right("another"))
		require.Equal(t, http.StatusOK, right("address 9999"))
	})
}

// TestWhatIsNoFailure to authenticate does not count.
func TestWhatIsNoFailure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := direct(t, limited)
		for range 20 {
			a := n.attempt()
			a.form.Set("scope", "system/*.cud")
			require.Equal(t, "invalid_scope", n.from(t, "192.0.2.1:1", a).Error)
			a.form.Set("grant_type", "password")
			require.Equal(t, "unsupported_grant_type", n.from(t, "192.0.2.1:1", a).Error)
		}
		require.Equal(t, http.StatusOK, n.from(t, "192.0.2.1:1", n.attempt()).status)
	})
}

// TestAddressIsWhatTheHostSays: behind a proxy all requests come from there.
func TestAddressIsWhatTheHostSays(t *testing.T) {
	t.Parallel()
	n := newNode(t, limited, func(cfg *authserver.Config) {
		cfg.RemoteAddr = func(r *http.Request) string { return r.Header.Get("X-Real-IP") }
	})
	try := func(address string, a *attempt) int {
		a.header.Set("X-Real-IP", address)
		return n.try(t, a).status
	}
	for range 4 {
		try("192.0.2.1", n.wrongKey("ec"))
	}
	require.Equal(t, http.StatusTooManyRequests, try("192.0.2.1", n.attempt()))
	require.Equal(t, http.StatusOK, try("192.0.2.2", n.attempt()))
	_, refused, _ := n.log.take()
	require.Len(t, refused, 5)
	for _, event := range refused {
		require.Equal(t, "192.0.2.1", event.Address)
		require.Equal(t, "ec", event.Client)
	}
	require.Equal(t, http.StatusTooManyRequests, refused[4].Status)
}

// pipe is a listener with one connection.
type pipe chan net.Conn

func (p pipe) Accept() (net.Conn, error) {
	if conn, ok := <-p; ok {
		return conn, nil
	}
	return nil, net.ErrClosed
}

func (p pipe) Close() error {
	close(p)
	return nil
}

func (p pipe) Addr() net.Addr { return &net.TCPAddr{} }

// dial serves a handler to one client.
func dial(t *testing.T, handler http.Handler) net.Conn {
	t.Helper()
	client, conn := net.Pipe()
	listener := make(pipe, 1)
	listener <- conn
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		require.NoError(t, client.Close())
		require.NoError(t, server.Close())
		require.ErrorIs(t, <-served, http.ErrServerClosed)
	})
	return client
}

// TestSlowBody has clients that never send what they have announced.
func TestSlowBody(t *testing.T) {
	t.Parallel()
	for request, status := range map[string]int{
		"POST /auth/token":                      http.StatusBadRequest,
		"PUT /auth/token":                       http.StatusMethodNotAllowed,
		"GET /auth/jwks":                        http.StatusOK,
		"POST /.well-known/smart-configuration": http.StatusMethodNotAllowed,
		"POST /nowhere":                         http.StatusNotFound,
	} {
		synctest.Test(t, func(t *testing.T) {
			client := dial(t, direct(t).server)
			began := time.Now()
			_, err := fmt.Fprintf(client, "%s HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n"+
				"Content-Type: application/x-www-form-urlencoded\r\n\r\ngrant_type=", request)
			require.NoError(t, err)
			res, err := http.ReadResponse(bufio.NewReader(client), nil)
			require.NoError(t, err)
			require.Equal(t, status, res.StatusCode, request)
			require.NoError(t, res.Body.Close())
			require.Equal(t, 10*time.Second, time.Since(began).Truncate(time.Second))
		})
	}
}

// slowLimiter takes its time.
type slowLimiter struct{ bulkexport.Limiter }

func (l slowLimiter) Take(ctx context.Context, key string, cost, burst time.Duration) (time.Duration, error) {
	select {
	case <-time.After(time.Minute):
		return l.Limiter.Take(ctx, key, cost, burst)
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// TestBodyTimeEndsWithTheBody has a request that takes longer than its body may, and
// a host that has read the body already.
func TestBodyTimeEndsWithTheBody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := direct(t, func(cfg *authserver.Config) { cfg.Limiter = slowLimiter{bulkexport.NewLimiter()} })
		client := dial(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Body = io.NopCloser(bytes.NewReader(must(io.ReadAll(r.Body))))
			n.server.ServeHTTP(w, r)
		}))
		require.NoError(t, n.attempt().request(t.Context(), n.base).Write(client))
		res, err := http.ReadResponse(bufio.NewReader(client), nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, readAnswer(t, res).status)
	})
}
