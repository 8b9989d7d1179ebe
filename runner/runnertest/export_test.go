package runnertest

import "testing"

// Tester is what the self-test implements to watch a case fail.
type Tester = tester

// CaseNames returns the names of all cases.
func CaseNames() []string {
	var names []string
	for _, c := range allCases() {
		names = append(names, c.String())
	}
	return names
}

// RunCase runs one case.
func RunCase(t *testing.T, name string, complaints Tester, h Harness) {
	for _, c := range allCases() {
		if c.String() == name {
			c.try(t, complaints, h)
		}
	}
}
