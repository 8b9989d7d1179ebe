package gormsource_test

import (
	"context"
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
		for range repo.Blocks(t.Context(), query("Patient"), []string{"Patient"}) {
			putPatients(t, repo, 1, seen)
			break
		}
		for range repo.Lookup(t.Context(), query("Patient"), []string{"0-0"}) {
			putPatients(t, repo, 1, seen)
		}
		seen++
	}
	require.Equal(t, 20, seen)
}

// testNoMoment reads without AsOf, in several batches, while everything changes.
func testNoMoment(t *testing.T, open database) {
	repo := newRepository(t, open(t))
	putPatients(t, repo, 150, 10)
	before := read(t, repo, query("Patient"))
	var during []string
	for r, err := range repo.Resources(t.Context(), query("Patient")) {
		require.NoError(t, err)
		if len(during) == 0 {
			putPatients(t, repo, 150, 10)
			putPatients(t, repo, 10, 20)
		}
		during = append(during, string(r.JSON))
	}
	require.Equal(t, before, during)
}

// testCancelled has a consumer that is slow: what has been read by then is not
// handed out any more.
func testCancelled(t *testing.T, open database) {
	repo := newRepository(t, open(t))
	putPatients(t, repo, 5, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var seen int
	var last error
	for _, err := range repo.Resources(ctx, query("Patient")) {
		cancel()
		seen++
		last = err
	}
	require.Equal(t, 2, seen)
	require.ErrorIs(t, last, context.Canceled)
}

// testSplitIsEven has ranges of exactly the size that is asked for, but for a rest.
func testSplitIsEven(t *testing.T, open database) {
	repo := newRepository(t, open(t))
	putPatients(t, repo, 90, 1)
	for size, want := range map[int64][]int{
		1000: {90}, 90: {90}, 89: {89, 1}, 45: {45, 45}, 40: {40, 40, 10}, 30: {30, 30, 30}, 29: {29, 29, 29, 3},
	} {
		cuts, err := repo.Split(t.Context(), query("Patient"), size)
		require.NoError(t, err)
		var got []int
		q := query("Patient")
		for _, cut := range append(cuts, nil) {
			q.UpTo = cut
			got = append(got, len(read(t, repo, q)))
			q.After = cut
		}
		require.Equal(t, want, got, size)
	}
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
