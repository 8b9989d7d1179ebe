package conformance_test

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/sink/memsink"
	"github.com/bulkexport/bulkexport/source/memsource"
)

// clock is the time of the data: some past that goes on by a second with each
// change.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) read() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) tick() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(time.Second)
}

// hookedSource calls a function before each resource.
type hookedSource struct {
	*memsource.Source
	before func(ctx context.Context, resource []byte) error
}

func (s hookedSource) Resources(ctx context.Context, q bulkexport.Query) iter.Seq2[bulkexport.Resource, error] {
	return func(yield func(bulkexport.Resource, error) bool) {
		for r, err := range s.Source.Resources(ctx, q) {
			if err == nil {
				err = s.before(ctx, r.JSON)
			}
			if !yield(r, err) {
				return
			}
			var one *bulkexport.ResourceError
			if err != nil && !errors.As(err, &one) {
				return
			}
		}
	}
}

// held returns a setup.before that waits at resources with a text in them, and
// a function that lets them go. entered says when the first one has come.
func held(text string) (before func(context.Context, []byte) error, entered chan struct{}, release func()) {
	entered, gate := make(chan struct{}, 1000), make(chan struct{})
	before = func(ctx context.Context, resource []byte) error {
		if !bytes.Contains(resource, []byte(text)) {
			return nil
		}
		entered <- struct{}{}
		select {
		case <-gate:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return before, entered, sync.OnceFunc(func() { close(gate) })
}

// watchedSink remembers which jobs it was told to remove.
type watchedSink struct {
	bulkexport.OutputSink
	mu   sync.Mutex
	jobs []string
	// gone gets the ids too.
	gone chan string
}

func newWatchedSink() *watchedSink {
	return &watchedSink{OutputSink: memsink.New(), gone: make(chan string, 1000)}
}

// DeleteJob implements bulkexport.OutputSink.
func (s *watchedSink) DeleteJob(ctx context.Context, jobID string) error {
	err := s.OutputSink.DeleteJob(ctx, jobID)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.jobs = append(s.jobs, jobID)
	s.gone <- jobID
	return err
}

func (s *watchedSink) removed() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Compact(slices.Clone(s.jobs))
}

// logBuffer is a log that several goroutines write to.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
