package blobsink

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"runtime"
	"strings"
	"time"

	"gocloud.dev/blob"

	"github.com/bulkexport/bulkexport"
)

var _ bulkexport.FileWriter = (*writer)(nil)

var (
	errEnded     = errors.New("writer was committed or aborted")
	errAborted   = errors.New("aborted")
	errPublished = errors.New("the bucket published what was aborted")
)

const (
	contentType = "application/fhir+ndjson"
	// writerKey is of the metadata that tells whose object it is.
	writerKey = "bulkexportwriter"
	// grace is how long an upload that is to end has for requests under way, and
	// for the one that removes what is stored of it.
	grace = 5 * time.Second
)

// writer hands what is written to an upload that runs beside it.
type writer struct {
	ctx         context.Context // governs the writer's whole life, by contract
	jobID, name string
	upload      *upload
	pipe        *io.PipeWriter
	unwatch     func() bool // stops watching for the end of ctx
	failed      error       // the first that Write or Commit returned
	ended       bool
}

// Create implements [bulkexport.OutputSink]. A bucket that cannot be written to is
// known only by a later Write or Commit.
func (s *Sink) Create(ctx context.Context, jobID, name string) (bulkexport.FileWriter, error) {
	key, err := s.key(jobID, name)
	if err = cmp.Or(ctx.Err(), err); err != nil {
		return nil, wrap("create", jobID, name, err)
	}
	body, pipe := io.Pipe()
	w := &writer{ctx: ctx, jobID: jobID, name: name, pipe: pipe, upload: s.begin(ctx, key, body)}
	w.unwatch = context.AfterFunc(ctx, func() { _ = pipe.CloseWithError(ctx.Err()) })
	return w, nil
}

// Write implements [bulkexport.FileWriter].
func (w *writer) Write(p []byte) (int, error) {
	if err := w.usable(); err != nil {
		return 0, wrap("write", w.jobID, w.name, err)
	}
	n, err := w.pipe.Write(p)
	if err != nil {
		// When ctx ends, the pipe just says that it is closed.
		w.failed = wrap("write", w.jobID, w.name, cmp.Or(w.ctx.Err(), err))
	}
	return n, w.failed
}

// Commit implements [bulkexport.FileWriter]. When the context ends meanwhile, it
// still waits a few seconds for what is nearly done.
func (w *writer) Commit() error {
	if err := w.usable(); err != nil {
		return wrap("commit", w.jobID, w.name, err)
	}
	_ = w.pipe.Close() // never fails
	w.unwatch()
	select {
	case <-w.upload.done:
	case <-w.ctx.Done():
		w.upload.end()
	}
	if w.upload.err != nil && !w.upload.isThere(w.ctx) {
		w.failed = wrap("commit", w.jobID, w.name, w.upload.err)
		return w.failed
	}
	w.ended = true
	return nil
}

// Abort implements [bulkexport.FileWriter]. It may take some seconds when the
// storage does not answer.
func (w *writer) Abort() error {
	if w.ended {
		return nil
	}
	w.ended = true
	w.unwatch()
	_ = w.pipe.CloseWithError(errAborted) // never fails
	w.upload.end()
	if w.upload.err == nil {
		return wrap("abort", w.jobID, w.name, errPublished)
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

// upload sends a body to a key of the bucket.
type upload struct {
	bucket *blob.Bucket
	key    string
	id     string // no other upload has it
	body   *io.PipeReader
	cancel context.CancelFunc // ends the requests of the driver
	done   chan struct{}
	err    error // to be read once done is closed
}

// begin starts an upload that is over when the body is, whatever becomes of ctx: an
// upload that is thrown away still has to remove what is stored of it.
func (s *Sink) begin(ctx context.Context, key string, body *io.PipeReader) *upload {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	u := &upload{
		bucket: s.bucket, key: key, id: rand.Text(), body: body, cancel: cancel, done: make(chan struct{}),
	}
	options := &blob.WriterOptions{
		BufferSize: s.cfg.PartSize, MaxConcurrency: s.cfg.Concurrency,
		ContentType: contentType, Metadata: map[string]string{writerKey: u.id},
	}
	if strings.HasSuffix(key, ".gz") {
		options.ContentEncoding = "gzip"
	}
	go u.run(ctx, options)
	return u
}

func (u *upload) run(ctx context.Context, options *blob.WriterOptions) {
	defer close(u.done)
	defer u.cancel()
	u.err = u.bucket.Upload(ctx, u.key, (*uploadBody)(u), options)
	_ = u.body.CloseWithError(cmp.Or(u.err, errEnded)) // a Write that waits fails
}

// end waits for an upload whose body is over, but not for long.
func (u *upload) end() {
	patience := time.NewTimer(grace)
	defer patience.Stop()
	select {
	case <-u.done:
	case <-patience.C:
		u.cancel()
		<-u.done
	}
}

// isThere reports whether the object is what this upload stored: the storage may
// have done so and its answer be lost. The end of ctx does not matter.
func (u *upload) isThere(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	found, err := u.bucket.Attributes(ctx, u.key)
	return err == nil && found.Metadata[writerKey] == u.id
}

// uploadBody is what the driver reads.
//
// When it fails the driver must not publish the part that it has read. Some drivers
// read it while they are called (memory, files, Google). Those would publish it
// when the call is over, and refrain only if the context has ended. Others read it on
// their own (S3, Azure) and see the error. They need the context, if anything is stored
// already, for the request that removes it. So the context ends for the first only.
type uploadBody upload

// Read implements io.Reader.
func (b *uploadBody) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	if err != nil && !errors.Is(err, io.EOF) && calledByRun() {
		b.cancel()
	}
	return n, err
}

// calledByRun reports whether run is among the callers, in this goroutine.
func calledByRun() bool {
	pcs := make([]uintptr, 64) // more than there are between the two
	frames := runtime.CallersFrames(pcs[:runtime.Callers(1, pcs)])
	for {
		frame, more := frames.Next()
		if strings.HasSuffix(frame.Function, "blobsink.(*upload).run") {
			return true
		}
		if !more {
			return false
		}
	}
}
