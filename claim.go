package bulkexport

import "time"

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
	case now.Before(c.RetryAt):
		return errTooEarly
	}
	c.Attempt++
	c.Failures++
	c.LeaseUntil = now.Add(lease)
	return nil
}

// The pause after a failed attempt doubles from firstPause to maxPause. It is
// the same for all processes, since it stands in the store.
const (
	firstPause = 500 * time.Millisecond
	maxPause   = 30 * time.Second
)

// release ends an attempt. One that was told to stop is not a failure.
func (c *Claim) release(now time.Time, failed bool) {
	c.LeaseUntil = time.Time{}
	switch {
	case !failed:
		c.Failures = max(c.Failures-1, 0)
	case c.Failures > 0:
		c.RetryAt = now.Add(min(firstPause<<min(c.Failures-1, 10), maxPause))
	}
}

// achieved ends a row of failures.
func (c *Claim) achieved(until time.Time) {
	c.Failures, c.RetryAt, c.LeaseUntil = 0, time.Time{}, until
}

// due reports whether an attempt may begin.
func (c *Claim) due(now time.Time) bool {
	return !now.Before(c.LeaseUntil) && !now.Before(c.RetryAt)
}
