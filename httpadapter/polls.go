package httpadapter

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/bulkexport/bulkexport"
)

// pollInterval is what a poll costs. No Retry-After is shorter, so whoever heeds
// it is never refused.
const pollInterval = time.Second

// polled is what is polled: a page of the status of a job, by a client.
type polled struct {
	caller bulkexport.Caller
	job    string
	page   int
}

// polling is what is known of the polls of something.
type polling struct {
	// freeAt is when all of them will be paid for.
	freeAt time.Time
	// last is when the last one came, whether refused or not.
	last time.Time
}

func (p polling) over(now time.Time) bool { return !p.freeAt.After(now) && !p.early(now) }

// early reports whether a poll by now would have heeded no Retry-After.
func (p polling) early(now time.Time) bool { return now.Before(p.last.Add(pollInterval)) }

// polls refuses clients that poll without heeding Retry-After (Bulk Data Access,
// "Bulk Data Status Request"), by what this process has seen. It is safe for
// concurrent use.
type polls struct {
	// limit is how many polls may come at once; none are refused if it is
	// negative.
	limit int

	mu   sync.Mutex
	seen recent[polled, polling]
}

func newPolls(limit int) *polls {
	return &polls{limit: limit, seen: newRecent[polled, polling]()}
}

// take counts a poll. If there are too many it is not counted, and wait is how long to
// wait; else it is 0. Early says that the poll has heeded no Retry-After.
func (p *polls) take(key polled) (wait time.Duration, early bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	known := p.seen.values[key]
	next := polling{freeAt: known.freeAt, last: now}
	if next.freeAt.Before(now) || p.limit < 0 {
		next.freeAt = now
	}
	paid := next.freeAt.Add(pollInterval)
	if wait = paid.Sub(now) - time.Duration(max(p.limit, 1))*pollInterval; wait <= 0 {
		wait, next.freeAt = 0, paid
	}
	p.seen.put(now, key, next) // what there is no room for is let through
	return wait, known.early(now)
}

// forget frees what is not to be polled any more.
func (p *polls) forget(key polled) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.seen.values, key)
}

// checkPoll refuses a poll that comes too early and too often. One that heeds
// Retry-After is for this process alone to count, so that it costs no I/O.
func (h *Handler) checkPoll(ctx context.Context, key polled) error {
	if h.cfg.PollLimit < 0 && h.cfg.TenantPolls == (Rate{}) {
		return nil
	}
	wait, early := h.polls.take(key)
	if wait == 0 && early {
		wait = h.limits.take(ctx, Rate{h.cfg.PollLimit, pollInterval},
			fmt.Sprintf("polls of page %d of %s by %s", key.page, key.job, clientKey(key.caller)))
	}
	if wait > 0 {
		return &rateError{"The status is asked for too often. Heed Retry-After.", wait}
	}
	if !early {
		return nil
	}
	if wait = h.limits.take(ctx, h.cfg.TenantPolls, "polls by "+tenantKey(key.caller)); wait > 0 {
		return &rateError{"The status of exports is asked for too often here. Heed Retry-After.", wait}
	}
	return nil
}
