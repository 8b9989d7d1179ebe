package gormsource_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport/source/gormsource"
)

// testOneConnection writes from within streams, with the connection that they
// read with.
func testOneConnection(t *testing.T, open database) {
	db := open(t)
	pool, err := db.DB()
	require.NoError(t, err)
	pool.SetMaxOpenConns(1)
	repo := newRepository(t, db)
	putPatients(t, repo, 20, 0)
	seen := 0
	for _, err := range repo.Resources(t.Context(), query("Patient")) {
		require.NoError(t, err)
		putPatients(t, repo, 1, seen)
		for range repo.Resources(t.Context(), query("Patient")) {
			break
		}
		seen++
	}
	require.Equal(t, 20, seen)
}

func putPatients(t *testing.T, repo *gormsource.Repository, n, size int) {
	t.Helper()
	for i := range n {
		resource := fmt.Sprintf(`{"resourceType":"Patient","id":"%d-%d","x":"%s"}`, i, size, strings.Repeat("x", size))
		_, err := repo.Put(t.Context(), "", []byte(resource))
		require.NoError(t, err)
	}
}

// testUnevenSizes has resources that a batch of so many rows cannot hold.
func testUnevenSizes(t *testing.T, open database) {
	repo := newRepository(t, open(t))
	putPatients(t, repo, 70, 10)
	putPatients(t, repo, 5, 3<<20)
	putPatients(t, repo, 70, 20)
	putPatients(t, repo, 1, 9<<20)
	putPatients(t, repo, 70, 30)
	found := read(t, repo, query("Patient"))
	require.Len(t, found, 3*70+6)
	for i, resource := range found {
		require.True(t, strings.HasSuffix(resource, `"}`), i)
		require.NotContains(t, found[:i], resource)
	}
}
