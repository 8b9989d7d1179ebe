package gormsource_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport/source/gormsource"
)

func testLoad(t *testing.T, open database) {
	const n = 9_000
	repo := newRepository(t, open(t))
	ndjson := small(n)
	stored, err := repo.Load(t.Context(), "", bytes.NewReader(ndjson), gormsource.LoadOptions{})
	require.NoError(t, err)
	require.EqualValues(t, n, stored)
	require.Equal(t, string(ndjson), strings.Join(read(t, repo, query("Patient")), "\n")+"\n")

	// Once more: each resource has a second version, and still there is one.
	stored, err = repo.Load(t.Context(), "", bytes.NewReader(ndjson[:len(ndjson)/5]), gormsource.LoadOptions{})
	require.ErrorIs(t, err, gormsource.ErrInvalidResource) // the last line is cut
	count, err := repo.Count(t.Context(), query("Patient"))
	require.NoError(t, err)
	require.EqualValues(t, n, count)
	require.Greater(t, stored, int64(1000))
}

// testLoadKeepsTypesTogether has types in turn: versions of one type are to be
// stored one after the other, and read in the order of the lines.
func testLoadKeepsTypesTogether(t *testing.T, open database) {
	db := open(t)
	repo := newRepository(t, db)
	var ndjson strings.Builder
	want := map[string][]string{}
	for i := range 300 {
		for _, resourceType := range []string{"Patient", "Observation", "Encounter"} {
			resource := fmt.Sprintf(`{"resourceType":%q,"id":"%d"}`, resourceType, 7919*i%300)
			want[resourceType] = append(want[resourceType], resource)
			ndjson.WriteString(resource + "\n")
		}
	}
	_, err := repo.Load(t.Context(), "", strings.NewReader(ndjson.String()), gormsource.LoadOptions{})
	require.NoError(t, err)
	for resourceType, resources := range want {
		require.Equal(t, resources, read(t, repo, query(resourceType)))
		var span int64
		const spanOf = "SELECT max(seq) - min(seq) FROM bulkexport_resources WHERE type = ?"
		require.NoError(t, db.Raw(spanOf, resourceType).Row().Scan(&span))
		require.EqualValues(t, 299, span, resourceType)
	}
}

func small(n int) []byte {
	var b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&b, `{"resourceType":"Patient","id":"%x","x":%d}`+"\n", uint32(i)*2654435761, i)
	}
	return b.Bytes()
}

func testLoadLines(t *testing.T, open database) {
	repo := newRepository(t, open(t))
	ndjson := "\n  \n" + `{"resourceType":"Patient","id":"1","x":1}` + "\r\n\n" +
		`{"resourceType":"Patient","id":"2"}` + "\n" + `{"resourceType":"Patient","id":"1","x":2}`
	stored, err := repo.Load(t.Context(), "", strings.NewReader(ndjson), gormsource.LoadOptions{})
	require.NoError(t, err)
	require.EqualValues(t, 3, stored)
	require.ElementsMatch(t, []string{
		`{"resourceType":"Patient","id":"1","x":2}`, `{"resourceType":"Patient","id":"2"}`,
	}, read(t, repo, query("Patient")))
}

func testLoadStopsAtBadLine(t *testing.T, open database) {
	repo := newRepository(t, open(t))
	lines := bytes.SplitAfter(small(1503), []byte("\n"))
	lines[1502] = []byte(`{"resourceType":"Patient","id":"secret","x":}` + "\n")
	lines = append(lines, small(1))
	stored, err := repo.Load(t.Context(), "", bytes.NewReader(bytes.Join(lines, nil)), gormsource.LoadOptions{})
	require.ErrorIs(t, err, gormsource.ErrInvalidResource)
	require.EqualError(t, err, "gormsource: load: line 1503: invalid resource: not valid JSON")
	require.EqualValues(t, 1502, stored)
	require.Len(t, read(t, repo, query("Patient")), 1502)
}

func testLoadReaderFails(t *testing.T, open database) {
	repo := newRepository(t, open(t))
	broken := errors.New("broken")
	ndjson := io.MultiReader(bytes.NewReader(small(3)), iotest.ErrReader(broken))
	stored, err := repo.Load(t.Context(), "", ndjson, gormsource.LoadOptions{})
	require.ErrorIs(t, err, broken)
	require.ErrorContains(t, err, "line 4")
	require.EqualValues(t, 3, stored)
	require.Len(t, read(t, repo, query("Patient")), 3)
}

func testLoadKeepsLastUpdated(t *testing.T, open database) {
	repo := newRepository(t, open(t))
	resource := func(id string, updated time.Time) string {
		return fmt.Sprintf(`{"resourceType":"Patient","id":%q,"meta":{"lastUpdated":%q}}`+"\n",
			id, updated.Format(time.RFC3339Nano))
	}
	past := time.Date(2020, 2, 3, 4, 5, 6, 789_000_000, time.FixedZone("", 7200))
	now := time.Now()
	ndjson := resource("past", past) + resource("future", now.AddDate(1, 0, 0)) +
		`{"resourceType":"Patient","id":"none"}` + "\n"
	keep := gormsource.LoadOptions{KeepLastUpdated: true}
	_, err := repo.Load(t.Context(), "", strings.NewReader(ndjson), keep)
	require.NoError(t, err)

	count := func(asOf time.Time) int {
		q := query("Patient")
		q.AsOf = asOf
		return len(read(t, repo, q))
	}
	at, err := repo.TransactionTime(t.Context(), "")
	require.NoError(t, err)
	require.Equal(t, 0, count(past.Add(-time.Millisecond)))
	require.Equal(t, 1, count(past))
	require.Equal(t, 1, count(now.Add(-time.Minute)))
	require.Equal(t, 3, count(at))

	// A resource that is there already gets a version of now.
	_, err = repo.Load(t.Context(), "", strings.NewReader(resource("past", past.AddDate(1, 0, 0))), keep)
	require.NoError(t, err)
	require.Equal(t, 1, count(past.AddDate(2, 0, 0)))
	require.Equal(t, 3, count(at))
	q := query("Patient")
	q.Since = at
	require.Len(t, read(t, repo, q), 1)
}
