package blobsink

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"

	"gocloud.dev/blob"

	"github.com/bulkexport/bulkexport"
)

var (
	_ bulkexport.FileReader = (*reader)(nil)
	_ io.WriterTo           = (*reader)(nil)
)

var (
	errReplaced = errors.New("the file was replaced while it was read")
	errOffset   = errors.New("offset before the beginning of the file")
	errWhence   = errors.New("invalid whence")
	errClosed   = errors.New("reader is closed")
)

// copyBuffer is how much WriteTo moves at a time.
const copyBuffer = 256 << 10

// reader reads an object by ranges that go to its end.
type reader struct {
	ctx         context.Context // governs the reads
	bucket      *blob.Bucket
	options     *blob.ReaderOptions
	jobID, name string
	key         string
	size        int64
	etag        string

	offset int64        // where Read goes on
	body   *blob.Reader // nil before the first Read
	at     int64        // where body stands
	closed bool
}

// Open implements [bulkexport.OutputSink]. It asks whether the object is there, and
// for its content only at the first Read.
func (s *Sink) Open(ctx context.Context, jobID, name string) (bulkexport.FileReader, error) {
	r, err := s.open(ctx, jobID, name)
	if err != nil {
		return nil, wrap("open", jobID, name, err)
	}
	return r, nil
}

func (s *Sink) open(ctx context.Context, jobID, name string) (*reader, error) {
	key, err := s.key(jobID, name)
	if err = cmp.Or(ctx.Err(), err); err != nil {
		return nil, err
	}
	found, err := s.bucket.Attributes(ctx, key)
	if err != nil {
		return nil, orAbsent(err)
	}
	return &reader{
		ctx: ctx, bucket: s.bucket, options: &blob.ReaderOptions{BeforeRead: s.cfg.BeforeRead},
		jobID: jobID, name: name, key: key, size: found.Size, etag: found.ETag,
	}, nil
}

func orAbsent(err error) error {
	if isNotFound(err) {
		return fmt.Errorf("%w: %w", bulkexport.ErrFileNotFound, err)
	}
	return err
}

// Size implements [bulkexport.FileReader].
func (r *reader) Size() int64 { return r.size }

// Seek implements io.Seeker. It asks the storage nothing.
func (r *reader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		offset += r.offset
	case io.SeekEnd:
		offset += r.size
	default:
		return 0, wrap("seek in", r.jobID, r.name, errWhence)
	}
	if offset < 0 {
		return 0, wrap("seek in", r.jobID, r.name, errOffset)
	}
	r.offset = offset
	return offset, nil
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	switch {
	case r.closed:
		return 0, wrap("read", r.jobID, r.name, errClosed)
	case r.offset >= r.size:
		return 0, io.EOF
	case len(p) == 0:
		return 0, nil
	}
	n, err := 0, r.seekBody()
	if err == nil {
		n, err = r.readBody(p[:min(int64(len(p)), r.size-r.offset)])
	}
	if err != nil {
		err = wrap("read", r.jobID, r.name, err)
	}
	return n, err
}

// readBody leaves it to the next Read to tell the end, if it is where it should be.
func (r *reader) readBody(p []byte) (int, error) {
	n, err := r.body.Read(p)
	r.offset += int64(n)
	r.at += int64(n)
	switch {
	case r.offset == r.size && err == nil:
		return n, r.checkEnd()
	case r.offset == r.size && errors.Is(err, io.EOF):
		return n, nil
	case errors.Is(err, io.EOF):
		return n, io.ErrUnexpectedEOF
	}
	return n, err
}

// checkEnd makes sure that nothing follows: fileblob may tell the length of one file
// and open another that has just replaced it.
func (r *reader) checkEnd() error {
	n, err := io.ReadFull(r.body, make([]byte, 1))
	if n > 0 {
		return errReplaced
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// seekBody makes body stand where Read goes on.
func (r *reader) seekBody() error {
	if r.body != nil && r.at == r.offset {
		return nil
	}
	body, err := r.bucket.NewRangeReader(r.ctx, r.key, r.offset, -1, r.options)
	if err != nil {
		return orAbsent(err)
	}
	if err := r.checkVersion(body); err != nil {
		return errors.Join(err, body.Close())
	}
	if r.body != nil {
		_ = r.body.Close() // what it says does not matter any more
	}
	r.body, r.at = body, r.offset
	return nil
}

// checkVersion makes sure that body is of the same object as all that was read
// before. An answer with a range does not tell its ETag in a way that all drivers
// share. So the object is looked at again: the ETag was the same before the first
// range was asked for as after this one, hence in between. The first needs no
// proof, since there is nothing to mix it with.
func (r *reader) checkVersion(body *blob.Reader) error {
	if body.Size() != r.size {
		return errReplaced
	}
	if r.body == nil {
		return nil
	}
	found, err := r.bucket.Attributes(r.ctx, r.key)
	if err != nil {
		return orAbsent(err)
	}
	if found.ETag != r.etag {
		return errReplaced
	}
	return nil
}

// WriteTo implements io.WriterTo, for io.Copy: with its own 32 KiB much time is
// spent on calls.
func (r *reader) WriteTo(w io.Writer) (int64, error) {
	size := min(copyBuffer, max(1, r.size-r.offset))
	return io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{r}, make([]byte, size))
}

// Close implements io.Closer.
func (r *reader) Close() error {
	if r.closed {
		return nil
	}
	r.closed = true
	if r.body == nil {
		return nil
	}
	if err := r.body.Close(); err != nil {
		return wrap("close", r.jobID, r.name, err)
	}
	return nil
}
