package main

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport/internal/pgserver"
	"github.com/bulkexport/bulkexport/internal/scaling/model"
)

var update = flag.Bool("update", false, "write the tables of docs/scaling.md anew")

const documentFile = "../../docs/scaling.md"

// TestDocument compares the tables of docs/scaling.md with those that the constants
// make.
func TestDocument(t *testing.T) {
	t.Parallel()
	costs, err := model.Measured()
	require.NoError(t, err)
	text, err := os.ReadFile(documentFile)
	require.NoError(t, err)
	document := string(text)
	runs := simulateAll(costs)
	for _, r := range runs {
		require.True(t, r.result.Ended, r.size)
		require.Equal(t, r.Resources(), r.result.Written, r.size)
	}
	for _, want := range tablesOf(runs, costs) {
		begin, end := "<!-- table: "+want.title+" -->\n", "<!-- end -->\n"
		head, rest, found := strings.Cut(document, begin)
		require.True(t, found, want.title)
		is, tail, found := strings.Cut(rest, end)
		require.True(t, found, want.title)
		if *update {
			document = head + begin + want.text + end + tail
			continue
		}
		require.True(t, is == want.text, "%q is not up to date; run: go test ./internal/scaling -update", want.title)
	}
	if *update {
		require.NoError(t, os.WriteFile(documentFile, []byte(document), 0o644))
	}
}

// TestRealRunsAreCompared makes one real run that is too small to say anything about
// time.
func TestRealRunsAreCompared(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts a server")
	}
	if !pgserver.Installed() {
		t.Skip("needs PostgreSQL: install the package postgresql")
	}
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("needs processor times of other processes, as Linux has them in /proc")
	}
	var output strings.Builder
	err := command(t.Context(), []string{
		"-check", "-resources", "10000", "-rounds", "1", "-only", "full speed: 1 worker",
	}, &output)
	if err != nil && strings.Contains(err.Error(), "pg_stat_statements") {
		t.Skip("needs PostgreSQL's contrib modules: install the package postgresql-contrib")
	}
	require.NoError(t, err)
	require.Contains(t, output.String(), "| full speed: 1 worker |")
}

func TestProcessorTimeIsRead(t *testing.T) {
	t.Parallel()
	const line = "7 (a) b) S 3 7 7 0 -1 4194560 100 200 0 0 150 50 25 75 20 0 1 0 5 0 0"
	s, err := parseStat(7, line)
	require.NoError(t, err)
	require.Equal(t, stat{pid: 7, parent: 3, own: 3}, s)
	_, err = parseStat(7, "7 (a) S 3")
	require.Error(t, err)
}

func TestFlags(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{}, {"-check", "-tables"}, {"-measure", "-resources", "10"}, {"-tables", "operand"}, {"-check", "-rounds", "0"},
	} {
		require.Error(t, command(t.Context(), args, &strings.Builder{}), "%q", args)
	}
}

func TestAmounts(t *testing.T) {
	t.Parallel()
	for want, is := range map[string]string{
		"12": count(12.3), "1,200": count(1234), "540,000": count(543_210), "12 million": count(12.3e6),
		"1.5 billion": count(1.46e9), "1,500,000": count(1.46e6), "990": count(993), "1,000": count(1000), "0": count(0),
		"1.2 kB": size(1234), "990 B": size(991), "150 TB": size(145e12),
		"0.44 ms": span(0.00044), "89 s": span(89), "1.6 min": span(96), "90 min": span(5399), "1.5 h": span(5400),
		"47 h": span(47 * hour), "2.1 d": span(2.1 * day),
	} {
		require.Equal(t, want, is)
	}
}
