package httpadapter

import (
	"sync"
	"time"

	"github.com/bulkexport/bulkexport"
)

// pollInterval is what a poll costs. No Retry-After is shorter, so whoever heeds
// it is never refused.
const pollInterval = time.Second

// The bounds of what is remembered: from sweepPolled on, what is past is swept
// out; polls beyond maxPolled, some MiB, are let through uncounted.
const (
	sweepPolled = 1000
	maxPolled   = 10_000
)

// polled is what is polled: a page of the status of a job, by a client.
type polled struct {
	caller bulkexport.Caller
	job    string
	page   int
}

// polls refuses clients that poll without heeding Retry-After (Bulk Data Access,
// "Bulk Data Status Request"). Each process counts for itself. It is safe for
// concurrent use.
type polls struct {
	// limit is how many polls may come at once; none are refused if it is
	// negative.
	limit int

	mu sync.Mutex
	// freeAt is when all polls will be paid for. Times that are past say nothing:
	// what is not there is as good.
	freeAt  map[polled]time.Time
	sweptAt time.Time
}

func newPolls(limit int) *polls {
	return &polls{limit: limit, freeAt: map[polled]time.Time{}}
}

// take counts a poll. If it comes too early it is not counted, and the result is
// how long to wait; else it is 0.
func (p *polls) take(key polled) time.Duration {
	if p.limit < 0 {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	freeAt, known := p.freeAt[key]
	if !known && !p.room(now) {
		return 0
	}
	if freeAt.Before(now) {
		freeAt = now
	}
	freeAt = freeAt.Add(pollInterval)
	if wait := freeAt.Sub(now) - time.Duration(p.limit)*pollInterval; wait > 0 {
		return wait
	}
	p.freeAt[key] = freeAt
	return 0
}

// room reports whether there is some for one more key.
func (p *polls) room(now time.Time) bool {
	if len(p.freeAt) >= sweepPolled && now.Sub(p.sweptAt) >= pollInterval {
		p.sweptAt = now
		for key, freeAt := range p.freeAt {
			if !freeAt.After(now) {
				delete(p.freeAt, key)
			}
		}
	}
	return len(p.freeAt) < maxPolled
}

// forget frees what is not to be polled any more.
func (p *polls) forget(key polled) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.freeAt, key)
}
