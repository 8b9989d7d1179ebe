package cryptsink_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/sink/cryptsink"
	"github.com/bulkexport/bulkexport/sink/memsink"
)

// countingSink counts what its readers do: each jump may be a request to the storage.
type countingSink struct {
	bulkexport.OutputSink
	jumps, bytes int64
}

func (s *countingSink) Open(ctx context.Context, job, name string) (bulkexport.FileReader, error) {
	r, err := s.OutputSink.Open(ctx, job, name)
	return &countingReader{FileReader: r, sink: s, at: -1}, err
}

type countingReader struct {
	bulkexport.FileReader
	sink    *countingSink
	pos, at int64 // of the next Read, and after the last
}

func (r *countingReader) Seek(offset int64, whence int) (pos int64, err error) {
	r.pos, err = r.FileReader.Seek(offset, whence)
	return r.pos, err
}

func (r *countingReader) Read(p []byte) (int, error) {
	if r.pos != r.at {
		r.sink.jumps++
	}
	n, err := r.FileReader.Read(p)
	r.pos += int64(n)
	r.at = r.pos
	r.sink.bytes += int64(n)
	return n, err
}

// TestReadingIsSequential has one range for a small file, and for a larger one the
// beginning, the end, and the rest. Nothing but the end is read twice.
func TestReadingIsSequential(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ length, jumps int }{
		{0, 1}, {1000, 1}, {chunk, 1}, {chunk + 1, 3}, {20*chunk + 5, 3},
	} {
		for _, piece := range []int{1000, 32 << 10, chunk, 256 << 10, 1 << 20} {
			inner := &countingSink{OutputSink: memsink.New()}
			sink := cryptsink.New(inner, cryptsink.NewMemoryKeys())
			plain := data(1, c.length)
			put(t, sink, job, name, plain)
			r, err := sink.Open(t.Context(), job, name)
			require.NoError(t, err)
			var got bytes.Buffer
			_, err = io.CopyBuffer(struct{ io.Writer }{&got}, struct{ io.Reader }{r}, make([]byte, piece))
			require.NoError(t, err)
			require.NoError(t, r.Close())
			require.True(t, bytes.Equal(plain, got.Bytes()))
			require.LessOrEqual(t, inner.jumps, int64(c.jumps), "%d by %d", c.length, piece)
			require.LessOrEqual(t, inner.bytes, int64(header+(c.length/chunk+2)*sealed), "%d by %d", c.length, piece)
		}
	}
}

// TestRangeReadsLittle is what a download does that is resumed.
func TestRangeReadsLittle(t *testing.T) {
	t.Parallel()
	inner := &countingSink{OutputSink: memsink.New()}
	sink := cryptsink.New(inner, cryptsink.NewMemoryKeys())
	plain := data(1, 100*chunk)
	put(t, sink, job, name, plain)
	r, err := sink.Open(t.Context(), job, name)
	require.NoError(t, err)
	const from, length = 50*chunk - 10, 3 * chunk
	_, err = r.Seek(from, io.SeekStart)
	require.NoError(t, err)
	got := make([]byte, length)
	_, err = io.ReadFull(r, got)
	require.NoError(t, err)
	require.True(t, bytes.Equal(plain[from:from+length], got))
	require.EqualValues(t, 3, inner.jumps)
	require.LessOrEqual(t, inner.bytes, int64(8*sealed))
	require.NoError(t, r.Close())
}

// replacedSink is one whose files are replaced while they are opened, a few times: a
// reader says so with the last bytes that it was asked for.
type replacedSink struct {
	bulkexport.OutputSink
	times *int
}

func (s replacedSink) Open(ctx context.Context, job, name string) (bulkexport.FileReader, error) {
	r, err := s.OutputSink.Open(ctx, job, name)
	*s.times--
	if *s.times < 0 {
		return r, err
	}
	return replacedReader{r}, err
}

type replacedReader struct{ bulkexport.FileReader }

var errReplaced = errors.New("the file was replaced")

func (r replacedReader) Read(p []byte) (int, error) {
	n, err := r.FileReader.Read(p)
	return n, errors.Join(err, errReplaced)
}

func TestFileIsReplacedWhileItIsOpened(t *testing.T) {
	t.Parallel()
	for _, length := range []int{100, 2 * chunk} {
		times := 0
		sink := cryptsink.New(replacedSink{memsink.New(), &times}, cryptsink.NewMemoryKeys())
		plain := data(1, length)
		put(t, sink, job, name, plain)
		times = 3
		require.True(t, bytes.Equal(plain, content(t, sink, job, name)))
		times = 1000
		_, _, err := read(t, sink, job, name)
		require.ErrorIs(t, err, errReplaced, "it does not go on for ever")
		require.Greater(t, times, 900)
	}
}
