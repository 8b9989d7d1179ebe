package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/fhir"
	"github.com/bulkexport/bulkexport/source/gormsource"
)

// TestCopiesAreLikeLoaded has a Repository read what SQL has multiplied.
func TestCopiesAreLikeLoaded(t *testing.T) {
	t.Parallel()
	const patients, others, copies = 3, 2, 4
	path := filepath.Join(t.TempDir(), "copies.db")
	require.NoError(t, makeDatabase(t.Context(), path, func(db *gorm.DB) error {
		if err := load(t.Context(), db, smallRecords(patients, others)); err != nil {
			return err
		}
		return multiply(db, copies)
	}))
	db, err := openSQLite(path, measured)
	require.NoError(t, err)
	defer closeDatabase(db, &err)
	repository, err := gormsource.NewRepository(db, gormsource.RepositoryConfig{})
	require.NoError(t, err)

	everything := bulkexport.Query{Scope: bulkexport.Scope{Level: bulkexport.LevelSystem}}
	require.Len(t, read(t, repository, everything, "Patient"), patients*copies)
	require.Len(t, read(t, repository, everything, "Observation"), patients*others*copies)

	// What a patient of a copy has is of that copy.
	group := fmt.Sprintf(`{"resourceType":"Group","id":"g","type":"person","actual":true,`+
		`"member":[{"entity":{"reference":"Patient/c%05d-p%d"}}]}`, copies-1, patients-1)
	require.NoError(t, load(t.Context(), db, strings.NewReader(group)), "more can be loaded")
	of := bulkexport.Query{Scope: bulkexport.Scope{Level: bulkexport.LevelGroup, Group: "g"}}
	require.Equal(t, []string{"c00003-p2"}, read(t, repository, of, "Patient"))
	require.Equal(t, []string{"c00003-2-0", "c00003-2-1"}, read(t, repository, of, "Observation"))
}

// read returns the ids.
func read(t *testing.T, repository *gormsource.Repository, q bulkexport.Query, resourceType string) (ids []string) {
	t.Helper()
	q.Type = resourceType
	seen := map[string]bool{}
	for resource, err := range repository.Resources(t.Context(), q) {
		require.NoError(t, err)
		found, err := fhir.Identify(resource.JSON)
		require.NoError(t, err)
		require.False(t, seen[found.ID], found.ID)
		seen[found.ID] = true
		ids = append(ids, found.ID)
	}
	return ids
}
