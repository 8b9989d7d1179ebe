//go:build unix

package main

import (
	"fmt"
	"maps"
	"slices"
	"text/tabwriter"
)

// report adds a line to the table of the mode.
func (t *table) report(what, format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rows = append(t.rows, [2]string{what, fmt.Sprintf(format, args...)})
}

// sample adds a value to those of a name, which has the unit in it.
func (t *table) sample(name string, value float64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.samples == nil {
		t.samples = map[string][]float64{}
	}
	t.samples[name] = append(t.samples[name], value)
}

// values returns the samples of a name, in order.
func (t *table) values(name string) []float64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Sorted(slices.Values(t.samples[name]))
}

// quantile returns the q-th of sorted values, 0 if there are none.
func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

// print prints the table.
func (r *rig) print() {
	for _, name := range slices.Sorted(maps.Keys(r.samples)) {
		v := r.values(name)
		r.report(name, "min %.3g, median %.3g, p99 %.3g, max %.3g (n=%d)",
			v[0], quantile(v, 0.5), quantile(v, 0.99), v[len(v)-1], len(v))
	}
	r.report("warnings in logs", "%d", r.warned.Load())
	columns := tabwriter.NewWriter(r.output, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintf(columns, "\nmode\t%s: %d nodes of %d workers, lease %v, seed %d\n",
		r.mode.name, r.nodes, r.workers, r.lease, r.seed)
	for _, row := range r.rows {
		_, _ = fmt.Fprintf(columns, "%s\t%s\n", row[0], row[1])
	}
	_, _ = fmt.Fprintf(columns, "violations\t%d\n\n", r.violations.Load())
	_ = columns.Flush()
}
