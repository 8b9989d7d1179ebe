package bulkexport

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"slices"
)

const (
	// writerBuffer is what reaches the file in one write: large enough that the
	// call does not count, small enough for the cache.
	writerBuffer = 256 << 10
	// firstBuffer is for the many files that never have as much.
	firstBuffer = 16 << 10
)

// FileLimits say when a file is full. A file has at least one line, so a
// single resource larger than Bytes gets a file of its own.
type FileLimits struct {
	// Resources is the highest number of lines; 0 means no limit.
	Resources int64
	// Bytes is the highest length of the file; 0 means no limit.
	Bytes int64
}

// NDJSONWriter writes resources to a stream as newline-delimited JSON: each is
// one line, complete and in one piece, ended by a line feed. It counts and
// hashes what it writes. Nothing is decoded: numbers, escapes, the order of
// members and blanks stay as they are.
//
// It is used by one goroutine at a time. Call Flush before using what was
// written. After a failed write to the stream it takes nothing more.
type NDJSONWriter struct {
	limits FileLimits
	w      io.Writer
	buf    []byte
	joined []byte
	hash   hash.Hash
	count  int64
	size   int64
	err    error
}

// NewNDJSONWriter returns a writer to w. It buffers; it does not close w.
func NewNDJSONWriter(w io.Writer, limits FileLimits) *NDJSONWriter {
	return &NDJSONWriter{limits: limits, w: w, hash: sha256.New()}
}

// WriteResource adds one resource. It must be one JSON object by RFC 8259, in UTF-8,
// with a resourceType; line breaks between tokens are taken out. A resource
// that is none is a [*LineError], and the output is as if it had never been
// handed in. The resource is not kept.
func (w *NDJSONWriter) WriteResource(resource []byte) error {
	line, fault := checkLine(resource)
	if fault != nil {
		return fault
	}
	if line.breaks {
		w.joined = joinLines(w.joined[:0], resource)
		resource = w.joined
	}
	return w.writeLine(resource)
}

// writeLine adds a line that is known to be good.
func (w *NDJSONWriter) writeLine(line []byte) error {
	if w.err != nil {
		return w.err
	}
	w.count++
	w.size += int64(len(line)) + 1
	if len(w.buf)+len(line)+1 > writerBuffer {
		if err := w.Flush(); err != nil {
			return err
		}
	}
	if len(line)+1 > writerBuffer {
		w.emit(line)
		line = nil
	}
	w.grow(len(line) + 1)
	w.buf = append(append(w.buf, line...), '\n')
	return w.err
}

func (w *NDJSONWriter) grow(n int) {
	needed := len(w.buf) + n
	switch {
	case needed <= cap(w.buf):
	case needed <= firstBuffer:
		w.buf = slices.Grow(w.buf, firstBuffer)
	default:
		w.buf = append(make([]byte, 0, writerBuffer), w.buf...)
	}
}

func (w *NDJSONWriter) emit(p []byte) {
	if w.err != nil || len(p) == 0 {
		return
	}
	w.hash.Write(p)
	n, err := w.w.Write(p)
	if err == nil && n != len(p) {
		err = io.ErrShortWrite
	}
	if err != nil {
		w.err = fmt.Errorf("write NDJSON: %w", err)
	}
}

// Flush hands everything that is buffered to the stream.
func (w *NDJSONWriter) Flush() error {
	w.emit(w.buf)
	w.buf = w.buf[:0]
	return w.err
}

// Fits reports whether a resource of n bytes still belongs into the file by
// its limits. When it does not, flush, finish the file, and Reset.
func (w *NDJSONWriter) Fits(n int) bool {
	switch {
	case w.count == 0:
		return true
	case w.limits.Resources > 0 && w.count >= w.limits.Resources:
		return false
	case w.limits.Bytes > 0 && w.size+int64(n)+1 > w.limits.Bytes:
		return false
	}
	return true
}

// Count returns how many lines the file has.
func (w *NDJSONWriter) Count() int64 { return w.count }

// Size returns the length of the file in bytes.
func (w *NDJSONWriter) Size() int64 { return w.size }

// SHA256 returns the hash of what was flushed, in lower-case hexadecimal.
func (w *NDJSONWriter) SHA256() string { return hex.EncodeToString(w.hash.Sum(nil)) }

// Reset begins the next file, on a new stream, with the limits it has. What is
// still buffered is dropped.
func (w *NDJSONWriter) Reset(stream io.Writer) {
	w.w, w.err = stream, nil
	w.buf, w.count, w.size = w.buf[:0], 0, 0
	w.hash.Reset()
}
