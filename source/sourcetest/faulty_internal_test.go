package sourcetest

import (
	"context"
	"iter"
	"time"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/source/memsource"
)

// faulty is a sound source, but for the functions that are set.
type faulty struct {
	*memsource.Source
	types     func(context.Context, bulkexport.Scope) ([]string, error)
	resources func(context.Context, bulkexport.Query) iter.Seq2[bulkexport.Resource, error]
	time      func(context.Context, string) (time.Time, error)
	count     func(context.Context, bulkexport.Query) (int64, error)
	split     func(context.Context, bulkexport.Query, int64) ([][]byte, error)
	check     func(context.Context, string, string) error
	unknown   func(context.Context, bulkexport.Scope, []string) ([]string, error)
	deletions func(context.Context, bulkexport.Query) iter.Seq2[bulkexport.Deletion, error]
	lookup    func(context.Context, bulkexport.Query, []string) iter.Seq2[bulkexport.Resource, error]
	latest    func(context.Context, bulkexport.Query, string, string) ([]byte, error)
	blocks    func(context.Context, bulkexport.Query, []string) iter.Seq2[bulkexport.BlockResource, error]
	// gate is what reads have to pass: it takes one at a time.
	gate chan struct{}
}

func newFaulty(src *memsource.Source) *faulty {
	return &faulty{
		src, src.Types, src.Resources, src.TransactionTime, src.Count, src.Split, src.CheckGroup,
		src.UnknownPatients, src.Deletions, src.Lookup, src.LatestProvenance, src.Blocks,
		make(chan struct{}, 1),
	}
}

// block closes the gate until release is called.
func (f *faulty) block(context.Context) (release func(), err error) {
	f.gate <- struct{}{}
	return func() { <-f.gate }, nil
}

// pass waits for the gate, or until ctx ends.
func (f *faulty) pass(ctx context.Context) {
	select {
	case f.gate <- struct{}{}:
		<-f.gate
	case <-ctx.Done():
	}
}

func (f *faulty) Types(ctx context.Context, scope bulkexport.Scope) ([]string, error) {
	return f.types(ctx, scope)
}

func (f *faulty) Resources(
	ctx context.Context, q bulkexport.Query,
) iter.Seq2[bulkexport.Resource, error] {
	f.pass(ctx)
	return f.resources(ctx, q)
}

func (f *faulty) TransactionTime(ctx context.Context, tenant string) (time.Time, error) {
	return f.time(ctx, tenant)
}

func (f *faulty) Count(ctx context.Context, q bulkexport.Query) (int64, error) {
	return f.count(ctx, q)
}

func (f *faulty) Split(ctx context.Context, q bulkexport.Query, size int64) ([][]byte, error) {
	return f.split(ctx, q, size)
}

func (f *faulty) CheckGroup(ctx context.Context, tenant, id string) error {
	return f.check(ctx, tenant, id)
}

func (f *faulty) UnknownPatients(
	ctx context.Context, scope bulkexport.Scope, ids []string,
) ([]string, error) {
	return f.unknown(ctx, scope, ids)
}

func (f *faulty) Deletions(
	ctx context.Context, q bulkexport.Query,
) iter.Seq2[bulkexport.Deletion, error] {
	return f.deletions(ctx, q)
}

func (f *faulty) Lookup(
	ctx context.Context, q bulkexport.Query, ids []string,
) iter.Seq2[bulkexport.Resource, error] {
	return f.lookup(ctx, q, ids)
}

func (f *faulty) LatestProvenance(
	ctx context.Context, q bulkexport.Query, typ, id string,
) ([]byte, error) {
	return f.latest(ctx, q, typ, id)
}

func (f *faulty) Blocks(
	ctx context.Context, q bulkexport.Query, types []string,
) iter.Seq2[bulkexport.BlockResource, error] {
	return f.blocks(ctx, q, types)
}

