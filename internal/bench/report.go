package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
)

func report(ctx context.Context, out io.Writer, o options, results []result) error {
	if len(results) == 0 {
		return nil
	}
	fmt.Fprintf(out, "%s\n%d resources, median of %d rounds (lowest to highest)\n\n",
		machine(ctx, o.dir), o.resources, o.rounds)
	header := []string{"#", "what", "against", "reference", "export", "CPU", "figure", "goal", "stretch", "met"}
	if o.markdown {
		return markdown(out, header, results)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, strings.Join(header, "\t"))
	for _, r := range results {
		fmt.Fprintln(w, strings.Join(r.cells(), "\t"))
	}
	return w.Flush()
}

func markdown(out io.Writer, header []string, results []result) error {
	line := func(cells []string) string { return "| " + strings.Join(cells, " | ") + " |\n" }
	var text strings.Builder
	text.WriteString(line(header))
	text.WriteString("|" + strings.Repeat("---|", len(header)) + "\n")
	for _, r := range results {
		cells := r.cells()
		for i := range cells {
			cells[i] = strings.ReplaceAll(cells[i], "|", `\|`)
		}
		text.WriteString(line(cells))
	}
	_, err := io.WriteString(out, text.String())
	return err
}

func (r result) cells() []string {
	cells := []string{strconv.Itoa(r.number), r.what, r.reference}
	if r.lacking != "" {
		return append(cells, "", "", "", r.lacking, r.bound(r.limit), r.bound(r.stretch), "not measured")
	}
	return append(cells, amount(r.median.reference, r.unit), amount(r.median.export, r.unit), r.cpu(),
		fmt.Sprintf("%s (%s to %s)", amount(r.median.figure, r.figureUnit), amount(r.low, ""), amount(r.high, "")),
		r.bound(r.limit), r.bound(r.stretch), r.met())
}

// cpu is the processor time of both sides.
func (r result) cpu() string {
	if r.median.referenceCPU == 0 || r.median.exportCPU == 0 {
		return ""
	}
	return amount(r.median.referenceCPU, "") + ", " + amount(r.median.exportCPU, "s")
}

func (r result) bound(value float64) string {
	switch {
	case value == 0:
		return ""
	case r.atLeast:
		return "≥ " + strconv.FormatFloat(value, 'g', -1, 64)
	}
	return "≤ " + strconv.FormatFloat(value, 'g', -1, 64)
}

func (r result) met() string {
	switch {
	case !r.meets(r.median.figure, r.limit):
		return "no"
	case r.stretch != 0 && r.meets(r.median.figure, r.stretch):
		return "stretch"
	}
	return "yes"
}

// amount writes a value with three digits that count, and its unit.
func amount(value float64, unit string) string {
	if value == 0 {
		return ""
	}
	digits := 0
	for limit := 100.0; value < limit && digits < 4; limit /= 10 {
		digits++
	}
	return strings.TrimSpace(strconv.FormatFloat(value, 'f', digits, 64) + " " + unit)
}
