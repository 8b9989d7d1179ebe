// Package conformance_test holds the library to what is demanded of a Bulk Data
// server, over HTTP: the statements of the implementation guide, the traps in
// it, what went wrong elsewhere, and what deployed clients expect.
//
// The demands are in statements.tsv, traps.tsv, peers.tsv and clients.tsv. Each
// has a subtest of its number, or tests in other modules (elsewhere.tsv), or a reason in
// exempt.tsv why it does not apply.
// docs/conformance.md is written from these and from the checks:
//
//	go test ./conformance -update
package conformance_test

import (
	"slices"
	"sync"
	"testing"

	"github.com/samber/lo"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// check proves some demands.
type check struct {
	// title says what is checked, for docs/conformance.md.
	title string
	ids   []string
	run   func(t *testing.T)
	// gap, if not empty, says what is still missing. The check is skipped.
	gap string
}

func ids(list ...string) []string { return list }

// checks are all there are.
func checks() []check {
	return slices.Concat(
		kickOffChecks(), bodyChecks(), parameterChecks(), timeChecks(), elementsChecks(), filterChecks(),
		levelChecks(), groupChecks(), provenanceChecks(), statusChecks(), pollingChecks(), failureChecks(), manifestChecks(),
		deletedChecks(), pageChecks(), fileChecks(), attachmentChecks(), blockChecks(), deleteChecks(),
		accessChecks(), capabilityChecks(), consistencyChecks(), diskChecks(),
	)
}

func TestConformance(t *testing.T) {
	t.Parallel()
	runList(t)
}

func TestTraps(t *testing.T) {
	t.Parallel()
	runList(t)
}

func TestPeers(t *testing.T) {
	t.Parallel()
	runList(t)
}

func TestClients(t *testing.T) {
	t.Parallel()
	runList(t)
}

// runList runs the checks of each demand of the list that the test is for, in a
// subtest that has its number. A check of several demands runs once.
func runList(t *testing.T) {
	t.Helper()
	results := map[string]*result{}
	for _, c := range checks() {
		results[c.title] = &result{}
	}
	for _, l := range lists(t) {
		if l.test != t.Name() {
			continue
		}
		for _, r := range l.rows {
			if found := checksOf(r.id); len(found) > 0 {
				t.Run(r.id, func(t *testing.T) { runAll(t, found, results) })
			}
		}
	}
}

// result is that of a check.
type result struct {
	sync.Once
	passed bool
}

func runAll(t *testing.T, found []check, results map[string]*result) {
	t.Helper()
	t.Parallel()
	for _, c := range found {
		t.Run(c.title, func(t *testing.T) {
			t.Parallel()
			if c.gap != "" {
				t.Skip("known gap: " + c.gap)
			}
			r := results[c.title]
			r.Do(func() {
				c.run(t)
				r.passed = !t.Failed()
			})
			require.True(t, r.passed, "it failed under the number of another demand")
		})
	}
}

func checksOf(id string) []check {
	var found []check
	for _, c := range checks() {
		if slices.Contains(c.ids, id) {
			found = append(found, c)
		}
	}
	return found
}

// TestEveryDemandIsMet fails when a demand has neither a check nor a reason, or
// has both, and when a number is in none of the lists.
func TestEveryDemandIsMet(t *testing.T) {
	t.Parallel()
	exempt, others, known := reasons(t), elsewhere(t), map[string]bool{}
	for _, l := range lists(t) {
		for _, r := range l.rows {
			require.False(t, known[r.id], "%s is listed twice", r.id)
			known[r.id] = true
			_, excused := exempt[r.id]
			tested := len(checksOf(r.id)) > 0
			_, there := others[r.id]
			require.Equal(t, 1, lo.Count([]bool{tested, excused, there}, true),
				"%s must have either a check, or tests elsewhere, or a reason why not", r.id)
		}
	}
	for id := range exempt {
		require.True(t, known[id], "%s in exempt.tsv is in no list", id)
	}
	for id := range others {
		require.True(t, known[id], "%s in elsewhere.tsv is in no list", id)
	}
	titles := map[string]bool{}
	for _, c := range checks() {
		require.False(t, titles[c.title], "two checks are called %q", c.title)
		titles[c.title] = true
		require.NotEmpty(t, c.ids, c.title)
		for _, id := range c.ids {
			require.True(t, known[id], "%s of the check %q is in no list", id, c.title)
		}
	}
}
