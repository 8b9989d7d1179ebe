package bulkexport

import (
	"bytes"
	"context"
	"slices"
)

// readBlocks writes resources by the instance that they belong to: a header,
// the instance, all others (Bulk Data Access, organizeOutputBy).
//
// A commit ends between two blocks. A new file begins with a block once the last
// one is half full, so a block of up to half a file is never divided. A larger
// one may be: then the file names the one that continues it, and that begins
// with the same header.
func (a *attempt) readBlocks(ctx context.Context) error {
	b := blockWriter{attempt: a, types: a.e.blockTypes(a.job.Request)}
	source := a.e.cfg.Source.(SourceOrganizer)
	for r, err := range source.Blocks(ctx, a.query(), b.types) {
		if err := b.take(ctx, r, err); err != nil {
			return err
		}
	}
	b.endBlock()
	return nil
}

// blockWriter writes the blocks of an attempt.
type blockWriter struct {
	*attempt
	types  []string
	owner  []byte // key of the instance whose block it is; nil before the first
	header []byte // of the block; nil until it is written
}

func (b *blockWriter) take(ctx context.Context, r BlockResource, err error) error {
	judge := func(ctx context.Context, resource Resource) (verdict, error) {
		if r.Owner == "" || !slices.Contains(b.types, r.Type) {
			return verdict{}, sourceFault("read blocks: a resource is of no type that was asked for, or of no instance")
		}
		line, err := b.pipeline(r.Type)
		if err != nil {
			return verdict{}, err
		}
		return line.line(ctx, resource)
	}
	found, err := b.judge(ctx, r.Resource, err, judge)
	if err != nil {
		return err
	}
	if !bytes.Equal(r.Key, b.owner) {
		if err := b.beginBlock(ctx, r.Key); err != nil {
			return err
		}
	}
	switch {
	case found.fault != nil:
		err = b.putError(ctx, outcomeLine(faultIssue(found.fault)))
	case found.line != nil:
		err = b.putLine(ctx, headerLine(b.part.Type, r.Owner), found.line)
	}
	if err != nil {
		return err
	}
	b.count(found)
	return nil
}

// beginBlock commits first when the file is half full.
func (b *blockWriter) beginBlock(ctx context.Context, key []byte) error {
	b.endBlock()
	if b.output.halfFull() || b.errors.halfFull() || b.add.passed >= b.e.cfg.MaxFileResources {
		if err := b.commitAndGoOn(ctx); err != nil {
			return err
		}
	}
	b.owner = bytes.Clone(key)
	return nil
}

func (b *blockWriter) endBlock() {
	if b.owner != nil {
		b.add.cursor = append(b.add.cursor[:0], b.owner...)
	}
	b.header = nil
}

func (b *blockWriter) putLine(ctx context.Context, header, line []byte) error {
	if b.header == nil {
		b.header = header
		if err := b.output.write(ctx, header); err != nil {
			return err
		}
	}
	if !b.output.fits(len(line)) {
		if err := b.continueBlock(ctx); err != nil {
			return err
		}
	}
	return b.output.write(ctx, line)
}

// continueBlock goes on with the block in another file. No commit of the part
// comes in between.
func (b *blockWriter) continueBlock(ctx context.Context) error {
	if err := b.end(b.output); err != nil {
		return err
	}
	if err := b.output.begin(ctx); err != nil {
		return err
	}
	b.add.files[len(b.add.files)-1].ContinuedBy = b.output.name
	return b.output.write(ctx, b.header)
}
