package conformance_test

import (
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// row is an entry of a list: a demand with its number.
type row struct {
	id string
	// columns are what follows the number.
	columns []string
}

// list is a file of demands.
type list struct {
	// test is the name of the test that has a subtest for each row.
	test, file string
	// names are the columns, the number included.
	names []string
	rows  []row
}

// lists reads all demands.
func lists(t *testing.T) []list {
	t.Helper()
	var all []list
	for _, l := range []list{
		{test: "TestConformance", file: "statements.tsv"},
		{test: "TestTraps", file: "traps.tsv"},
		{test: "TestPeers", file: "peers.tsv"},
		{test: "TestClients", file: "clients.tsv"},
	} {
		table := readTable(t, l.file)
		l.names = append([]string{table[0].id}, table[0].columns...)
		l.rows = table[1:]
		all = append(all, l)
	}
	return all
}

// readTable reads a file of tab-separated columns, all lines of which have as
// many as the first, the header.
func readTable(t *testing.T, file string) []row {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	var rows []row
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		require.NotContains(t, cells, "", "%s: %q has an empty cell", file, line)
		rows = append(rows, row{cells[0], cells[1:]})
		require.Len(t, cells, len(rows[0].columns)+1, "%s: %q", file, line)
	}
	require.NotEmpty(t, rows, file)
	return rows
}

// elsewhere reads which tests outside of this module's show that a demand is met, and
// looks whether they are there.
func elsewhere(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, r := range readTable(t, "elsewhere.tsv")[1:] {
		require.NotContains(t, found, r.id)
		file, tests := r.columns[0], strings.Fields(r.columns[1])
		text, err := os.ReadFile(filepath.Join("..", filepath.FromSlash(file)))
		require.NoError(t, err)
		for _, name := range tests {
			require.Contains(t, string(text), "\nfunc "+name+"(t *testing.T) {\n", "%s: %s", r.id, file)
		}
		found[r.id] = path.Dir(file) + ": " + strings.Join(tests, ", ")
	}
	return found
}

// reasons reads why a demand does not bind this library.
func reasons(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, r := range readTable(t, "exempt.tsv")[1:] {
		require.NotContains(t, found, r.id)
		found[r.id] = r.columns[0]
	}
	return found
}
