package bulkexport_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/sink/memsink"
)

// wideSource has so many resources that a file has several pieces, which do not
// end where lines do.
func wideSource() *listSource {
	s := &listSource{lists: map[string][]string{}}
	random := rand.New(rand.NewPCG(1, 2))
	text := strings.Repeat("lorem ", 180)
	for i := range 3000 {
		patient := fmt.Sprintf(`{"resourceType":"Patient","id":"%d","n":%d,"text":%q}`, i, random.Int64(), text)
		s.lists["Patient"] = append(s.lists["Patient"], patient)
	}
	s.lists["Observation"] = []string{`{"resourceType":"Observation","id":"1"}`}
	return s
}

// stored reads a file of the sink as it is there.
func (k *kit) sinkContent(id, name string) []byte {
	k.Helper()
	reader, err := k.sink.Open(k.Context(), id, name)
	require.NoError(k, err)
	content, err := io.ReadAll(reader)
	require.NoError(k, err)
	require.NoError(k, reader.Close())
	return content
}

func inflated(t *testing.T, zipped []byte) string {
	t.Helper()
	zip, err := gzip.NewReader(bytes.NewReader(zipped))
	require.NoError(t, err)
	plain, err := io.ReadAll(zip)
	require.NoError(t, err)
	return string(plain)
}

// requireOneMember is for clients that stop after the first one.
func requireOneMember(t *testing.T, zipped []byte) {
	t.Helper()
	in := bytes.NewReader(zipped)
	zip, err := gzip.NewReader(in)
	require.NoError(t, err)
	zip.Multistream(false)
	_, err = io.Copy(io.Discard, zip)
	require.NoError(t, err)
	require.Zero(t, in.Len(), "bytes after the first member")
}

// TestGzip compares an export that is stored as gzip with one that is not.
func TestGzip(t *testing.T) {
	t.Parallel()
	for level := range 10 {
		t.Run(strconv.Itoa(level), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				source := wideSource()
				k := newKit(t, bulkexport.Config{Source: source, GzipLevel: level, MaxFileResources: 2000})
				k.start()
				defer k.stop()
				id := k.kickOff()
				status := k.wait(id)
				require.Equal(t, source.all("Patient", "Observation"), k.lines(id))
				require.Len(t, status.Files, 3)
				var sum int64
				for _, file := range status.Files {
					stored := k.sinkContent(id, file.Name)
					require.EqualValues(t, len(stored), file.StoredSize())
					sum += file.StoredSize()
					if level == 0 {
						require.Nil(t, file.Gzip)
						continue
					}
					require.True(t, strings.HasSuffix(file.Name, ".ndjson.gz"), file.Name)
					require.Less(t, file.StoredSize(), max(file.Size, 100))
					hash := sha256.Sum256([]byte(inflated(t, stored)))
					require.Equal(t, file.SHA256, hex.EncodeToString(hash[:]))
					require.Len(t, file.Gzip, int((file.Size+1<<20-1)>>20))
					requireOneMember(t, stored)
				}
				require.Equal(t, sum, k.status(id).Job.Size)
			})
		})
	}
}

func TestGzipAtAnyPlace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t, bulkexport.Config{Source: wideSource(), GzipLevel: 1})
		k.start()
		defer k.stop()
		id := k.kickOff("Patient")
		k.wait(id)
		want := k.content(id, "Patient.ndjson")
		size := int64(len(want))
		require.Greater(t, size, int64(3<<20))
		file, err := k.exporter.OpenFile(t.Context(), alice, id, "Patient.ndjson")
		require.NoError(t, err)
		defer file.Close()
		random := rand.New(rand.NewPCG(3, 4))
		places := []int64{0, 1<<20 - 1, 1 << 20, 1<<20 + 1, 2 << 20, size - 1, size}
		for range 50 {
			places = append(places, random.Int64N(size))
		}
		for _, place := range places {
			length := min(random.Int64N(300_000), size-place)
			at, err := file.Seek(place-size, io.SeekEnd)
			require.NoError(t, err)
			require.Equal(t, place, at)
			got := make([]byte, length)
			_, err = io.ReadFull(file, got)
			require.NoError(t, err)
			require.True(t, want[place:place+length] == string(got), "%d bytes from %d", length, place)
			at, err = file.Seek(0, io.SeekCurrent)
			require.NoError(t, err)
			require.Equal(t, place+length, at)
		}
		_, err = file.Seek(1, io.SeekEnd)
		require.NoError(t, err)
		_, err = file.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
		_, err = file.Seek(-1, io.SeekStart)
		require.Error(t, err)
	})
}

func TestGzipReaders(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t, bulkexport.Config{Source: wideSource(), GzipLevel: 1})
		k.start()
		defer k.stop()
		id := k.kickOff("Patient")
		status := k.wait(id)
		file, err := k.exporter.OpenFile(t.Context(), alice, id, "Patient.ndjson")
		require.NoError(t, err)
		require.EqualValues(t, file.File.StoredSize(), file.Gzip.Size())
		zipped, err := io.ReadAll(file.Gzip)
		require.NoError(t, err)
		require.NoError(t, file.Gzip.Close())
		require.Equal(t, k.sinkContent(id, status.Files[0].Name), zipped)
		require.Equal(t, k.content(id, "Patient.ndjson"), inflated(t, zipped))
	})
}

// tamperingSink changes what is written.
type tamperingSink struct {
	*memsink.Sink
	change func([]byte) []byte
}

type tamperingWriter struct {
	bulkexport.FileWriter
	change  func([]byte) []byte
	content []byte
}

func (s tamperingSink) Create(ctx context.Context, jobID, name string) (bulkexport.FileWriter, error) {
	w, err := s.Sink.Create(ctx, jobID, name)
	return &tamperingWriter{FileWriter: w, change: s.change}, err
}

func (w *tamperingWriter) Write(p []byte) (int, error) {
	w.content = append(w.content, p...)
	return len(p), nil
}

func (w *tamperingWriter) Commit() error {
	_, err := w.FileWriter.Write(w.change(w.content))
	return errors.Join(err, w.FileWriter.Commit())
}

// TestGzipDamage has the medium damage a stored file: whoever reads its lines is
// told, and gets none that were not there.
func TestGzipDamage(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func([]byte) []byte{
		"flipped": func(b []byte) []byte { b[len(b)/2] ^= 0x10; return b },
		"zeroed":  func(b []byte) []byte { clear(b[len(b)/2:]); return b },
		"trailer": func(b []byte) []byte { b[len(b)-8] ^= 1; return b },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				source := wideSource()
				k := newKit(t, bulkexport.Config{
					Source: source, GzipLevel: 1, Sink: tamperingSink{memsink.New(), change},
				})
				k.start()
				defer k.stop()
				id := k.kickOff("Patient")
				require.Equal(t, bulkexport.JobCompleted, k.wait(id).Job.State)
				file, err := k.exporter.OpenFile(t.Context(), alice, id, "Patient.ndjson")
				require.NoError(t, err)
				defer file.Close()
				_, err = io.ReadAll(file)
				require.ErrorContains(t, err, "inflate")
				_, again := file.Read(make([]byte, 1))
				require.Equal(t, err, again)
			})
		})
	}
}

func TestGzipLevelIsChecked(t *testing.T) {
	t.Parallel()
	for _, level := range []int{-1, 10} {
		_, err := bulkexport.New(bulkexport.Config{GzipLevel: level})
		require.ErrorContains(t, err, "GzipLevel")
	}
}
