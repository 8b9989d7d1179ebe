package faulttest

import (
	"context"
	"iter"

	"github.com/bulkexport/bulkexport"
)

// Sink returns the sink as the process sees it. It can tell its inventory if the
// inner one can.
func (p *Process) Sink(inner bulkexport.OutputSink) bulkexport.OutputSink {
	plain := &sink{p, inner}
	if inventory, ok := inner.(bulkexport.SinkInventory); ok {
		return &inventorySink{plain, inventory}
	}
	return plain
}

type sink struct {
	p     *Process
	inner bulkexport.OutputSink
}

func sinkCall(method, jobID, name string) Call {
	return Call{Seam: SeamSink, Method: method, About: name, job: jobID, file: name}
}

func sinkWrite(method, jobID, name string) Call {
	c := sinkCall(method, jobID, name)
	c.Effect = true
	return c
}

// Create implements [bulkexport.OutputSink].
func (s *sink) Create(ctx context.Context, jobID, name string) (bulkexport.FileWriter, error) {
	w := &writer{p: s.p, ctx: ctx, jobID: jobID, name: name}
	err := s.p.call(sinkWrite("Create", jobID, name), func() (err error) {
		if err := ctx.Err(); err != nil {
			return err
		}
		var life context.Context
		life, w.cancel = context.WithCancel(context.WithoutCancel(ctx))
		s.p.mu.Lock()
		s.p.writers = append(s.p.writers, w.cancel)
		s.p.mu.Unlock()
		w.inner, err = s.inner.Create(life, jobID, name)
		return err
	})
	if err != nil {
		return nil, err
	}
	return w, nil
}

// Open implements [bulkexport.OutputSink].
func (s *sink) Open(ctx context.Context, jobID, name string) (bulkexport.FileReader, error) {
	var file bulkexport.FileReader
	err := s.p.call(sinkCall("Open", jobID, name), func() (err error) {
		file, err = s.inner.Open(ctx, jobID, name)
		return err
	})
	if err != nil && file != nil {
		_ = file.Close()
		return nil, err
	}
	return file, err
}

// DeleteJob implements [bulkexport.OutputSink].
func (s *sink) DeleteJob(ctx context.Context, jobID string) error {
	return s.p.call(sinkWrite("DeleteJob", jobID, ""), func() error { return s.inner.DeleteJob(ctx, jobID) })
}

// writer ends its file's context with that of the exporter, but not when the
// process is dead: a sink may clean up then, which nobody does after kill -9.
type writer struct {
	p      *Process
	ctx    context.Context
	cancel context.CancelFunc
	inner  bulkexport.FileWriter
	jobID  string
	name   string
}

func (w *writer) call(method string, fn func() error) error {
	return w.p.call(sinkWrite(method, w.jobID, w.name), func() error {
		if w.ctx.Err() != nil {
			w.cancel()
		}
		return fn()
	})
}

// Write implements [bulkexport.FileWriter].
func (w *writer) Write(b []byte) (n int, err error) {
	err = w.call("Write", func() (err error) {
		n, err = w.inner.Write(b)
		return err
	})
	return n, err
}

// Commit implements [bulkexport.FileWriter].
func (w *writer) Commit() error { return w.call("Commit", w.inner.Commit) }

// Abort implements [bulkexport.FileWriter].
func (w *writer) Abort() error { return w.call("Abort", w.inner.Abort) }

type inventorySink struct {
	*sink
	inventory bulkexport.SinkInventory
}

// Jobs implements [bulkexport.SinkInventory].
func (s *inventorySink) Jobs(ctx context.Context) iter.Seq2[string, error] {
	return stream(s.p, sinkCall("Jobs", "", ""), 0, s.inventory.Jobs(ctx))
}

// Files implements [bulkexport.SinkInventory].
func (s *inventorySink) Files(ctx context.Context, jobID string) iter.Seq2[bulkexport.StoredFile, error] {
	return stream(s.p, sinkCall("Files", jobID, ""), 0, s.inventory.Files(ctx, jobID))
}

// DeleteFile implements [bulkexport.SinkInventory].
func (s *inventorySink) DeleteFile(ctx context.Context, jobID, name string) error {
	return s.p.call(sinkWrite("DeleteFile", jobID, name), func() error { return s.inventory.DeleteFile(ctx, jobID, name) })
}
