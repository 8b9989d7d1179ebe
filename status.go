package bulkexport

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/samber/lo"
)

// Status is what a client may know of its job.
type Status struct {
	// Job is the job. Look at Job.State first. What it points to is shared with
	// others, and not to be changed.
	Job Job
	// Progress is how far the export is.
	Progress Progress
	// RetryAfter is when a poll is worth while again, from the measured rate:
	// whole seconds, 1 to 120. Only for jobs that have not ended.
	RetryAfter time.Duration
	// Retrying is true while something is tried again, because an attempt has
	// failed and none has achieved anything since.
	Retrying bool

	// Ready is true when there is a manifest to show: that of a completed export,
	// or a page of one that runs, where the client allows that.
	Ready bool
	// Page is the number of the page, from 1. More is true if another one follows,
	// which may not be ready yet.
	Page int
	More bool
	// Files are the files on the page: all of them where there is but one.
	Files []OutputFile
	// URLsExpireAt is when the first URL of the files ends to work; zero if they have
	// none, see [OutputFile].
	URLsExpireAt time.Time
	// EmptyTypes are the types that were asked for by name and of which there is
	// no resource in the export. Dropped counts the resources that the host's
	// filter dropped. Only for completed exports, and not where pages were shown
	// before, which could not say so and must be like all others.
	EmptyTypes []string
	Dropped    int64
}

// Status returns the state of a job, with the first page of its manifest. A job
// that is not this caller's, has expired or was deleted is [ErrJobNotFound]. One
// with types that the caller may not export (any more) is [ErrInsufficientScope] (Bulk
// Data Access, "Bulk Data Status Request").
func (e *Exporter) Status(ctx context.Context, access Access, jobID string) (Status, error) {
	return e.StatusPage(ctx, access, jobID, 1)
}

// StatusPage is [Exporter.Status] with another page of the manifest (Bulk Data
// Access, "allowPartialManifests"). A page that can never be is
// [ErrFileNotFound]; one that may come is not Ready.
func (e *Exporter) StatusPage(ctx context.Context, access Access, jobID string, number int) (Status, error) {
	if !ValidJobID(jobID) {
		return Status{}, ErrJobNotFound
	}
	now, known := e.polled.look(ctx, jobID)
	// What is somebody else's is read all the same, since what does not exist is: the
	// time that an answer takes tells nobody which it was.
	if known && number == 1 && now.job.visibleTo(access.Caller, e.now()) {
		return e.running(access, now)
	}
	status, err := e.readStatus(ctx, access, jobID, number, now.revision)
	if err != nil || !status.Ready {
		return status, err
	}
	return e.withURLs(ctx, status)
}

// withURLs adds the URLs that the sink has for the files: for all or none, since a
// manifest says but once whether they need a token. A page with a block that ends on
// another page has none: there the URL of the file would be another one.
func (e *Exporter) withURLs(ctx context.Context, status Status) (Status, error) {
	sink, ok := e.cfg.Sink.(SinkURLs)
	if !ok {
		return status, nil
	}
	until := status.Job.ExpiresAt
	if until.IsZero() {
		until = e.now().Add(e.cfg.TTL)
	}
	files, first := slices.Clone(status.Files), time.Time{}
	for i, file := range files {
		if file.ContinuesIn != "" && !slices.ContainsFunc(files, func(f OutputFile) bool {
			return f.PublicName == file.ContinuesIn
		}) {
			return status, nil
		}
		url, expires, err := sink.FileURL(ctx, status.Job.ID, file.Name, until)
		switch {
		case err != nil:
			return Status{}, sinkFault("URL of file %s: %w", file.PublicName, err)
		case url == "":
			return status, nil
		}
		files[i].URL = url
		if first.IsZero() || expires.Before(first) {
			first = expires
		}
	}
	status.Files, status.URLsExpireAt = files, first
	return status, nil
}

