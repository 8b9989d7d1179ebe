package memsource

import "time"

// clock hands out times in whole milliseconds, none of which goes back. Since
// the exporter rounds transactionTime down to milliseconds, nothing finer would
// do: what was put just before a kick-off would be missing from the export.
type clock struct {
	last time.Time
	// cut is the last transactionTime. No change may be stamped so early.
	cut time.Time
}

func (c *clock) stamp(now time.Time) time.Time {
	c.advance(now)
	if !c.last.After(c.cut) {
		c.last = c.cut.Add(time.Millisecond)
	}
	return c.last
}

func (c *clock) transactionTime(now time.Time) time.Time {
	c.advance(now)
	c.cut = c.last
	return c.cut
}

func (c *clock) advance(now time.Time) {
	if now = now.UTC().Truncate(time.Millisecond); now.After(c.last) {
		c.last = now
	}
}
