package filesink

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/internal/durable"
)

var _ bulkexport.FileWriter = (*writer)(nil)

var errEnded = errors.New("writer was committed or aborted")

type writer struct {
	ctx         context.Context // governs the writer's whole life, by contract
	sink        *os.Root
	anchored    *anchors
	jobID, name string
	// folder is the job's as it was at Create. When the job is deleted the
	// writer goes with it, also if there is a new folder of that name.
	folder   *os.Root
	temp     *os.File
	tempName string
	failed   error // the first that Write or Commit returned
	ended    bool
}

// Create implements [bulkexport.OutputSink]. Each Write goes to the operating
// system as it comes: callers hand over large pieces.
func (s *Sink) Create(ctx context.Context, jobID, name string) (bulkexport.FileWriter, error) {
	if err := cmp.Or(ctx.Err(), checkJobID(jobID), checkName(name)); err != nil {
		return nil, wrap("create", jobID, name, err)
	}
	w := &writer{
		ctx: ctx, sink: s.root, anchored: &s.anchored, jobID: jobID, name: name, tempName: tempName(name),
	}
	if err := w.openTemp(); err != nil {
		return nil, wrap("create", jobID, name, err)
	}
	return w, nil
}

// openTemp begins again when the folder goes before the file is in it, as it
// may when the job is deleted or another writer aborts. A link that leads
// nowhere looks the same, hence the bound.
func (w *writer) openTemp() (err error) {
	for range maxTries {
		if err = w.tryOpenTemp(); !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	return err
}

func (w *writer) tryOpenTemp() error {
	err := w.sink.Mkdir(w.jobID, 0o700)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if w.folder, err = w.sink.OpenRoot(w.jobID); err != nil {
		return err
	}
	w.temp, err = w.folder.OpenFile(w.tempName, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return errors.Join(err, w.folder.Close())
	}
	return nil
}

// Write implements [bulkexport.FileWriter].
func (w *writer) Write(p []byte) (int, error) {
	if err := w.usable(); err != nil {
		return 0, wrap("write", w.jobID, w.name, err)
	}
	n, err := w.temp.Write(p)
	if err != nil {
		w.failed = wrap("write", w.jobID, w.name, err)
	}
	return n, w.failed
}

// Commit implements [bulkexport.FileWriter].
func (w *writer) Commit() error {
	if err := w.usable(); err != nil {
		return wrap("commit", w.jobID, w.name, err)
	}
	if err := w.publish(); err != nil {
		w.failed = wrap("commit", w.jobID, w.name, err)
		return w.failed
	}
	w.ended = true
	return nil
}

func (w *writer) publish() error {
	if err := errors.Join(w.temp.Sync(), w.temp.Close()); err != nil {
		return err
	}
	// Syncing a large file takes long enough to look again.
	if err := w.ctx.Err(); err != nil {
		return err
	}
	if err := w.folder.Rename(w.tempName, w.name); err != nil {
		return err
	}
	if err := w.syncFolders(); err != nil {
		// It may not survive a crash, so it must not be seen.
		return errors.Join(err, w.folder.Remove(w.name))
	}
	_ = w.folder.Close() // the file is safe whatever this says
	return nil
}

// syncFolders syncs the sink's directory too, unless it is known to have been
// since the job's folder is in it: that may have been made by a writer that has
// not committed yet, or never will.
func (w *writer) syncFolders() error {
	if err := durable.SyncAndClose(w.folder.Open(".")); err != nil {
		return err
	}
	if w.anchored.holds(w.jobID, w.folder) {
		return nil
	}
	if err := durable.SyncAndClose(w.sink.Open(".")); err != nil {
		return err
	}
	w.anchored.add(w.jobID, w.folder, w.name)
	return nil
}

// Abort implements [bulkexport.FileWriter].
func (w *writer) Abort() error {
	if w.ended {
		return nil
	}
	w.ended = true
	_ = w.temp.Close() // a commit that failed may have done so
	err := w.folder.Remove(w.tempName)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil // the job was deleted
	}
	// This succeeds only when the job's folder is empty.
	_ = w.sink.Remove(w.jobID)
	if err := errors.Join(err, w.folder.Close()); err != nil {
		return wrap("abort", w.jobID, w.name, err)
	}
	return nil
}

// usable tells why nothing can be written any more. A file that lacks a piece
// must not be published, even by a caller who overlooked the error.
func (w *writer) usable() error {
	if w.ended {
		return errEnded
	}
	return cmp.Or(w.failed, w.ctx.Err())
}
