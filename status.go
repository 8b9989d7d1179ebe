package bulkexport

import (
	"math"
	"time"
)

// Status is what a client may know of its job.
type Status struct {
	// Job is the job. Look at Job.State first.
	Job Job
	// Progress is how far the export is.
	Progress Progress
	// RetryAfter is when a poll is worth while again, from the measured rate:
	// whole seconds, 1 to 120. Only for jobs that have not ended.
	RetryAfter time.Duration
	// Files are the output and error files of a completed export.
	Files []OutputFile
}

// Progress counts resources. It only grows while a job runs.
type Progress struct {
	// Done is how many resources were processed. Total is how many there are to
	// process, or -1 as long as that is not known. Counts may be estimates.
	Done, Total int64
	// Complete is true when the job is completed.
	Complete bool
}

// Fraction returns the progress as a number from 0 to 1, in hundredths, and
// whether it is known. It is 1 only when the job is completed.
func (p Progress) Fraction() (float64, bool) {
	switch {
	case p.Complete:
		return 1, true
	case p.Total < 0:
		return 0, false
	case p.Total == 0:
		return 0, true
	}
	return min(math.Round(100*float64(p.Done)/float64(p.Total))/100, 0.99), true
}

// progressOf adds up the parts. Since counts may be estimates, the total gives
// way where more was found, and follows what a finished part really had.
func progressOf(job Job, parts []Part) Progress {
	if job.State == JobAccepted {
		return Progress{Total: -1}
	}
	sum := Progress{Complete: job.State == JobCompleted}
	for _, p := range parts {
		sum.Done += p.Seen
		switch {
		case sum.Total < 0:
		case p.Done:
			sum.Total += p.Seen
		case p.Total < 0:
			sum.Total = -1
		default:
			sum.Total += max(p.Total, p.Seen)
		}
	}
	return sum
}

// The bounds of Retry-After in seconds. Longer ones make clients give up.
const (
	minRetryAfter = 1
	maxRetryAfter = 120
)

// retryAfter estimates the time left, or, as long as there is no rate to tell
// it from, grows with the time that the job has been there.
func retryAfter(job Job, p Progress, now time.Time) time.Duration {
	left := now.Sub(job.CreatedAt).Seconds() / 4
	if !job.StartedAt.IsZero() && p.Done > 0 && p.Total > 0 {
		left = now.Sub(job.StartedAt).Seconds() / float64(p.Done) * float64(p.Total-p.Done)
	}
	return time.Duration(math.Round(min(max(left, minRetryAfter), maxRetryAfter))) * time.Second
}
