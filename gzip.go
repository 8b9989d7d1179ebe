package bulkexport

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/flate"
)

// A gzip file is one member, since libcurl and others stop after the first, but
// in pieces that do not look back: each is compressed without what was before and
// ends at a whole byte. So one can begin to inflate at any of them.
const (
	// gzipPiece is how many bytes of lines a piece has; the last one may have
	// fewer. Larger ones compress hardly better, and to read a few bytes from the
	// middle of a file means to inflate one. It is part of the stored form.
	gzipPiece = 1 << 20

	// RFC 1952: deflate, no name, no time, unknown system.
	gzipHeader = "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
	// gzipFinal is a final block of nothing.
	gzipFinal       = "\x03\x00"
	gzipTrailerSize = 8
)

// gzipWriter writes a gzip file.
type gzipWriter struct {
	w     io.Writer
	zip   *flate.Writer
	piece bytes.Buffer // what is compressed of the piece in the making
	plain int          // how many bytes that stands for
	sum   uint32       // of all lines
	size  uint32
	// lengths are those of the pieces that are written; the first one has the
	// header, the last one the trailer.
	lengths []int64
}

// newGzipWriter takes levels from 1 to 9.
func newGzipWriter(level int) (*gzipWriter, error) {
	w := &gzipWriter{}
	var err error
	w.zip, err = flate.NewWriter(&w.piece, level)
	return w, err
}

// reset begins a file.
func (w *gzipWriter) reset(stream io.Writer) {
	w.w, w.lengths, w.sum, w.size = stream, nil, 0, 0
	w.begin()
	w.piece.WriteString(gzipHeader)
}

func (w *gzipWriter) begin() {
	w.piece.Reset()
	w.zip.Reset(&w.piece)
	w.plain = 0
}

// Write implements io.Writer.
func (w *gzipWriter) Write(p []byte) (n int, err error) {
	for n < len(p) {
		if w.plain == gzipPiece {
			if err := w.next(); err != nil {
				return n, err
			}
		}
		some := p[n:min(len(p), n+gzipPiece-w.plain)]
		if _, err := w.zip.Write(some); err != nil {
			return n, fmt.Errorf("compress: %w", err)
		}
		w.sum = crc32.Update(w.sum, crc32.IEEETable, some)
		w.size += uint32(len(some))
		w.plain += len(some)
		n += len(some)
	}
	return n, nil
}

// next writes the piece in the making and begins another.
func (w *gzipWriter) next() error {
	if err := w.zip.Flush(); err != nil {
		return fmt.Errorf("compress: %w", err)
	}
	err := w.emit()
	w.begin()
	return err
}

func (w *gzipWriter) emit() error {
	n, err := w.w.Write(w.piece.Bytes())
	if err == nil && n != w.piece.Len() {
		err = io.ErrShortWrite
	}
	w.lengths = append(w.lengths, int64(n))
	return err
}

// end completes the file.
func (w *gzipWriter) end() error {
	if err := w.zip.Flush(); err != nil {
		return fmt.Errorf("compress: %w", err)
	}
	w.piece.WriteString(gzipFinal)
	trailer := binary.LittleEndian.AppendUint32(w.piece.AvailableBuffer(), w.sum)
	w.piece.Write(binary.LittleEndian.AppendUint32(trailer, w.size))
	return w.emit()
}

var errGzipSum = errors.New("the lines are not those that were written")

// gzipReader reads the lines of a gzip file. To go to a place means to inflate
// from the beginning of its piece.
type gzipReader struct {
	FileReader // the gzip file
	file       File

	pos int64 // of the next Read, in the lines
	at  int64 // of zip, in the lines
	in  *bufio.Reader
	zip io.ReadCloser // nil before the first Read
	// whole is true as long as all was read from the beginning; sum is of that.
	whole bool
	sum   uint32
	err   error // comes again
}

func newGzipReader(stored FileReader, file File) *gzipReader {
	return &gzipReader{FileReader: stored, file: file}
}

// Size implements FileReader.
func (r *gzipReader) Size() int64 { return r.file.Size }

// Seek implements io.Seeker. It moves nothing yet.
func (r *gzipReader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.pos
	case io.SeekEnd:
		offset += r.file.Size
	}
	if offset < 0 {
		return 0, errors.New("seek before the beginning")
	}
	r.pos = offset
	return offset, nil
}

// Read implements io.Reader. Who has read all lines from the first on is told if
// they are not those that were written, before the end.
func (r *gzipReader) Read(p []byte) (int, error) {
	switch {
	case r.err != nil:
		return 0, r.err
	case r.pos >= r.file.Size:
		return 0, io.EOF
	}
	n, err := r.read(p[:min(int64(len(p)), r.file.Size-r.pos)])
	if err != nil {
		r.err = fmt.Errorf("inflate: %w", noEnd(err))
		return 0, r.err
	}
	return n, nil
}

func (r *gzipReader) read(p []byte) (int, error) {
	if r.zip == nil || r.at != r.pos {
		if err := r.jump(); err != nil {
			return 0, err
		}
	}
	n, err := r.zip.Read(p)
	if n == 0 {
		return 0, err
	}
	r.at += int64(n)
	r.pos = r.at
	if r.whole {
		r.sum = crc32.Update(r.sum, crc32.IEEETable, p[:n])
		if r.at == r.file.Size {
			return n, r.check()
		}
	}
	return n, nil
}

// noEnd turns an end that comes too early into an error.
func noEnd(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// jump goes to pos. From there on the pieces follow each other.
func (r *gzipReader) jump() error {
	start := int64(len(gzipHeader))
	piece := min(r.pos/gzipPiece, int64(len(r.file.Gzip)))
	for i, length := range r.file.Gzip[:piece] {
		if start += length; i == 0 {
			start -= int64(len(gzipHeader)) // which the first one has
		}
	}
	if _, err := r.FileReader.Seek(start, io.SeekStart); err != nil {
		return err
	}
	if r.in == nil {
		r.in = bufio.NewReaderSize(r.FileReader, 64<<10)
	}
	r.in.Reset(r.FileReader)
	r.zip = flate.NewReader(r.in)
	r.at, r.whole, r.sum = r.pos, r.pos == 0, 0
	_, err := io.CopyN(io.Discard, r.zip, r.pos%gzipPiece)
	return err
}

// check compares with the trailer.
func (r *gzipReader) check() error {
	var trailer [gzipTrailerSize]byte
	if n, err := r.zip.Read(trailer[:1]); n > 0 || !errors.Is(err, io.EOF) {
		return errors.Join(errGzipSum, err)
	}
	if _, err := io.ReadFull(r.in, trailer[:]); err != nil {
		return err
	}
	if binary.LittleEndian.Uint32(trailer[:]) != r.sum {
		return errGzipSum
	}
	return nil
}
