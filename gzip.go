package bulkexport

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
)

// gzipMember is how many bytes of lines a member of a gzip file has; the last
// one may have fewer. Larger ones compress hardly better, and to read a few
// bytes from the middle of a file means to inflate one. It is part of the stored
// form: a file is read with the length that it was written with.
const gzipMember = 1 << 20

// gzipWriter writes a file as members, each of which can be inflated on its own.
type gzipWriter struct {
	w      io.Writer
	zip    *gzip.Writer
	member bytes.Buffer // what is compressed of the member in the making
	plain  int          // how many bytes that stands for
	// lengths are those of the members that are written.
	lengths []int64
}

// newGzipWriter takes levels from 1 to 9.
func newGzipWriter(level int) (*gzipWriter, error) {
	w := &gzipWriter{}
	var err error
	w.zip, err = gzip.NewWriterLevel(&w.member, level)
	return w, err
}

// reset begins a file.
func (w *gzipWriter) reset(stream io.Writer) {
	w.w, w.plain, w.lengths = stream, 0, nil
	w.begin()
}

func (w *gzipWriter) begin() {
	w.member.Reset()
	w.zip.Reset(&w.member)
	w.plain = 0
}

// Write implements io.Writer.
func (w *gzipWriter) Write(p []byte) (n int, err error) {
	for n < len(p) {
		piece := p[n:min(len(p), n+gzipMember-w.plain)]
		if _, err := w.zip.Write(piece); err != nil {
			return n, fmt.Errorf("compress: %w", err)
		}
		n += len(piece)
		w.plain += len(piece)
		if w.plain < gzipMember {
			break
		}
		if err := w.end(); err != nil {
			return n, err
		}
	}
	return n, nil
}

// end writes the member in the making, if it has anything.
func (w *gzipWriter) end() error {
	if w.plain == 0 {
		return nil
	}
	if err := w.zip.Close(); err != nil {
		return fmt.Errorf("compress: %w", err)
	}
	n, err := w.w.Write(w.member.Bytes())
	if err == nil && n != w.member.Len() {
		err = io.ErrShortWrite
	}
	if err != nil {
		return err
	}
	w.lengths = append(w.lengths, int64(n))
	w.begin()
	return nil
}

// gzipReader reads the lines of a gzip file. To go to a place means to inflate
// from the beginning of its member.
type gzipReader struct {
	FileReader // the gzip file
	file       File

	pos int64 // of the next Read, in the lines
	at  int64 // of zip, in the lines
	in  *bufio.Reader
	zip *gzip.Reader // nil before the first Read
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

// Read implements io.Reader.
func (r *gzipReader) Read(p []byte) (int, error) {
	if r.pos >= r.file.Size {
		return 0, io.EOF
	}
	if r.zip == nil || r.at != r.pos {
		if err := r.jump(); err != nil {
			return 0, fmt.Errorf("inflate: %w", noEnd(err))
		}
	}
	n, err := r.zip.Read(p)
	r.at += int64(n)
	r.pos = r.at
	if err != nil && n == 0 {
		return 0, fmt.Errorf("inflate: %w", noEnd(err))
	}
	return n, nil // an error comes again
}

// noEnd turns an end that comes too early into an error.
func noEnd(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// jump goes to pos. From there on the members follow each other.
func (r *gzipReader) jump() error {
	var start int64
	member := r.pos / gzipMember
	for _, length := range r.file.Gzip[:min(member, int64(len(r.file.Gzip)))] {
		start += length
	}
	if _, err := r.FileReader.Seek(start, io.SeekStart); err != nil {
		return err
	}
	if err := r.restart(); err != nil {
		return err
	}
	r.at = r.pos
	_, err := io.CopyN(io.Discard, r.zip, r.pos%gzipMember)
	return err
}

// restart inflates from where the file is.
func (r *gzipReader) restart() (err error) {
	if r.zip != nil {
		r.in.Reset(r.FileReader)
		return r.zip.Reset(r.in)
	}
	r.in = bufio.NewReaderSize(r.FileReader, 64<<10)
	zip, err := gzip.NewReader(r.in)
	if err == nil {
		r.zip = zip
	}
	return err
}