type (
	query     = bulkexport.Query
	resources = []bulkexport.Resource
	deletions = []bulkexport.Deletion
	blocks    = []bulkexport.BlockResource
	yieldFunc = func(bulkexport.Resource, error) bool
)

// onStream replaces the body of the streams.
func (f *faulty) onStream(body func(ctx context.Context, q query, yield yieldFunc)) {
	f.resources = func(ctx context.Context, q query) iter.Seq2[bulkexport.Resource, error] {
		return func(yield func(bulkexport.Resource, error) bool) { body(ctx, q, yield) }
	}
}

// onQuery answers another query than was asked.
func (f *faulty) onQuery(change func(query) query) {
	f.resources = func(ctx context.Context, q query) iter.Seq2[bulkexport.Resource, error] {
		return f.Source.Resources(ctx, change(q))
	}
}

// onItems changes what a query yields.
func (f *faulty) onItems(change func(query, resources) resources) {
	f.resources = func(ctx context.Context, q query) iter.Seq2[bulkexport.Resource, error] {
		sound := f.Source.Resources(context.WithoutCancel(ctx), q)
		return edited(ctx, sound, func(all resources) resources { return change(q, all) })
	}
}

// all is what a sound source yields.
func (f *faulty) all(q query) resources {
	var all resources
	for r := range f.Source.Resources(context.Background(), q) {
		all = append(all, r)
	}
	return all
}

// onEveryQuery is onQuery for all that takes one, but for counts and cuts.
func (f *faulty) onEveryQuery(change func(query) query) {
	f.onQuery(change)
	f.deletions = func(ctx context.Context, q query) iter.Seq2[bulkexport.Deletion, error] {
		return f.Source.Deletions(ctx, change(q))
	}
	f.lookup = func(ctx context.Context, q query, ids []string) iter.Seq2[bulkexport.Resource, error] {
		return f.Source.Lookup(ctx, change(q), ids)
	}
	f.latest = func(ctx context.Context, q query, typ, id string) ([]byte, error) {
		return f.Source.LatestProvenance(ctx, change(q), typ, id)
	}
	f.blocks = func(
		ctx context.Context, q query, types []string,
	) iter.Seq2[bulkexport.BlockResource, error] {
		return f.Source.Blocks(ctx, change(q), types)
	}
}

// onDeletions changes the list of deletions.
func (f *faulty) onDeletions(change func(query, deletions) deletions) {
	f.deletions = func(ctx context.Context, q query) iter.Seq2[bulkexport.Deletion, error] {
		return edited(ctx, f.Source.Deletions(ctx, q), func(all deletions) deletions {
			return change(q, all)
		})
	}
}

// onLookup changes what ids give.
func (f *faulty) onLookup(change func(q query, ids []string, found resources) resources) {
	f.lookup = func(ctx context.Context, q query, ids []string) iter.Seq2[bulkexport.Resource, error] {
		return edited(ctx, f.Source.Lookup(ctx, q, ids), func(found resources) resources {
			return change(q, ids, found)
		})
	}
}

// onBlocks changes the stream of blocks.
func (f *faulty) onBlocks(change func(query, blocks) blocks) {
	f.blocks = func(
		ctx context.Context, q query, types []string,
	) iter.Seq2[bulkexport.BlockResource, error] {
		return edited(ctx, f.Source.Blocks(ctx, q, types), func(all blocks) blocks {
			return change(q, all)
		})
	}
}

// edited changes a stream as a whole. Its error stays.
func edited[T any](
	ctx context.Context, stream iter.Seq2[T, error], change func([]T) []T,
) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		all, ended := listOf(stream)
		for _, one := range change(all) {
			if !yield(one, ctx.Err()) || ctx.Err() != nil {
				return
			}
		}
		if ended != nil {
			var none T
			yield(none, ended)
		}
	}
}

func listOf[T any](stream iter.Seq2[T, error]) (all []T, ended error) {
	for one, err := range stream {
		if err != nil {
			ended = err
			continue
		}
		all = append(all, one)
	}
	return all, ended
}
