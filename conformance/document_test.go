package conformance_test

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write docs/conformance.md anew")

const documentFile = "../docs/conformance.md"

// TestDocument compares docs/conformance.md with what is checked.
func TestDocument(t *testing.T) {
	t.Parallel()
	text := writeDocument(t)
	if *update {
		require.NoError(t, os.WriteFile(documentFile, []byte(text), 0o644))
	}
	committed, err := os.ReadFile(documentFile)
	require.NoError(t, err)
	require.True(t, string(committed) == text, "%s is not up to date; run: go test ./conformance -update", documentFile)
}

const documentHead = `# Conformance

What is demanded of a FHIR Bulk Data server, and which test shows that this library does it. The demands
are those of [Bulk Data Access](https://hl7.org/fhir/uv/bulkdata/) 3.0.0 (STU3) with what STU1 and STU2
clients rely on, in our own words: the guide decides, not this page. After them come the questions that the
texts leave open, with what was decided, what went wrong in other servers, and what deployed clients and
public test suites expect.

Every test runs over HTTP: a client against a server on the memory adapters, and for the whole flow on
SQLite and files. The configuration is the default one unless the demand is about another. By default, two
statements are met in part only: DELETE is answered 204 (D-02; 202 with Strict), and a client that accepts
application/json alone gets OperationOutcome as that (S-07). Run them, or one of them:

` + "```sh\ngo test ./conformance\ngo test ./conformance -run 'TestConformance/M-03$'\n```" + `

This page is written from the lists in the folder conformance and from the tests, by
` + "`go test ./conformance -update`" + `. A test fails when it is not up to date, and when a demand has neither
a test nor a reason why it does not apply.

`

// section is a table of the document.
type section struct{ prefix, title string }

func sections() []section {
	return []section{
		{"K", "Kick-off"}, {"P", "Parameters"}, {"L", "Levels and population"}, {"S", "Status"}, {"M", "Manifest"},
		{"F", "Files"}, {"D", "Delete"}, {"A", "Security"}, {"C", "Capabilities"}, {"B", "Bulk Cohort API"},
		{"T", "Decisions where the texts leave a choice"}, {"W", "What went wrong elsewhere"},
		{"R", "What clients and test suites expect"},
	}
}

// writer writes the document.
type documentWriter struct {
	strings.Builder
	exempt, elsewhere           map[string]string
	demands, tested, not, unmet int
}

func writeDocument(t *testing.T) string {
	t.Helper()
	w := &documentWriter{exempt: reasons(t), elsewhere: elsewhere(t)}
	all := lists(t)
	written := 0
	for _, s := range sections() {
		for _, l := range all {
			written += w.section(s, l)
		}
	}
	total := 0
	for _, l := range all {
		total += len(l.rows)
	}
	require.Equal(t, total, written, "every demand is in one section")
	counts := fmt.Sprintf("%d demands: %d tested, %d that do not apply or are not offered, %d not yet met.\n",
		w.demands, w.tested, w.not, w.unmet)
	return documentHead + counts + w.String()
}

// section writes those rows of a list that belong to a section, and returns how
// many these are.
func (w *documentWriter) section(s section, l list) int {
	rows := slices.DeleteFunc(slices.Clone(l.rows), func(r row) bool { return !strings.HasPrefix(r.id, s.prefix+"-") })
	if len(rows) == 0 {
		return 0
	}
	header := append(slices.Clone(l.names), "shown by "+l.test)
	fmt.Fprintf(w, "\n## %s\n\n", s.title)
	w.cells(header)
	w.cells(slices.Repeat([]string{"---"}, len(header)))
	for _, r := range rows {
		w.cells(append(append([]string{r.id}, r.columns...), w.how(r.id)))
	}
	return len(rows)
}

func (w *documentWriter) cells(list []string) {
	w.WriteString("| " + coded(strings.Join(list, " | ")) + " |\n")
}

// special finds words that Markdown would take for something else.
var special = regexp.MustCompile(`[^\s|;()"]*[_$*\[][^\s|;()"]*[^\s|;,.()":]`)

// coded puts such words between backticks.
func coded(text string) string { return special.ReplaceAllString(text, "`$0`") }

// how says how a demand is met.
func (w *documentWriter) how(id string) string {
	w.demands++
	if reason, ok := w.exempt[id]; ok {
		w.not++
		return "n/a: " + reason
	}
	if tests, ok := w.elsewhere[id]; ok {
		w.tested++
		return tests
	}
	var titles, gaps []string
	for _, c := range checksOf(id) {
		titles = append(titles, c.title)
		if c.gap != "" {
			gaps = append(gaps, c.gap)
		}
	}
	if len(gaps) > 0 {
		w.unmet++
		return "NOT YET MET: " + strings.Join(gaps, "; ")
	}
	w.tested++
	return strings.Join(titles, "; ")
}
