package smart

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// RemoteConfig says how a [RemoteKeySet] asks for its keys. Zero fields have
// defaults.
type RemoteConfig struct {
	// AllowHTTP admits http URLs: for tests and servers on the same machine.
	AllowHTTP bool
	// Client makes the requests. Its redirect policy, cookies and time-out are not
	// used. By default a private one, which knows no proxy.
	Client *http.Client
	// Timeout ends a fetch. By default 5 s.
	Timeout time.Duration
	// MinInterval is the least time between two fetches, whatever asks for them:
	// unknown key ids, "no-store" and short ages. By default 5 s.
	MinInterval time.Duration
	// MaxAge bounds how long keys are used without a new fetch; a Cache-Control
	// header of the response may only shorten it. By default 1 h.
	MaxAge time.Duration
	// StaleTime is how long after the last successful fetch keys may be used while
	// fetches fail. By default 24 h; none if negative.
	StaleTime time.Duration
}

// The bounds of what is fetched.
const (
	maxKeySetBytes = 256 << 10
	maxRedirects   = 3
	maxBackOff     = time.Minute
)

// RemoteKeySet is a JWK Set behind a URL, for example of an issuer. Make one with
// [NewRemoteKeySet]; nothing is fetched before the first use. It is safe for
// concurrent use and has no goroutines: one caller fetches and all others who
// need it wait for that, no longer than their contexts last.
//
// Keys are fetched anew when they are as old as Cache-Control or
// [RemoteConfig.MaxAge] allows, and when a key id is unknown, but not more often
// than once per [RemoteConfig.MinInterval]. So a key that was published before
// its first use works at once, unless the set was fetched right before it was
// published. A fetch that succeeds replaces all keys.
//
// While fetches fail, the old keys work on for [RemoteConfig.StaleTime], and
// fetches become less frequent, down to one per minute.
type RemoteKeySet struct {
	url    string
	cfg    RemoteConfig
	client *http.Client

	mu      sync.Mutex
	state   fetched
	running chan struct{} // closed when the fetch that runs has ended; nil if none runs
}

// fetched is what is known from the fetches up to now.
type fetched struct {
	keys       *StaticKeySet // nil before the first success
	freshUntil time.Time
	staleUntil time.Time
	next       time.Time // not before this another fetch
	failures   int       // since the last success
	err        error     // of the last fetch
}

// NewRemoteKeySet returns the key set behind a URL. The URL must come from the
// configuration of the host or the registration of a client, never from a token:
// the server fetches it. It must be absolute, https unless cfg.AllowHTTP, and
// without user and fragment.
func NewRemoteKeySet(rawURL string, cfg RemoteConfig) (*RemoteKeySet, error) {
	if err := checkURL(rawURL, cfg.AllowHTTP); err != nil {
		return nil, fmt.Errorf("URL of key set: %w", err)
	}
	cfg.Timeout = orDefault(cfg.Timeout, 5*time.Second)
	cfg.MinInterval = orDefault(cfg.MinInterval, 5*time.Second)
	cfg.MaxAge = orDefault(cfg.MaxAge, time.Hour)
	cfg.StaleTime = orDefault(cfg.StaleTime, 24*time.Hour)
	return &RemoteKeySet{url: rawURL, cfg: cfg, client: guarded(cfg.Client, maxRedirects)}, nil
}

// Key implements [KeySource]. The caller that fetches is not interrupted when its
// context ends, for the sake of the others, but held up by no more than
// [RemoteConfig.Timeout].
func (s *RemoteKeySet) Key(ctx context.Context, kid, alg string) (crypto.PublicKey, error) {
	// The fetch that is waited for first may have begun before a key was published.
	for waits := 0; ; waits++ {
		key, running, err := s.lookUp(ctx, kid, alg, waits < 2)
		if running == nil {
			return key, err
		}
		select {
		case <-running:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for key set: %w", ctx.Err())
		}
	}
}

// lookUp answers from what is known. If that may not be enough, it fetches first,
// or returns what to wait for.
func (s *RemoteKeySet) lookUp(
	ctx context.Context, kid, alg string, patient bool,
) (crypto.PublicKey, <-chan struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	key, err := s.state.key(ctx, kid, alg, now)
	switch {
	case !patient, err == nil && now.Before(s.state.freshUntil):
		return key, nil, err
	case s.running != nil && err == nil && s.state.failures > 0:
		return key, nil, nil // no need to wait for what has failed before
	case s.running != nil:
		return nil, s.running, nil
	case now.Before(s.state.next):
		return key, nil, err
	}
	s.running = make(chan struct{})
	s.fetch(ctx)
	key, err = s.state.key(ctx, kid, alg, time.Now())
	return key, nil, err
}

// key returns a key that is fresh, or old while no fetch succeeds.
func (f fetched) key(ctx context.Context, kid, alg string, now time.Time) (crypto.PublicKey, error) {
	if f.keys == nil || f.failures > 0 && !now.Before(f.staleUntil) {
		return nil, fmt.Errorf("there is no key set: %w", f.reason())
	}
	key, err := f.keys.Key(ctx, kid, alg)
	if err != nil && f.failures > 0 {
		return nil, fmt.Errorf("there is no new key set: %w", f.reason())
	}
	return key, err
}

func (f fetched) reason() error {
	if f.err == nil {
		return errors.New("it was not fetched yet")
	}
	return f.err
}

// fetch is called with the lock held, and gives it up while it waits.
func (s *RemoteKeySet) fetch(ctx context.Context) {
	s.mu.Unlock()
	began := time.Now()
	var keys *StaticKeySet
	var allowed time.Duration
	err := errors.New("fetch panicked")
	defer func() {
		s.mu.Lock()
		if err == nil {
			s.state = succeeded(keys, allowed, s.cfg, began)
		} else {
			s.state = s.state.failed(err, s.cfg, time.Now())
		}
		close(s.running)
		s.running = nil
	}()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.Timeout)
	defer cancel()
	keys, allowed, err = s.get(ctx)
}

// succeeded returns the state after a fetch that brought keys.
func succeeded(keys *StaticKeySet, allowed time.Duration, cfg RemoteConfig, began time.Time) fetched {
	return fetched{
		keys:       keys,
		freshUntil: began.Add(max(min(allowed, cfg.MaxAge), cfg.MinInterval)),
		staleUntil: began.Add(cfg.StaleTime),
		next:       began.Add(cfg.MinInterval),
	}
}

// failed returns the state after a fetch that brought nothing.
func (f fetched) failed(err error, cfg RemoteConfig, now time.Time) fetched {
	f.err, f.failures = err, f.failures+1
	pause := cfg.MinInterval << min(f.failures-1, 16)
	f.next = now.Add(max(min(pause, maxBackOff), cfg.MinInterval))
	return f
}

// get fetches once. It returns how long the answer may be kept.
func (s *RemoteKeySet) get(ctx context.Context) (*StaticKeySet, time.Duration, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, http.NoBody)
	if err != nil {
		return nil, 0, fmt.Errorf("fetch key set: %w", err)
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	body, header, err := ask(s.client, req, maxKeySetBytes)
	if err != nil {
		return nil, 0, fmt.Errorf("fetch key set: %w", err)
	}
	keys, _, err := readKeySet(body)
	return keys, mayKeep(header, s.cfg.MaxAge), err
}
