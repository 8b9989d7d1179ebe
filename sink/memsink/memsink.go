// Package memsink keeps the files of exports in memory, for tests and small
// demonstrations. Files end with the process, and no other process sees them.
// A file takes up to twice its length in memory until its job is deleted.
package memsink

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/bulkexport/bulkexport"
)

var (
	_ bulkexport.OutputSink    = (*Sink)(nil)
	_ bulkexport.SinkInventory = (*Sink)(nil)
	_ bulkexport.FileWriter    = (*writer)(nil)
	_ bulkexport.FileReader    = reader{}
)

var errEnded = errors.New("writer was committed or aborted")

// Sink is a [bulkexport.OutputSink] in memory. It takes any string as a job id
// or a name: there is nothing that one could reach with it.
type Sink struct {
	mu   sync.RWMutex
	jobs map[string]map[string]file // by id and name
}

// file is a committed file. Its content never changes.
type file struct {
	content   []byte
	committed time.Time
}

// New returns an empty sink.
func New() *Sink {
	return &Sink{jobs: make(map[string]map[string]file)}
}

// Create implements [bulkexport.OutputSink].
func (s *Sink) Create(ctx context.Context, jobID, name string) (bulkexport.FileWriter, error) {
	w := &writer{ctx: ctx, sink: s, jobID: jobID, name: name}
	if err := w.usable("create"); err != nil {
		return nil, err
	}
	return w, nil
}

// Open implements [bulkexport.OutputSink]. The reader works for ever.
func (s *Sink) Open(ctx context.Context, jobID, name string) (bulkexport.FileReader, error) {
	if err := ctx.Err(); err != nil {
		return nil, wrap("open", jobID, name, err)
	}
	s.mu.RLock()
	found, ok := s.jobs[jobID][name]
	s.mu.RUnlock()
	if !ok {
		return nil, wrap("open", jobID, name, bulkexport.ErrFileNotFound)
	}
	return reader{bytes.NewReader(found.content)}, nil
}

// DeleteJob implements [bulkexport.OutputSink].
func (s *Sink) DeleteJob(ctx context.Context, jobID string) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("memsink: delete job %q: %w", jobID, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.jobs, jobID)
	return nil
}

func (s *Sink) publish(jobID, name string, content []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.jobs[jobID] == nil {
		s.jobs[jobID] = make(map[string]file)
	}
	s.jobs[jobID][name] = file{content, time.Now().UTC()}
}

type writer struct {
	ctx         context.Context // governs the writer's whole life, by contract
	sink        *Sink
	jobID, name string
	buf         bytes.Buffer
	ended       bool
}

// Write implements [bulkexport.FileWriter].
func (w *writer) Write(p []byte) (int, error) {
	if err := w.usable("write"); err != nil {
		return 0, err
	}
	return w.buf.Write(p)
}

// Commit implements [bulkexport.FileWriter].
func (w *writer) Commit() error {
	if err := w.usable("commit"); err != nil {
		return err
	}
	w.ended = true
	w.sink.publish(w.jobID, w.name, w.buf.Bytes())
	return nil
}

// Abort implements [bulkexport.FileWriter].
func (w *writer) Abort() error {
	w.ended = true
	w.buf = bytes.Buffer{}
	return nil
}

// usable tells why op cannot be done.
func (w *writer) usable(op string) error {
	if w.ended {
		return wrap(op, w.jobID, w.name, errEnded)
	}
	if err := w.ctx.Err(); err != nil {
		return wrap(op, w.jobID, w.name, err)
	}
	return nil
}

type reader struct{ *bytes.Reader }

// Close implements [bulkexport.FileReader].
func (reader) Close() error { return nil }

func wrap(op, jobID, name string, err error) error {
	return fmt.Errorf("memsink: %s %q of job %q: %w", op, name, jobID, err)
}
