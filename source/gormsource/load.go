package gormsource

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"gorm.io/gorm"
)

// LoadOptions are options of [Repository.Load].
type LoadOptions struct {
	// KeepLastUpdated takes meta.lastUpdated of a resource that is new for its
	// last update, if it has one that is past. It is for historical data, before
	// the first export: a later incremental export would not see resources that
	// were loaded so.
	KeepLastUpdated bool
}

const (
	maxLine = 64 << 20

	// Smaller transactions write the pages of the index by id more often; larger
	// ones make other writers of SQLite wait for more than some 100 ms.
	loadBatch      = 4000
	loadBatchBytes = 8 << 20
)

// Load puts the resources of an NDJSON stream, one a line, until its end or the
// first error, and returns how many it has stored: all before the line that is
// wrong, which the error names by its number. Blank lines are passed over. A
// line is at most 64 MiB long.
//
// It commits every 4,000 resources or 8 MiB, so that an interrupted load can
// simply be repeated. On SQLite a page cache of some 64 MiB (PRAGMA cache_size)
// makes a large load about a third faster.
//
// Errors: those of ndjson, and [ErrInvalidResource].
func (r *Repository) Load(
	ctx context.Context, tenant string, ndjson io.Reader, opts LoadOptions,
) (int64, error) {
	l := loader{repository: r, tenant: tenant, opts: opts, index: make(map[name]int)}
	err := l.read(ctx, ndjson)
	var fault *lineError
	if err == nil || errors.As(err, &fault) {
		err = errors.Join(err, l.flush(ctx))
	}
	return l.stored, wrap(ctx, "load", err)
}

// loader collects a batch and writes it.
type loader struct {
	repository *Repository
	tenant     string
	opts       LoadOptions
	stored     int64

	// batch has the last version of each resource, index its place there.
	batch []version
	index map[name]int
	lines int64
	size  int
}

func (l *loader) read(ctx context.Context, ndjson io.Reader) error {
	lines := bufio.NewScanner(ndjson)
	lines.Buffer(make([]byte, 0, 64<<10), maxLine)
	number := 1
	for ; lines.Scan(); number++ {
		line := lines.Bytes()
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		v, err := l.repository.parse(line)
		if err != nil {
			return &lineError{number, err}
		}
		l.add(v)
		if l.lines < loadBatch && l.size < loadBatchBytes {
			continue
		}
		if err := l.flush(ctx); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return &lineError{number, err}
	}
	return nil
}

func (l *loader) add(v version) {
	if !l.opts.KeepLastUpdated {
		v.historical = 0
	}
	l.lines++
	l.size += len(v.body)
	if i, ok := l.index[v.name]; ok {
		l.batch[i] = v
		return
	}
	l.index[v.name] = len(l.batch)
	l.batch = append(l.batch, v)
}

func (l *loader) flush(ctx context.Context) error {
	if len(l.batch) == 0 {
		return nil
	}
	// Streams are of one type, and rows that follow each other are read faster.
	slices.SortStableFunc(l.batch, func(a, b version) int { return cmp.Compare(a.resourceType, b.resourceType) })
	err := l.repository.write(ctx, func(tx *gorm.DB, s stamp) error {
		return store(tx, l.tenant, l.batch, s)
	})
	if err != nil {
		return err
	}
	l.stored += l.lines
	clear(l.batch) // lets go of the bodies
	clear(l.index)
	l.batch, l.lines, l.size = l.batch[:0], 0, 0
	return nil
}

// lineError says where a stream is wrong, or ends.
type lineError struct {
	number int
	err    error
}

func (e *lineError) Error() string { return fmt.Sprintf("line %d: %v", e.number, e.err) }
func (e *lineError) Unwrap() error { return e.err }
