package gormstore

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/bulkexport/bulkexport"
)

// Documents are the JSON of the contract's types, with times in UTC. Errors
// name the kind of document and leave out what is in it.

func encodeJob(job bulkexport.Job) (string, error) {
	toUTC(
		&job.CreatedAt, &job.StartedAt, &job.EndedAt, &job.Deadline, &job.ExpiresAt, &job.ReadUntil,
		&job.PublishedAt, &job.TransactionTime, &job.Request.Since, &job.Request.Until, &job.LeaseUntil, &job.RetryAt,
	)
	doc, err := json.Marshal(job)
	if err != nil {
		return "", fmt.Errorf("encode job: %w", err)
	}
	return string(doc), nil
}

func encodePart(part bulkexport.Part) (string, error) {
	toUTC(&part.LeaseUntil, &part.RetryAt)
	doc, err := json.Marshal(part)
	if err != nil {
		return "", fmt.Errorf("encode part: %w", err)
	}
	return string(doc), nil
}

func decodeJob(doc []byte) (job bulkexport.Job, err error) {
	if err := json.Unmarshal(doc, &job); err != nil {
		return bulkexport.Job{}, fmt.Errorf("decode job: %w", err)
	}
	return job, nil
}

func decodePart(doc []byte) (part bulkexport.Part, err error) {
	if err := json.Unmarshal(doc, &part); err != nil {
		return bulkexport.Part{}, fmt.Errorf("decode part: %w", err)
	}
	return part, nil
}

func toUTC(times ...*time.Time) {
	for _, t := range times {
		*t = t.UTC()
	}
}

// expiry is the value of the column expires_at: NULL is never selected.
func expiry(t time.Time) sql.NullInt64 {
	return sql.NullInt64{Int64: t.UnixMicro(), Valid: !t.IsZero()}
}

// storable reports whether both databases and JSON keep s as it is.
func storable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsRune(s, 0)
}
