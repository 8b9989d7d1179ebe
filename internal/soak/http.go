//go:build unix

package main

import (
	"context"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"time"
)

// client is one that the servers know by its token.
type client struct{ name, tenant, token string }

// call is a request, as yet to no server in particular.
type call struct {
	method, path, token string
	header              map[string]string
	body                string
}

// reply is an answer, read to its end.
type reply struct {
	status int
	header http.Header
	body   string
	// began is when the request was sent, tries how many were sent before without
	// an answer: each of them may have had its effect.
	began time.Time
	tries int
}

// newHTTPClient returns one that takes in little at a time, so that a slow
// download is one for the server as well.
func newHTTPClient(clients int) *http.Client {
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		if tcp, ok := conn.(*net.TCPConn); ok {
			err = tcp.SetReadBuffer(256 << 10)
		}
		return conn, err
	}
	return &http.Client{Transport: &http.Transport{
		DialContext: dial, DisableCompression: true, MaxIdleConnsPerHost: 2 * clients,
	}}
}

// open sends a request to a server. The caller closes the body of the response.
func (s *soak) open(ctx context.Context, to *server, c call) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, c.method, to.base+c.path, strings.NewReader(c.body))
	if err != nil {
		return nil, err
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	for name, value := range c.header {
		req.Header.Set(name, value)
	}
	return s.http.Do(req)
}

// patience is how long an answer may take: longer than a server is frozen.
const patience = 30 * time.Second

// once sends a request to a server and reads the answer.
func (s *soak) once(ctx context.Context, to *server, c call) (reply, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	began := time.Now()
	resp, err := s.open(ctx, to, c)
	if err != nil {
		return reply{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, string(body), began, 0}, err
}

// do sends a request to any server until there is an answer that is not an
// excuse. The error is that of ctx.
func (s *soak) do(ctx context.Context, rng *rand.Rand, c call) (reply, error) {
	for tries := 0; ; tries++ {
		to, err := s.cluster.pick(ctx, rng)
		if err != nil {
			return reply{}, err
		}
		if c.method != http.MethodGet || strings.Contains(c.path, "$export") {
			s.cluster.offer(rng, to.slot, 60)
		}
		r, err := s.once(ctx, to, c)
		if ctx.Err() != nil {
			return reply{}, ctx.Err()
		}
		if s.answered(to, c, r, err) {
			r.tries = tries
			return r, nil
		}
		pause(ctx, between(rng, 10*time.Millisecond, 200*time.Millisecond))
	}
}

// answered reports whether there is an answer. That there is none, or an excuse,
// has to have a fault for its reason.
func (s *soak) answered(to *server, c call, r reply, err error) bool {
	switch {
	case err != nil:
		if !to.wasDisturbed() {
			s.violate("%s %s: no answer of server %d, which nobody disturbed: %v", c.method, c.path, to.index, err)
		}
		s.count.unanswered.Add(1)
		return false
	case r.status == http.StatusServiceUnavailable:
		if s.cluster.calm() {
			s.violate("%s %s: 503 of server %d without a reason: %s", c.method, c.path, to.index, r.body)
		}
		s.count.busy.Add(1)
		return false
	}
	return true
}
