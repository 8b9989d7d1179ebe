//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// tally compares the lines of an export with what is expected, one by one.
type tally struct {
	want   map[ref]want
	got    map[ref]int // the version of each resource that had a line
	faults []string
}

func newTally(want map[ref]want) *tally { return &tally{want: want, got: map[ref]int{}} }

func (t *tally) fault(format string, args ...any) {
	t.faults = append(t.faults, fmt.Sprintf(format, args...))
}

// take notes a line.
func (t *tally) take(tenant string, e exported) {
	wanted, known := t.want[e.ref]
	_, doubled := t.got[e.ref]
	switch {
	case e.ref.tenant != tenant:
		t.fault("foreign: %s", e.ref)
	case doubled:
		t.fault("doubled: %s", e.ref)
	case !known:
		t.fault("extra: %s version %d", e.ref, e.number)
	case !slices.Contains(wanted.numbers, e.number):
		t.fault("wrong version: %s has %d instead of %d", e.ref, e.number, wanted.numbers)
	}
	t.got[e.ref] = e.number
}

// end reports what is missing, and all faults before.
func (t *tally) end() []string {
	for r, wanted := range t.want {
		if _, ok := t.got[r]; !ok && !wanted.optional {
			t.fault("missing: %s version %d", r, wanted.numbers)
		}
	}
	return t.faults
}

// checkLines reads the lines of a file.
func checkLines(content []byte, count int, each func(line []byte) error) []string {
	var faults []string
	lines := 0
	for line := range bytes.Lines(content) {
		lines++
		line, whole := bytes.CutSuffix(line, []byte("\n"))
		if !whole {
			faults = append(faults, "the last line has no end")
		}
		if err := each(line); err != nil {
			faults = append(faults, err.Error())
		}
	}
	if lines != count {
		faults = append(faults, fmt.Sprintf("%d lines instead of the %d of the manifest", lines, count))
	}
	return faults
}

// readDeletions reads a line of a deleted file.
func readDeletions(tenant string, line []byte) ([]ref, error) {
	var bundle struct {
		ResourceType, Type string
		Entry              []struct{ Request struct{ Method, URL string } }
	}
	if err := json.Unmarshal(line, &bundle); err != nil {
		return nil, fmt.Errorf("a line of deletions is not a JSON object: %w", err)
	}
	if bundle.ResourceType != "Bundle" || bundle.Type != "transaction" {
		return nil, fmt.Errorf("a line of deletions is a %s of type %s", bundle.ResourceType, bundle.Type)
	}
	refs := make([]ref, len(bundle.Entry))
	for i, entry := range bundle.Entry {
		kind, id, ok := strings.Cut(entry.Request.URL, "/")
		if entry.Request.Method != http.MethodDelete || !ok {
			return nil, fmt.Errorf("a deletion is %s %s", entry.Request.Method, entry.Request.URL)
		}
		refs[i] = ref{tenant, kind, id}
	}
	return refs, nil
}

// content is what an export consists of, or what a client has that applies
// exports one after the other.
type content struct {
	output  map[ref]int
	deleted []ref
}

// apply applies an incremental export.
func (c *content) apply(next content) {
	for _, r := range next.deleted {
		delete(c.output, r)
	}
	maps.Copy(c.output, next.output)
}

// compare says how the state of a client differs from what it should be.
func (c *content) compare(tenant string, want map[ref]want) []string {
	t := newTally(want)
	for r, number := range c.output {
		t.take(tenant, exported{r, number})
	}
	return t.end()
}
