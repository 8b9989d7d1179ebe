package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/bulkexport/bulkexport/examples/internal/dataset"
)

// maxLine bounds one resource. Some have large attachments in them.
const maxLine = 256 << 20

// content is what the lines of a file are, by resource type.
type content map[string]dataset.Fingerprint

func (c content) lines() (n int64) {
	for _, f := range c {
		n += f.Lines
	}
	return n
}

// readContent reads a file line by line. Each must be one resource. Its errors
// show nothing of them.
func readContent(path string) (content, error) {
	in, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	var digest dataset.Digest
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxLine)
	for n := 1; lines.Scan(); n++ {
		line := lines.Bytes()
		if len(line) > 0 && !json.Valid(line) {
			return nil, fmt.Errorf("line %d is not JSON", n)
		}
		for _, part := range [][]byte{line, {'\n'}} {
			if _, err := digest.Write(part); err != nil {
				return nil, fmt.Errorf("line %d: %w", n, err)
			}
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	return digest.Types()
}

// check compares the files with their manifest and, if that is known, with what
// was loaded. It returns everything that is wrong.
func (c *client) check(files []file, loaded map[string]dataset.Fingerprint) error {
	c.step("Check")
	var faults []error
	all := content{}
	for i := range files {
		f := &files[i]
		var err error
		if f.content, err = readContent(f.path); err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", f.path, err))
			continue
		}
		faults = append(faults, f.faults()...)
		for name, part := range f.content {
			all[name] = all[name].Plus(part)
		}
	}
	if loaded != nil {
		faults = append(faults, compare(files, all, loaded)...)
	}
	if err := errors.Join(faults...); err != nil {
		return err
	}
	c.sayChecked(files, all, loaded != nil)
	return nil
}

// faults compares a file with its entry in the manifest.
func (f *file) faults() []error {
	var faults []error
	lines := f.content.lines()
	if f.count != nil && *f.count != lines {
		faults = append(faults,
			fmt.Errorf("%s: %d lines, but the manifest says %d", f.path, lines, *f.count))
	}
	for _, name := range slices.Sorted(maps.Keys(f.content)) {
		if f.resourceType != "" && name != f.resourceType {
			faults = append(faults, fmt.Errorf("%s: %d lines of type %s, but the manifest says %s",
				f.path, f.content[name].Lines, printable(name), printable(f.resourceType)))
		}
	}
	return faults
}

// compare demands of a server of ours what no other has to keep: the bytes that
// were loaded, and their hash as ETag.
func compare(files []file, exported content, loaded map[string]dataset.Fingerprint) []error {
	var faults []error
	for _, f := range files {
		if f.list != output {
			faults = append(faults, fmt.Errorf("%s: the manifest has it under %s", f.path, f.list))
		}
		if !f.verified {
			faults = append(faults, fmt.Errorf("%s: its ETag is not its SHA-256", f.path))
		}
	}
	names := slices.AppendSeq(slices.Collect(maps.Keys(loaded)), maps.Keys(exported))
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		if loaded[name] != exported[name] {
			faults = append(faults, fmt.Errorf("%s: the %d lines exported are not the %d lines loaded",
				name, exported[name].Lines, loaded[name].Lines))
		}
	}
	return faults
}

// sayChecked says what was found right.
func (c *client) sayChecked(files []file, all content, loaded bool) {
	lines, size := total(all)
	if loaded {
		c.say("%d lines, %d bytes: counts as in the manifest, SHA-256 as in the ETags,", lines, size)
		c.say("and the lines are those that were loaded, byte for byte.")
		return
	}
	var uncounted, verified int
	for _, f := range files {
		if f.count == nil {
			uncounted++
		}
		if f.verified {
			verified++
		}
	}
	c.say("%d lines, %d bytes: each line is one resource, types and counts as in the manifest.",
		lines, size)
	var notes []string
	if uncounted > 0 {
		notes = append(notes, plural(uncounted, "file")+" without a count")
	}
	if verified > 0 {
		notes = append(notes, plural(verified, "file")+" with the right SHA-256 as ETag")
	}
	if len(notes) > 0 {
		c.say("%s.", strings.Join(notes, ", "))
	}
}
