package authserver

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/bulkexport/bulkexport"
)

const (
	// failureCost is the time after which a client may fail once more at one address.
	failureCost = 10 * time.Second
	// addressFactor is how much more an address may fail for all client ids.
	addressFactor = 5
	// maxRefused bounds what is remembered. More addresses than that at once are let
	// through to the limiter.
	maxRefused = 10_000
)

// failures counts failed authentications, by client and address and by address
// alone. The limiter counts only what has failed; who is over the limit is remembered
// here, so that it is refused without a look at its signature.
type failures struct {
	limiter bulkexport.Limiter
	limit   time.Duration // -1: none
	now     func() time.Time

	mu      sync.Mutex
	refused map[string]time.Time // until when, by key
}

func newFailures(limiter bulkexport.Limiter, limit int, now func() time.Time) *failures {
	return &failures{limiter: limiter, limit: time.Duration(limit), now: now, refused: map[string]time.Time{}}
}

// failureKeys are those under which failures at an address count: all of them, and
// those in the name of a client, which may be the empty one.
func failureKeys(address, client string) (all, own string) {
	if ip, err := netip.ParseAddr(address); err == nil {
		ip = ip.Unmap()
		prefix, _ := ip.Prefix(min(ip.BitLen(), 64)) // drops a zone, and cannot fail
		address = prefix.String()
	}
	return limiterKey("address", address), limiterKey("client", client, address)
}

// wait returns how long a client is refused at an address. It counts nothing.
func (f *failures) wait(address, client string) time.Duration {
	all, own := failureKeys(address, client)
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	return max(f.refused[all].Sub(now), f.refused[own].Sub(now), 0)
}

// count takes note of a failure. It returns how long the next try has to wait, 0 if
// it need not.
func (f *failures) count(ctx context.Context, address, client string) (time.Duration, error) {
	if f.limit < 0 {
		return 0, nil
	}
	all, own := failureKeys(address, client)
	// The address goes first: it bounds how many keys it can make.
	wait, err := f.take(ctx, all, failureCost/addressFactor, addressFactor)
	if wait > 0 || err != nil {
		return wait, err
	}
	return f.take(ctx, own, failureCost, 1)
}

func (f *failures) take(ctx context.Context, key string, cost, factor time.Duration) (time.Duration, error) {
	wait, err := f.limiter.Take(ctx, key, cost, cost*f.limit*factor)
	if wait > 0 {
		f.refuse(key, wait)
	}
	return wait, err
}

// refuse remembers that a key has to wait.
func (f *failures) refuse(key string, wait time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	if len(f.refused) >= maxRefused {
		for key, until := range f.refused {
			if !until.After(now) {
				delete(f.refused, key)
			}
		}
	}
	if len(f.refused) < maxRefused {
		f.refused[key] = now.Add(wait)
	}
}