// running returns the status of an export that has not ended and has no page to
// show.
func (e *Exporter) running(access Access, is standing) (Status, error) {
	if !covers(access, is.job) {
		return Status{}, ErrInsufficientScope
	}
	return Status{
		Job: is.job, Page: 1, More: is.more,
		Progress: is.progress, RetryAfter: retryAfter(is.job, is.progress, e.now()), Retrying: is.retrying,
	}, nil
}

// readStatus reads job and parts, which are at least of the revision.
func (e *Exporter) readStatus(
	ctx context.Context, access Access, jobID string, number int, revision int64,
) (Status, error) {
	job, err := e.job(ctx, access.Caller, jobID)
	if err != nil {
		return Status{}, err
	}
	if !covers(access, job) {
		return Status{}, ErrInsufficientScope
	}
	status := Status{Job: job, Page: number}
	if job.State == JobFailed {
		return status, nil
	}
	parts, err := e.cfg.Store.Parts(ctx, jobID)
	if err != nil {
		return Status{}, fmt.Errorf("read parts of job %s: %w", jobID, err)
	}
	pages := pagesOf(job, parts, e.cfg.ManifestFiles)
	status.Progress = progressOf(job, parts)
	status.Files, status.Ready, status.More = pages.at(number)
	switch {
	case number < 1, number > 1 && pages.last && !status.Ready:
		return Status{}, ErrFileNotFound
	case job.State == JobCompleted:
		if job.PublishedAt.IsZero() {
			status.EmptyTypes = emptyTypes(job, parts)
			status.Dropped = lo.SumBy(parts, func(p Part) int64 { return p.Dropped })
		}
		return status, nil
	}
	status.RetryAfter = retryAfter(job, status.Progress, e.now())
	status.Retrying = job.failing() || slices.ContainsFunc(parts, func(p Part) bool { return !p.Done && p.failing() })
	if status.Ready && job.PublishedAt.IsZero() {
		return e.publish(ctx, access, status)
	}
	if number == 1 && !status.Ready {
		e.polled.note(standing{revision, job, status.Progress, status.Retrying, status.More})
	}
	return status, nil
}

// publish notes that a page of a running export is shown, before it is. If the
// export has ended meanwhile, the status is another one.
func (e *Exporter) publish(ctx context.Context, access Access, status Status) (Status, error) {
	job, err := e.cfg.Store.UpdateJob(ctx, status.Job.ID, func(j *Job) error { return j.publish(e.now()) })
	switch {
	case errors.Is(err, errJobOver):
		return e.StatusPage(ctx, access, status.Job.ID, status.Page)
	case err != nil:
		return Status{}, fmt.Errorf("publish page of job %s: %w", status.Job.ID, err)
	}
	status.Job = job
	return status, nil
}

// emptyTypes tells a client "none" from "not exported".
func emptyTypes(job Job, parts []Part) []string {
	found := map[string]bool{}
	for _, part := range parts {
		for _, file := range part.Files {
			found[file.Type] = found[file.Type] || file.Kind == FileOutput
		}
		if part.Kind == PartBlocks {
			return nil // their files do not say which types they have
		}
	}
	return filter(job.Request.Types, func(name string) bool { return !found[name] })
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

// retryAfter estimates the time left, but no more than half of the time that
// the job has been there: a rate that was measured for a moment says little,
// and a client that waits too long has waited at most half as long again as the
// export took. Without a rate it is a quarter.
func retryAfter(job Job, p Progress, now time.Time) time.Duration {
	age := now.Sub(job.CreatedAt).Seconds()
	left := age / 4
	if !job.StartedAt.IsZero() && p.Done > 0 && p.Total > 0 {
		left = now.Sub(job.StartedAt).Seconds() / float64(p.Done) * float64(p.Total-p.Done)
	}
	left = min(left, age/2)
	return time.Duration(math.Round(min(max(left, minRetryAfter), maxRetryAfter))) * time.Second
}
