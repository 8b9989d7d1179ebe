package bulkexport

import (
	"time"

	"github.com/cenkalti/backoff/v5"
)

// Claim says who works on something, so that one does at a time, and how often
// it came to nothing, so that it ends.
type Claim struct {
	// Attempt numbers the claims. A worker names its attempt in every update,
	// and is refused once a later one exists.
	Attempt int `json:"attempt"`
	// LeaseUntil is until when the current attempt is believed alive; zero when
	// there is none.
	LeaseUntil time.Time `json:"leaseUntil,omitzero"`
	// Failures counts attempts in a row that have achieved nothing.
	Failures int `json:"failures,omitempty"`
	// RetryAt is when the next attempt may begin; zero means at once.
	RetryAt time.Time `json:"retryAt,omitzero"`
}

// take gives the work to a new attempt. The attempt is counted as a failure
// until it achieves something, so that one which kills its process is counted.
func (c *Claim) take(now time.Time, lease time.Duration, maxAttempts int) error {
	switch {
	case now.Before(c.LeaseUntil):
		return errTaken
	case c.Failures >= maxAttempts:
		return errExhausted
	case c.pausing(now):
		return errTooEarly
	}
	c.Attempt++
	c.Failures++
	c.LeaseUntil = now.Add(lease)
	return nil
}

// The pause after a failed attempt grows from firstPause to maxPause, give or
// take pauseSpread of it. It holds for all processes, since it stands in the
// store.
const (
	firstPause  = 500 * time.Millisecond
	maxPause    = 30 * time.Second
	pauseSpread = 0.2
)

// newPauses returns a fresh row of pauses.
func newPauses() *backoff.ExponentialBackOff {
	return &backoff.ExponentialBackOff{
		InitialInterval: firstPause, MaxInterval: maxPause, Multiplier: 2, RandomizationFactor: pauseSpread,
	}
}

// pauseAfter returns the pause after so many failures in a row, at least 1.
func pauseAfter(failures int) time.Duration {
	pauses := newPauses()
	pause := pauses.NextBackOff()
	for range min(failures-1, 10) {
		pause = pauses.NextBackOff()
	}
	return pause
}

// pausing reports whether the next attempt has to wait. A longer pause than
// there is means that the clock was put back.
func (c *Claim) pausing(now time.Time) bool {
	return now.Before(c.RetryAt) && c.RetryAt.Sub(now) <= 2*maxPause
}

// release ends an attempt. One that was told to stop is not a failure.
func (c *Claim) release(now time.Time, failed bool) {
	c.LeaseUntil = time.Time{}
	switch {
	case !failed:
		c.Failures = max(c.Failures-1, 0)
	case c.Failures > 0:
		c.RetryAt = now.Add(pauseAfter(c.Failures))
	}
}

// achieved ends a row of failures.
func (c *Claim) achieved(until time.Time) {
	c.Failures, c.RetryAt, c.LeaseUntil = 0, time.Time{}, until
}

// due reports whether an attempt may begin.
func (c *Claim) due(now time.Time) bool {
	return !now.Before(c.LeaseUntil) && !c.pausing(now)
}

// failing reports whether the last attempt to have ended was a failure.
func (c *Claim) failing() bool { return !c.RetryAt.IsZero() }
