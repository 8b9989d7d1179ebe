package sinktest

import "github.com/bulkexport/bulkexport"

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
func RunCase(name string, t Tester, sink bulkexport.OutputSink, reopen func() bulkexport.OutputSink) {
	for _, c := range allCases() {
		if c.String() == name {
			c.run(&env{tester: t, sink: sink, reopen: reopen})
		}
	}
}
