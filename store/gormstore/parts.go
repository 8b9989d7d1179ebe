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
	return s.writeJob(ctx, "set parts", s.dialect.lockJob, jobID, func(tx *sql.Tx) error {
		if _, err := selectJob(ctx, tx, jobID); err != nil {
			return err
		}
		var planned bool
		err := tx.QueryRowContext(ctx,
			"SELECT EXISTS (SELECT 1 FROM bulkexport_parts WHERE job_id = $1)", jobID).Scan(&planned)
		if err != nil || planned {
			return err
		}
		for batch := range slices.Chunk(parts, partsPerInsert) {
			if err := insertParts(ctx, tx, jobID, batch); err != nil {
				return err
			}
		}
		return nil
	})
}

func insertParts(ctx context.Context, tx *sql.Tx, jobID string, parts []bulkexport.Part) error {
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
	_, err := tx.ExecContext(ctx, statement.String(), args...)
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
	err := s.writeJob(ctx, "update part", s.dialect.shareJob, jobID, func(tx *sql.Tx) error {
		job, err := selectJob(ctx, tx, jobID)
		if err != nil {
			return err
		}
		part, err := selectPart(ctx, tx, jobID, index, s.dialect.forUpdate)
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
		_, err = tx.ExecContext(ctx,
			"UPDATE bulkexport_parts SET doc = $1 WHERE job_id = $2 AND idx = $3", doc, jobID, index)
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

func selectPart(
	ctx context.Context, tx *sql.Tx, jobID string, index int, lock string,
) (bulkexport.Part, error) {
	var doc []byte
	err := tx.QueryRowContext(ctx,
		"SELECT doc FROM bulkexport_parts WHERE job_id = $1 AND idx = $2"+lock, jobID, index).Scan(&doc)
	if errors.Is(err, sql.ErrNoRows) {
		return bulkexport.Part{}, bulkexport.ErrPartNotFound
	}
	if err != nil {
		return bulkexport.Part{}, err
	}
	return decodePart(doc)
}
