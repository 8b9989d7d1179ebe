package sourcetest

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/bulkexport/bulkexport"
)

// streamCall reads a stream until it ends or each returns false.
type streamCall = func(ctx context.Context, each func() bool) error

// streams are the ways in which the source answers a query with a stream, by
// the name of the method.
func (h *host) streams(q bulkexport.Query) map[string]streamCall {
	all := map[string]streamCall{
		"Resources": func(ctx context.Context, each func() bool) error {
			return drain(h.Source.Resources(ctx, q), each)
		},
	}
	if s, ok := h.Source.(bulkexport.SourceDeletions); ok && h.Delete != nil {
		q := q
		q.Since = time.Unix(0, 0).UTC()
		all["Deletions"] = func(ctx context.Context, each func() bool) error {
			return drain(s.Deletions(ctx, q), each)
		}
	}
	if s, ok := h.Source.(bulkexport.SourceLookup); ok {
		ids := []string{"p1", "p2", "o1", "o2"}
		all["Lookup"] = func(ctx context.Context, each func() bool) error {
			return drain(s.Lookup(ctx, q, ids), each)
		}
	}
	if needBlocks().met(h.DataSet) {
		types := []string{q.Type}
		q.Type = "Patient"
		all["Blocks"] = func(ctx context.Context, each func() bool) error {
			return drain(h.Source.(bulkexport.SourceOrganizer).Blocks(ctx, q, types), each)
		}
	}
	return all
}

func drain[T any](stream iter.Seq2[T, error], each func() bool) error {
	var ended error
	for _, err := range stream {
		switch {
		case ended != nil:
			return fmt.Errorf("the stream goes on after an error: %w", ended)
		case err != nil:
			ended = err
		case !each():
			return nil
		}
	}
	return ended
}

// calls are what else may be asked of the source, by the name of the method.
func (h *host) calls(q bulkexport.Query) map[string]func(context.Context) error {
	all := map[string]func(context.Context) error{
		"Types": func(ctx context.Context) error {
			_, err := h.Source.Types(ctx, q.Scope)
			return err
		},
	}
	if s, ok := h.Source.(bulkexport.SourceClock); ok {
		all["TransactionTime"] = func(ctx context.Context) error {
			_, err := s.TransactionTime(ctx, h.tenant)
			return err
		}
	}
	if s, ok := h.Source.(bulkexport.SourceCounter); ok {
		all["Count"] = func(ctx context.Context) error {
			_, err := s.Count(ctx, q)
			return err
		}
	}
	if s, ok := h.Source.(bulkexport.SourceSplitter); ok {
		all["Split"] = func(ctx context.Context) error {
			_, err := s.Split(ctx, q, 3)
			return err
		}
	}
	if s, ok := h.Source.(bulkexport.SourceGroups); ok {
		all["CheckGroup"] = func(ctx context.Context) error { return s.CheckGroup(ctx, h.tenant, "g") }
	}
	if s, ok := h.Source.(bulkexport.SourcePatients); ok {
		scope := h.scope(bulkexport.LevelPatient)
		all["UnknownPatients"] = func(ctx context.Context) error {
			_, err := s.UnknownPatients(ctx, scope, []string{"p1", "none"})
			return err
		}
	}
	if s, ok := h.Source.(bulkexport.SourceProvenance); ok {
		all["LatestProvenance"] = func(ctx context.Context) error {
			_, err := s.LatestProvenance(ctx, h.query("Provenance"), "Patient", "p1")
			return err
		}
	}
	return all
}
