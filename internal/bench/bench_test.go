package main

import (
	"bytes"
	"compress/gzip"
	"errors"
	"math"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestMain lets the command have itself for a child.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == childArgument {
		main()
		return
	}
	os.Exit(m.Run())
}

// TestMeasuresOnSQLite makes all measurements that need no other database, with
// sizes that say nothing about speed. Where both sides write the same rows, the
// command itself compares them, and fails.
func TestMeasuresOnSQLite(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("sqlite3"); err != nil {
		t.Skip("needs the sqlite3 shell: install the package sqlite3")
	}
	o := options{dir: t.TempDir(), rounds: 1, resources: 2000}
	results, err := measureAll(t.Context(), o)
	require.NoError(t, err)
	measured := map[int]bool{}
	for _, r := range results {
		if r.lacking != "" {
			continue
		}
		require.Greater(t, r.median.figure, 0.0, r.what)
		require.False(t, math.IsInf(r.median.figure, 0), r.what)
		measured[r.number] = true
	}
	for _, number := range []int{1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15} {
		require.True(t, measured[number], "goal %d", number)
	}
	left, err := os.ReadDir(o.dir)
	require.NoError(t, err)
	for _, entry := range left {
		require.Regexp(t, `\.db(-wal|-shm)?$`, entry.Name(), "only databases are kept")
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	results := []result{
		{
			goal:   goal{number: 3, what: "a | b", reference: "c", unit: "s", limit: 1.2, stretch: 0.9},
			median: measurement{reference: 2, export: 1, figure: 0.5, referenceCPU: 3, exportCPU: 4}, low: 0.25, high: 12,
		},
		{
			goal:   goal{number: 4, what: "d", atLeast: true, limit: 3},
			median: measurement{export: 1, figure: 2.999}, low: 1, high: 3,
		},
		{goal: goal{number: 7, what: "e", limit: 0.5}, lacking: "not available"},
	}
	var text strings.Builder
	require.NoError(t, report(t.Context(), &text, options{markdown: true, dir: t.TempDir()}, results))
	require.Contains(t, text.String(),
		"\n| # | what | against | reference | export | CPU | figure | goal | stretch | met |\n"+
			"|---|---|---|---|---|---|---|---|---|---|\n"+
			"| 3 | a \\| b | c | 2.00 s | 1.00 s | 3.00, 4.00 s | 0.500 (0.250 to 12.0) | ≤ 1.2 | ≤ 0.9 | stretch |\n"+
			"| 4 | d |  |  | 1.00 |  | 3.00 (1.00 to 3.00) | ≥ 3 |  | no |\n"+
			"| 7 | e |  |  |  |  | not available | ≤ 0.5 |  | not measured |\n")
}

func TestLinesAreComparedWhateverTheirOrder(t *testing.T) {
	t.Parallel()
	write := func(dir, name, text string) string {
		path := dir + "/" + name
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	reference := write(t.TempDir(), "reference", "a\nb\\\\\n"+`b\\`+"\n")
	equal := t.TempDir()
	write(equal, "1.ndjson", "b\\\n")
	write(equal, "2.ndjson", "b\\\na\n")
	require.NoError(t, same(reference, uncopied, equal))

	var zipped bytes.Buffer
	zip := gzip.NewWriter(&zipped)
	_, err := zip.Write([]byte("b\\\na\n"))
	require.NoError(t, errors.Join(err, zip.Close()))
	write(equal, "2.ndjson.gz", zipped.String())
	require.NoError(t, os.Remove(equal+"/2.ndjson"))
	require.NoError(t, same(reference, uncopied, equal))

	other := t.TempDir()
	write(other, "1.ndjson", "a\nb\\\na\n")
	require.ErrorIs(t, same(reference, uncopied, other), errDifferent)
}

func TestQuantile(t *testing.T) {
	t.Parallel()
	require.InDelta(t, 2, median([]float64{3, 1, 2}), 0)
	require.InDelta(t, 2, median([]float64{4, 3, 2, 1}), 0)
	require.InDelta(t, 99, quantile(upTo(100), 0.99), 0)
	require.True(t, math.IsNaN(median(nil)))
}

func upTo(n int) []float64 {
	values := make([]float64, n)
	for i := range values {
		values[i] = float64(n - i)
	}
	return values
}
