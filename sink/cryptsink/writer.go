package cryptsink

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"

	"github.com/bulkexport/bulkexport"
)

var _ bulkexport.FileWriter = (*writer)(nil)

var (
	errEnded      = errors.New("writer was committed or aborted")
	errKeyDeleted = errors.New("the key was deleted while the file was written")
)

// smallWrites is how many bytes are gathered: age writes its header in small pieces,
// and then chunks, which pass.
const smallWrites = 512

type writer struct {
	ctx    context.Context // governs the writer's whole life, by contract
	keys   Keys
	inner  bulkexport.FileWriter
	seal   seal
	out    *bufio.Writer  // to inner
	chunks io.WriteCloser // to out
	failed error          // the first that Write or Commit returned
	ended  bool
}

func (w *writer) begin() (err error) {
	w.out = bufio.NewWriterSize(w.inner, smallWrites)
	if w.chunks, err = age.Encrypt(w.out, w.seal); err != nil {
		return err
	}
	return w.out.Flush()
}

// Write implements [bulkexport.FileWriter].
func (w *writer) Write(p []byte) (int, error) {
	if err := w.usable(); err != nil {
		return 0, wrap("write", w.seal.jobID, w.seal.name, err)
	}
	n, err := w.chunks.Write(p)
	if err != nil {
		w.failed = wrap("write", w.seal.jobID, w.seal.name, err)
	}
	return n, w.failed
}

// Commit implements [bulkexport.FileWriter].
func (w *writer) Commit() error {
	if err := w.usable(); err != nil {
		return wrap("commit", w.seal.jobID, w.seal.name, err)
	}
	if err := w.complete(); err != nil {
		w.failed = wrap("commit", w.seal.jobID, w.seal.name, err)
		return w.failed
	}
	if w.failed = w.inner.Commit(); w.failed != nil {
		return w.failed
	}
	w.ended = true
	return nil
}

// complete writes what is left, and makes sure that the file can be read: its job
// may have been deleted meanwhile, and have got another key since.
func (w *writer) complete() error {
	if err := w.chunks.Close(); err != nil {
		return err
	}
	if err := w.out.Flush(); err != nil {
		return err
	}
	key, err := w.keys.Key(w.ctx, w.seal.jobID)
	if errors.Is(err, ErrKeyNotFound) || err == nil && key != w.seal.key {
		return errKeyDeleted
	}
	if err != nil {
		return fmt.Errorf("read the key again: %w", err)
	}
	return nil
}

// Abort implements [bulkexport.FileWriter].
func (w *writer) Abort() error {
	if w.ended {
		return nil
	}
	w.ended = true
	return w.inner.Abort()
}

// usable tells why nothing can be written any more.
func (w *writer) usable() error {
	if w.ended {
		return errEnded
	}
	return cmp.Or(w.failed, w.ctx.Err())
}
