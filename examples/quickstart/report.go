package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"text/tabwriter"

	"github.com/bulkexport/bulkexport/examples/internal/dataset"
)

// printer prints for a person. If nobody reads, that is no error.
type printer struct{ io.Writer }

func (p printer) printf(format string, args ...any) { _, _ = fmt.Fprintf(p, format, args...) }

// step begins a step of the play.
func (c *client) step(title string) {
	c.steps++
	c.out.printf("\n%d. %s\n", c.steps, title)
}

// show prints the command line that does the same.
func (c *client) show(format string, args ...any) { c.out.printf("   $ "+format+"\n", args...) }

// say prints what came of it.
func (c *client) say(format string, args ...any) { c.out.printf("   "+format+"\n", args...) }

// check compares the files with their manifest and with what was loaded, and
// returns everything that is wrong.
func (c *client) check(files []file, loaded map[string]dataset.Fingerprint) error {
	c.step("Check")
	var faults []error
	exported := map[string]dataset.Fingerprint{}
	for _, f := range files {
		if lines := f.content[f.Type].Lines; len(f.content) != 1 || lines != f.Count {
			faults = append(faults, fmt.Errorf("%s: %d lines of type %s, but the manifest says %d",
				f.name, lines, f.Type, f.Count))
		}
		for name, part := range f.content {
			exported[name] = exported[name].Plus(part)
		}
	}
	for _, name := range union(loaded, exported) {
		if loaded[name] != exported[name] {
			faults = append(faults, fmt.Errorf("%s: the %d lines exported are not the %d lines loaded",
				name, exported[name].Lines, loaded[name].Lines))
		}
	}
	if err := errors.Join(faults...); err != nil {
		return err
	}
	lines, size := total(exported)
	c.say("%d lines, %d bytes: counts as in the manifest, SHA-256 as in the ETags,", lines, size)
	c.say("and the lines are those that were loaded, byte for byte.")
	return nil
}

// printTable lists the files.
func (c *client) printTable(files []file) {
	c.out.printf("\nThe files are in %s:\n\n", c.dir)
	columns := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	table := printer{columns}
	table.printf("type\tfile\tlines\tbytes\tSHA-256 (first 16 digits)\n")
	for _, f := range files {
		table.printf("%s\t%s\t%d\t%d\t%s\n", f.Type, filepath.Base(f.name), f.Count, f.size, f.sha256[:16])
	}
	_ = columns.Flush()
}

// total adds up the lines and bytes of all types, line feeds included.
func total(types map[string]dataset.Fingerprint) (lines, size int64) {
	for _, f := range types {
		lines += f.Lines
		size += f.Bytes + f.Lines
	}
	return lines, size
}

func union[V any](a, b map[string]V) []string {
	names := slices.AppendSeq(slices.Collect(maps.Keys(a)), maps.Keys(b))
	slices.Sort(names)
	return slices.Compact(names)
}
