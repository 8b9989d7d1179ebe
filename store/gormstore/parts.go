package gormstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/bulkexport/bulkexport"
)

// partsPerInsert keeps a statement below the 999 placeholders of old SQLite
// libraries.
const partsPerInsert = 400

// SetParts implements [bulkexport.JobStore].
func (s *Store) SetParts(ctx context.Context, jobID string, parts []bulkexport.Part) error {
	return s.writeJob(ctx, "set parts", s.dialect.lockJob, jobID, func(ctx context.Context, db session) error {
		if _, err := selectJob(ctx, db, jobID); err != nil {
			return err
		}
		var planned bool
		err := db.QueryRowContext(ctx,
			"SELECT EXISTS (SELECT 1 FROM bulkexport_parts WHERE job_id = $1)", jobID).Scan(&planned)
		if err != nil || planned {
			return err
		}
		for batch := range slices.Chunk(parts, partsPerInsert) {
			if err := insertParts(ctx, db, jobID, batch); err != nil {
				return err
			}
		}
		return nil
	})
}

func insertParts(ctx context.Context, db session, jobID string, parts []bulkexport.Part) error {
	var statement strings.Builder
	statement.WriteString("INSERT INTO bulkexport_parts (job_id, idx, doc) VALUES ")
	args := []any{jobID}
	for i, part := range parts {
		doc, err := encodePart(part)
		if err != nil {
			return err
		}
		if i > 0 {
			statement.WriteString(", ")
		}
		args = append(args, part.Index, doc)
		fmt.Fprintf(&statement, "($1, $%d, $%d)", len(args)-1, len(args))
	}
	_, err := db.ExecContext(ctx, statement.String(), args...)
	return err
}

// Parts implements [bulkexport.JobStore].
func (s *Store) Parts(ctx context.Context, jobID string) ([]bulkexport.Part, error) {
	const name = "list parts"
	if !storable(jobID) {
		return nil, explain(ctx, name, bulkexport.ErrJobNotFound)
	}
	// One statement sees one state: a job without parts is a row with NULL, and
	// no row is no job.
	docs, err := s.queryDocs(ctx, name, `SELECT p.doc FROM bulkexport_jobs j
		LEFT JOIN bulkexport_parts p ON p.job_id = j.id WHERE j.id = $1 ORDER BY p.idx`, jobID)
	switch {
	case err != nil:
		return nil, err
	case len(docs) == 0:
		return nil, fmt.Errorf("gormstore: %s: %w", name, bulkexport.ErrJobNotFound)
	case docs[0] == nil:
		return []bulkexport.Part{}, nil
	}
	parts := make([]bulkexport.Part, len(docs))
	for i, doc := range docs {
		if parts[i], err = decodePart(doc); err != nil {
			return nil, fmt.Errorf("gormstore: %s: %w", name, err)
		}
	}
	return parts, nil
}

// UpdatePart implements [bulkexport.JobStore]. An error of fn is returned as it
// is.
func (s *Store) UpdatePart(
	ctx context.Context, jobID string, index int,
	fn func(bulkexport.Job, *bulkexport.Part) error,
) (bulkexport.Part, error) {
	var stored bulkexport.Part
	err := s.writeJob(ctx, "update part", s.dialect.shareJob, jobID, func(ctx context.Context, db session) error {
		job, part, err := selectPart(ctx, db, jobID, index, s.dialect.forUpdate)
		if err != nil {
			return err
		}
		if err := fn(job, &part); err != nil {
			return refusal{err}
		}
		doc, err := encodePart(part)
		if err != nil {
			return err
		}
		_, err = db.ExecContext(ctx,
			"UPDATE bulkexport_parts SET doc = $1, revision = revision + 1 WHERE job_id = $2 AND idx = $3",
			doc, jobID, index)
		if err != nil {
			return err
		}
		stored, err = decodePart([]byte(doc))
		return err
	})
	if err != nil {
		return bulkexport.Part{}, err
	}
	return stored, nil
}

// selectPart returns a part with its job.
func selectPart(
	ctx context.Context, db session, jobID string, index int, lock string,
) (job bulkexport.Job, part bulkexport.Part, err error) {
	var jobDoc, partDoc []byte
	err = db.QueryRowContext(ctx, `SELECT j.doc, p.doc FROM bulkexport_parts p
		JOIN bulkexport_jobs j ON j.id = p.job_id WHERE p.job_id = $1 AND p.idx = $2`+lock,
		jobID, index).Scan(&jobDoc, &partDoc)
	if errors.Is(err, sql.ErrNoRows) {
		if job, err = selectJob(ctx, db, jobID); err == nil {
			err = bulkexport.ErrPartNotFound
		}
		return job, part, err
	}
	if err != nil {
		return job, part, err
	}
	if job, err = decodeJob(jobDoc); err != nil {
		return job, part, err
	}
	part, err = decodePart(partDoc)
	return job, part, err
}
