package httpadapter

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/bulkexport/bulkexport"
)

// authorize returns what the caller may do. Access that is open is that of the
// caller without a name.
func (h *Handler) authorize(r *http.Request) (bulkexport.Access, error) {
	if h.cfg.Open {
		return bulkexport.Access{}, nil
	}
	if h.shut.any() { // else the address need not be looked at
		if wait := h.shut.wait(h.loginAddress(r)); wait > 0 {
			return bulkexport.Access{}, tooManyFailures(wait)
		}
	}
	access, err := h.cfg.Authorize(r)
	if errors.Is(err, ErrUnauthenticated) && hasCredentials(r) {
		if wait := h.countFailure(r.Context(), h.loginAddress(r)); wait > 0 {
			return bulkexport.Access{}, tooManyFailures(wait)
		}
	}
	return access, err
}

func tooManyFailures(wait time.Duration) error {
	return &rateError{"There were too many requests from this address whose credentials are not valid.", wait}
}

// countFailure counts a failed authentication, unless the address is empty. If there are
// too many, the result is for how long the address is shut out.
func (h *Handler) countFailure(ctx context.Context, from string) time.Duration {
	if from == "" {
		return 0
	}
	wait := h.limits.take(ctx, h.cfg.FailedLogins, "failed logins from "+from)
	if wait > 0 {
		h.shut.out(from, wait)
	}
	return wait
}

// hasCredentials reports whether a request has any. Without, it is a question, not a
// try: clients ask that way what they need. Some send a scheme with nothing after it.
func hasCredentials(r *http.Request) bool {
	_, credentials, _ := strings.Cut(strings.TrimSpace(r.Header.Get("Authorization")), " ")
	return credentials != ""
}

// loginAddress returns the address for which failed authentications are counted, empty
// if they are not. Whoever has an IPv6 address mostly has 2^64 of them.
func (h *Handler) loginAddress(r *http.Request) string {
	if h.cfg.FailedLogins.Burst <= 0 {
		return ""
	}
	remote := h.cfg.RemoteAddr(r)
	addr, err := netip.ParseAddr(remote)
	switch {
	case h.ownRemote && (err != nil || addr.IsPrivate() || addr.IsLoopback() || addr.IsLinkLocalUnicast()):
		return "" // it may be that of a proxy, and so that of everybody
	case err == nil && addr.Is6() && !addr.Is4In6():
		network, _ := addr.Prefix(64)
		return network.String()
	}
	return remote
}

// until is when something is over.
type until time.Time

func (u until) over(now time.Time) bool { return !time.Time(u).After(now) }

// shutOut are addresses whose credentials are not looked at for now, by what this
// process has seen. It is safe for concurrent use.
type shutOut struct {
	mu    sync.Mutex
	until recent[string, until]
}

func newShutOut() *shutOut { return &shutOut{until: newRecent[string, until]()} }

// any reports whether there may be an address that is shut out.
func (s *shutOut) any() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.until.values) > 0
}

// wait returns how long the address is shut out, 0 if it is not.
func (s *shutOut) wait(from string) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return max(0, time.Until(time.Time(s.until.values[from])))
}

// out shuts an address out. One that there is no room for is refused after its
// credentials have been looked at.
func (s *shutOut) out(from string, wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.until.put(now, from, until(now.Add(wait)))
}
