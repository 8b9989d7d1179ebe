package sourcetest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/bulkexport/bulkexport"
)

const maxKey = 1 << 10

// item is a copy of one resource that a source yielded.
type item struct {
	key, json []byte
	// label is that of the version, see resource.label.
	label string
}

// collect reads a stream to its end. Besides the source's errors it returns
// those rules that hold for every stream whatever the query.
func collect(
	ctx context.Context, s bulkexport.ResourceSource, q bulkexport.Query,
) ([]item, error) {
	after, upTo := bytes.Clone(q.After), bytes.Clone(q.UpTo)
	items, err := collectItems(s.Resources(ctx, q), q.Type)
	if !bytes.Equal(after, q.After) || !bytes.Equal(upTo, q.UpTo) {
		return nil, errors.New("the source changed the bytes of After or UpTo")
	}
	return items, err
}

func collectItems(stream iter.Seq2[bulkexport.Resource, error], typ string) ([]item, error) {
	var (
		items []item
		ended error
		keys  = make(map[string]bool)
		ids   = make(map[string]bool)
	)
	for r, err := range stream {
		if ended != nil {
			return nil, fmt.Errorf("the stream goes on after an error: %w", ended)
		}
		if err != nil {
			ended = err
			continue
		}
		it, id, err := newItem(r, typ)
		switch {
		case err != nil:
			return nil, err
		case keys[string(it.key)]:
			return nil, fmt.Errorf("%s: a key is used twice", id)
		case ids[id]:
			return nil, fmt.Errorf("%s is yielded more than once", id)
		}
		keys[string(it.key)], ids[id] = true, true
		items = append(items, it)
	}
	return items, ended
}

func newItem(r bulkexport.Resource, typ string) (item, string, error) {
	var doc struct {
		ResourceType, ID, ImplicitRules string
	}
	if err := json.Unmarshal(r.JSON, &doc); err != nil {
		return item{}, "", fmt.Errorf("what is yielded is not a JSON object: %w", err)
	}
	id := doc.ResourceType + "/" + doc.ID
	switch {
	case doc.ResourceType != typ:
		return item{}, "", fmt.Errorf("%s is yielded for type %q", id, typ)
	case len(r.Key) == 0:
		return item{}, "", fmt.Errorf("%s has no key", id)
	case len(r.Key) > maxKey:
		return item{}, "", fmt.Errorf("%s has a key of %d bytes, above 1 KiB", id, len(r.Key))
	}
	label := id + "#" + strings.TrimPrefix(doc.ImplicitRules, "urn:revision:")
	return item{key: bytes.Clone(r.Key), json: bytes.Clone(r.JSON), label: label}, id, nil
}

// read is collect with the source of the host. It ends the case on an error.
func (h *host) read(t tester, q bulkexport.Query) []item {
	t.Helper()
	return h.readFrom(t, h.Source, q)
}

func (h *host) readFrom(t tester, s bulkexport.ResourceSource, q bulkexport.Query) []item {
	t.Helper()
	var items []item
	h.within(t, "Resources: a query is answered", func(ctx context.Context) (err error) {
		items, err = collect(ctx, s, q)
		return err
	})
	return items
}

// readRanges reads the ranges between cuts, one after the other.
func (h *host) readRanges(
	t tester, s bulkexport.ResourceSource, q bulkexport.Query, cuts [][]byte,
) [][]item {
	t.Helper()
	var ranges [][]item
	end := q.UpTo
	for _, cut := range append(slices.Clone(cuts), end) {
		q.UpTo = cut
		ranges = append(ranges, h.readFrom(t, s, q))
		q.After = cut
	}
	return ranges
}

func (h *host) types(t tester, scope bulkexport.Scope) []string {
	t.Helper()
	var names []string
	h.within(t, "Types: the scope's types are told", func(ctx context.Context) (err error) {
		names, err = h.Source.Types(ctx, scope)
		return err
	})
	return names
}

func labels(items []item) []string {
	names := make([]string, len(items))
	for i, it := range items {
		names[i] = it.label
	}
	return names
}

// wantLabels compares without regard to order.
func wantLabels(t tester, rule string, got []item, want []string) {
	t.Helper()
	wantNames(t, "Resources: "+rule, labels(got), want)
}

// wantNames compares lists without regard to order. The rule names the method.
func wantNames(t tester, rule string, got, want []string) {
	t.Helper()
	has, wants := slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))
	if !slices.Equal(has, wants) {
		missing, extra := difference(wants, has), difference(has, wants)
		t.Errorf("%s: %d missing %s, %d too many %s",
			rule, len(missing), some(missing), len(extra), some(extra))
	}
}

// wantSequence compares in order, keys included.
func wantSequence(t tester, rule string, got, want []item) {
	t.Helper()
	same := func(a, b item) bool { return a.label == b.label && bytes.Equal(a.key, b.key) }
	if !slices.EqualFunc(got, want, same) {
		t.Errorf("Resources: %s: got %d resources %s, want %d %s",
			rule, len(got), some(labels(got)), len(want), some(labels(want)))
	}
}

// difference returns what is in a and not in b.
func difference(a, b []string) []string {
	in := make(map[string]bool, len(b))
	for _, s := range b {
		in[s] = true
	}
	return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return in[s] })
}

// some shortens a list for a message.
func some(list []string) string {
	if len(list) > 6 {
		list = append(slices.Clone(list[:6]), "…")
	}
	return fmt.Sprint(list)
}
