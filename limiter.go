package bulkexport

import (
	"context"
	"crypto/sha256"
	"errors"
	"sync"
	"time"
)

// Limiter bounds how often something happens. A [JobStore] that is one as well
// counts for all processes that share it; [NewLimiter] counts in this process.
//
// A key owes nothing at first. Each Take adds its cost to what the key owes, and
// that goes down by itself, by one second each second. So burst/cost may happen at
// once, and one more each cost; and where both are the same it happens once in that
// time, and not again.
//
// It is safe for concurrent use: of several calls at once, no more and no fewer
// succeed than if one came after the other.
type Limiter interface {
	// Take adds cost to what the key owes, unless that would be more than burst
	// then. In that case it adds nothing, and wait, which is positive, is how long it
	// will take until it would not, if there is no other Take meanwhile. Otherwise
	// wait is 0.
	//
	// Cost is at least a millisecond and at most burst, burst at most [MaxBurst];
	// both are counted to the millisecond at least, and wait is rounded up to it.
	// The key is any string, and keys that differ in a byte owe nothing together.
	//
	// An error means that nobody knows, and cost may have been added or not. It is
	// the context's where that has ended, and [ErrLimiterFull] where there are too
	// many keys to count one more.
	Take(ctx context.Context, key string, cost, burst time.Duration) (wait time.Duration, err error)
}

// MaxBurst is the most that a key of a [Limiter] may owe. What owes more has been
// counted by a clock that was ahead, and may be forgotten.
const MaxBurst = 7 * 24 * time.Hour

// ErrLimiterFull is what [Limiter.Take] returns for a new key when it counts as many
// as it can.
var ErrLimiterFull = errors.New("too many keys to count")

// The bounds of what a limiter in memory counts: from sweepKeys on, what is paid
// for is swept out, at most once a second.
const (
	sweepKeys = 1000
	maxKeys   = 100_000
)

// NewLimiter returns a limiter that counts in memory, for this process, up to
// 100,000 keys that owe something, which takes some 10 MiB however long they are.
// It works without I/O, and fails only with [ErrLimiterFull] or the error of a
// context that has ended. Changes of the wall clock do not matter to it.
func NewLimiter() Limiter {
	return &memoryLimiter{freeAt: map[[sha256.Size]byte]time.Time{}}
}

type memoryLimiter struct {
	mu sync.Mutex
	// freeAt is when a key, known by its hash, will owe nothing. Times that are past
	// say nothing: what is not there is as good.
	freeAt  map[[sha256.Size]byte]time.Time
	sweptAt time.Time
}

// Take implements [Limiter].
func (l *memoryLimiter) Take(ctx context.Context, key string, cost, burst time.Duration) (time.Duration, error) {
	hash := sha256.Sum256([]byte(key))
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	now := time.Now()
	freeAt, known := l.freeAt[hash]
	if !known && !l.room(now) {
		return 0, ErrLimiterFull
	}
	if freeAt.Before(now) {
		freeAt = now
	}
	freeAt = freeAt.Add(cost)
	if wait := freeAt.Sub(now) - burst; wait > 0 {
		return roundUp(wait), nil
	}
	l.freeAt[hash] = freeAt
	return 0, nil
}

func roundUp(wait time.Duration) time.Duration {
	return (wait + time.Millisecond - 1).Truncate(time.Millisecond)
}

// room reports whether there is some for one more key.
func (l *memoryLimiter) room(now time.Time) bool {
	if len(l.freeAt) >= sweepKeys && now.Sub(l.sweptAt) >= time.Second {
		l.sweptAt = now
		for key, freeAt := range l.freeAt {
			if !freeAt.After(now) {
				delete(l.freeAt, key)
			}
		}
	}
	return len(l.freeAt) < maxKeys
}

// Limiter returns what counts for all processes that share the store, if the store
// can, and else for this one.
func (e *Exporter) Limiter() Limiter { return e.limiter }
