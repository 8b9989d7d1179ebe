package cryptsink

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"

	"github.com/bulkexport/bulkexport"
)

var _ bulkexport.FileReader = (*reader)(nil)

// reader reads the plain file.
type reader struct {
	file  *stored
	seal  seal
	plain *io.SectionReader
	buf   *bufio.Reader // of plain, for reads below a chunk
	pos   int64         // of the next Read
}

// open reads the header and the last chunk.
func (r *reader) open() error {
	if err := r.file.readHead(); err != nil {
		return err
	}
	plain, size, err := age.DecryptReaderAt(r.file, r.file.Size(), r.seal)
	switch {
	case r.file.failed != nil:
		return r.file.failed
	case errors.Is(err, errOtherKey):
		return err
	case err != nil:
		// What age says may quote the file, which is plain if another sink wrote it.
		return ErrDamaged
	}
	r.plain = io.NewSectionReader(plain, 0, size)
	r.buf = bufio.NewReaderSize(r.plain, int(min(size, chunkSize)))
	return nil
}

// Size implements [bulkexport.FileReader].
func (r *reader) Size() int64 { return r.plain.Size() }

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	n, err := r.buf.Read(p)
	r.pos += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		err = wrap("read", r.seal.jobID, r.seal.name, r.fault(err))
	}
	return n, err
}

// fault tells trouble with the storage from damage.
func (r *reader) fault(err error) error {
	if r.file.failed != nil {
		return err
	}
	return fmt.Errorf("%w: %w", ErrDamaged, err)
}

// Seek implements io.Seeker. It reads nothing.
func (r *reader) Seek(offset int64, whence int) (int64, error) {
	if whence == io.SeekCurrent {
		offset, whence = offset+r.pos, io.SeekStart
	}
	pos, err := r.plain.Seek(offset, whence)
	if err != nil {
		return 0, wrap("seek in", r.seal.jobID, r.seal.name, err)
	}
	r.pos = pos
	r.buf.Reset(r.plain)
	return pos, nil
}

// Close implements io.Closer.
func (r *reader) Close() error { return r.file.Close() }

// stored makes an io.ReaderAt of a file, for one goroutine. Where the storage takes a
// request for each jump, there are few: reads follow each other.
type stored struct {
	bulkexport.FileReader
	// head is what the file begins with: the header and a chunk, or all of a small
	// file.
	head   []byte
	failed error // of the file, the last
}

func (s *stored) readHead() error {
	head := make([]byte, min(s.Size(), int64(headerSize)+sealedSize))
	_, err := s.readFile(head, 0)
	s.head = head
	return err
}

// ReadAt implements io.ReaderAt.
func (s *stored) ReadAt(p []byte, off int64) (int, error) {
	s.failed = nil
	if off < int64(len(s.head)) && off+int64(len(p)) <= int64(len(s.head)) {
		return copy(p, s.head[off:]), nil
	}
	return s.readFile(p, off)
}

func (s *stored) readFile(p []byte, off int64) (n int, err error) {
	_, err = s.Seek(off, io.SeekStart)
	// Unlike io.ReadFull it heeds an error that comes with the last bytes.
	for n < len(p) && err == nil {
		var some int
		some, err = s.Read(p[n:])
		n += some
	}
	if n == len(p) && errors.Is(err, io.EOF) {
		err = nil
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF // it has its length
	}
	s.failed = err
	return n, err
}
