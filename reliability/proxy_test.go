//go:build unix

package reliability_test

import (
	"bytes"
	"net"
	"net/url"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// proxy stands between a server and its database, and is the network that
// fails. Its methods are safe for concurrent use.
type proxy struct {
	target   string
	listener net.Listener
	ended    sync.WaitGroup

	mu      sync.Mutex
	pairs   map[*pair]struct{}
	gate    chan struct{} // nil while bytes pass; closed when they do again
	trigger []byte        // what the client sends last; nil if there is nothing to wait for
}

// pair is a connection of a client and the one that goes on from there.
type pair struct {
	client, server net.Conn
	closed         chan struct{}
	close          func()
	lost           chan struct{} // closed when nothing passes any more, ever
	lose           func()
}

func startProxy(t *testing.T, target string) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{target: target, listener: listener, pairs: map[*pair]struct{}{}}
	p.ended.Go(p.accept)
	t.Cleanup(func() {
		_ = listener.Close()
		p.cut()
		p.ended.Wait()
	})
	return p
}

// startProxyTo returns a proxy to the server of a DSN, and the DSN that leads
// through it.
func startProxyTo(t *testing.T, dsn string) (p *proxy, through string) {
	t.Helper()
	u, err := url.Parse(dsn)
	require.NoError(t, err)
	p = startProxy(t, u.Host)
	u.Host = p.listener.Addr().String()
	return p, u.String()
}

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.target)
		if err != nil {
			_ = client.Close()
			continue
		}
		c := &pair{client: client, server: server, closed: make(chan struct{}), lost: make(chan struct{})}
		c.close = sync.OnceFunc(func() {
			close(c.closed)
			_, _ = client.Close(), server.Close()
		})
		c.lose = sync.OnceFunc(func() { close(c.lost) })
		p.mu.Lock()
		p.pairs[c] = struct{}{}
		p.mu.Unlock()
		p.ended.Go(func() { p.forward(c, server, client, true) })
		p.ended.Go(func() { p.forward(c, client, server, false) })
	}
}

// forward copies one direction until either end is closed.
func (p *proxy) forward(c *pair, to, from net.Conn, request bool) {
	defer p.end(c)
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 && p.pass(c) {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
			if request {
				p.pull(c, buf[:n])
			}
		}
		if err != nil {
			return
		}
	}
}

// end closes a connection. Of one that is lost the server does not even hear that.
func (p *proxy) end(c *pair) {
	select {
	case <-c.lost:
		_ = c.client.Close()
		return
	default:
	}
	c.close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.pairs, c)
}

// pass waits until bytes may pass. It returns false if they are lost.
func (p *proxy) pass(c *pair) bool {
	p.mu.Lock()
	gate := p.gate
	p.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-c.closed:
			return false
		}
	}
	select {
	case <-c.lost:
		return false
	default:
		return true
	}
}

// pull loses the connection if the client has sent what is waited for.
func (p *proxy) pull(c *pair, sent []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.trigger != nil && bytes.Contains(sent, p.trigger) {
		p.trigger = nil
		c.lose()
	}
}

// cut closes all connections, and returns how many there were.
func (p *proxy) cut() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.pairs {
		c.close()
	}
	return len(p.pairs)
}

// hold lets nothing pass, in either direction, until release is called. Both
// ends see connections that are merely silent.
func (p *proxy) hold() (release func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	gate := make(chan struct{})
	p.gate = gate
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.gate = nil
		close(gate)
	}
}

// lose makes all connections that there are silent for ever, as a router does
// that forgets them. New ones work.
func (p *proxy) lose() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.pairs {
		c.lose()
	}
}

// loseAfter does so with one connection, after the client has sent the text.
func (p *proxy) loseAfter(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.trigger = []byte(text)
}

// sprung reports whether that has happened.
func (p *proxy) sprung() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.trigger == nil
}
