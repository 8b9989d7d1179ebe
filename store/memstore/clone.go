package memstore

import (
	"maps"
	"slices"
	"time"

	"github.com/bulkexport/bulkexport"
)

// The functions here name every field that holds memory of its own or a time.
// Package storetest finds by reflection one that is missing.

func cloneJob(job bulkexport.Job) bulkexport.Job {
	req := &job.Request
	req.Types = slices.Clone(req.Types)
	req.Elements = slices.Clone(req.Elements)
	req.Patients.IDs = slices.Clone(req.Patients.IDs)
	req.Associated = slices.Clone(req.Associated)
	req.TypeFilters = slices.Clone(req.TypeFilters)
	req.Ignored = slices.Clone(req.Ignored)
	toUTC(
		&job.CreatedAt, &job.StartedAt, &job.EndedAt, &job.Deadline, &job.ExpiresAt, &job.ReadUntil, &job.PublishedAt,
		&job.TransactionTime, &req.Since, &req.Until, &job.LeaseUntil, &job.RetryAt,
	)
	return job
}

func clonePart(part bulkexport.Part) bulkexport.Part {
	part.After = slices.Clone(part.After)
	part.UpTo = slices.Clone(part.UpTo)
	part.Cursor = slices.Clone(part.Cursor)
	part.Files = slices.Clone(part.Files)
	for i := range part.Files {
		part.Files[i].Severities = maps.Clone(part.Files[i].Severities)
		part.Files[i].Gzip = slices.Clone(part.Files[i].Gzip)
	}
	toUTC(&part.LeaseUntil, &part.RetryAt)
	return part
}

func cloneParts(parts []bulkexport.Part) []bulkexport.Part {
	clones := make([]bulkexport.Part, len(parts))
	for i, part := range parts {
		clones[i] = clonePart(part)
	}
	return clones
}

// toUTC also takes off the monotonic clock, as a store on disk would.
func toUTC(times ...*time.Time) {
	for _, t := range times {
		*t = t.Round(0).UTC()
	}
}
