package httpadapter

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/bulkexport/bulkexport"
)

// Rate allows Burst at once, and one more each Every. The zero value means no limit.
type Rate struct {
	// Burst is at least 1.
	Burst int
	// Every is at least a millisecond, and Burst times Every at most
	// [bulkexport.MaxBurst].
	Every time.Duration
}

func (r Rate) valid() bool {
	return r == (Rate{}) ||
		r.Burst >= 1 && r.Every >= time.Millisecond && r.Every <= bulkexport.MaxBurst/time.Duration(r.Burst)
}

const rateRule = "must have a Burst from 1 and an Every from 1 ms, whose product is at most 7 days"

// rateError refuses what comes too often.
type rateError struct {
	// what is a text for the client.
	what       string
	retryAfter time.Duration
}

func (e *rateError) Error() string { return e.what }

// limitPatience is how long a request waits to be counted. A store that takes longer
// is in trouble, and the limit is not what will end that.
const limitPatience = 2 * time.Second

// limitLogInterval is how often at most the log says that nothing can be counted.
const limitLogInterval = time.Minute

// limits counts requests with a limiter. While that is in trouble it lets them through:
// limits protect the server from its clients, not its data.
type limits struct {
	limiter bulkexport.Limiter
	log     *slog.Logger
	// logAt is when trouble may be logged again: a time.Duration since begun.
	logAt atomic.Int64
	begun time.Time
}

func newLimits(limiter bulkexport.Limiter, log *slog.Logger) *limits {
	return &limits{limiter: limiter, log: log, begun: time.Now()}
}

// take counts one for the key. If that is too much it is not counted, and the result
// is how long to wait; else it is 0.
func (l *limits) take(ctx context.Context, rate Rate, key string) time.Duration {
	if rate.Burst <= 0 {
		return 0
	}
	limited, cancel := context.WithTimeout(ctx, limitPatience)
	defer cancel()
	wait, err := l.limiter.Take(limited, key, rate.Every, rate.Every*time.Duration(rate.Burst))
	if err == nil {
		return wait
	}
	now, due := time.Since(l.begun), l.logAt.Load()
	if ctx.Err() == nil && int64(now) >= due && l.logAt.CompareAndSwap(due, int64(now+limitLogInterval)) {
		l.log.ErrorContext(ctx, "count requests; they are let through", "error", err)
	}
	return 0
}

// clientKey and tenantKey name callers, no two of them the same.
func clientKey(caller bulkexport.Caller) string {
	return fmt.Sprintf("client %q of %s", caller.Client, tenantKey(caller))
}

func tenantKey(caller bulkexport.Caller) string { return fmt.Sprintf("tenant %q", caller.Tenant) }

// checkKickOff counts a kick-off, whatever becomes of it.
func (h *Handler) checkKickOff(ctx context.Context, caller bulkexport.Caller) error {
	own, all := h.cfg.ClientKickOffs, h.cfg.TenantKickOffs
	if wait := h.limits.take(ctx, own, "kick-offs by "+clientKey(caller)); wait > 0 {
		return &rateError{"This client starts exports too often.", wait}
	}
	if wait := h.limits.take(ctx, all, "kick-offs by "+tenantKey(caller)); wait > 0 {
		// The client has paid for this one, so that sooner it might be refused again.
		return &rateError{"Exports are started too often here.", max(wait, own.Every)}
	}
	return nil
}
