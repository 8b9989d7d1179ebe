package cryptsink_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/sink/cryptsink"
	"github.com/bulkexport/bulkexport/sink/memsink"
)

// vault is a sink whose stored bytes a test changes.
type vault struct {
	bulkexport.OutputSink
	inner *memsink.Sink
	keys  *cryptsink.MemoryKeys
}

func newVault() vault {
	inner, keys := memsink.New(), cryptsink.NewMemoryKeys()
	return vault{cryptsink.New(inner, keys), inner, keys}
}

// requireDamaged opens and reads what is stored now: there is an error, and no byte
// that was not written.
func (v vault) requireDamaged(t *testing.T, stored, plain []byte, about ...any) {
	t.Helper()
	put(t, v.inner, job, name, stored)
	size, got, err := read(t, v, job, name)
	require.ErrorIs(t, err, cryptsink.ErrDamaged, about...)
	require.ErrorContains(t, err, job)
	require.ErrorContains(t, err, name)
	require.NotErrorIs(t, err, io.EOF)
	require.NotErrorIs(t, err, bulkexport.ErrPermanent)
	require.True(t, bytes.HasPrefix(plain, got), about...)
	require.True(t, size == 0 || size == int64(len(plain)), about...)
}

func TestFlippedBits(t *testing.T) {
	t.Parallel()
	for _, length := range []int{0, 100, chunk, 3*chunk + 100} {
		v := newVault()
		plain := data(1, length)
		put(t, v, job, name, plain)
		stored := content(t, v.inner, job, name)
		keyID := len("age-encryption.org/v1\n-> github.com/bulkexport/cryptsink ")
		for _, at := range places(len(stored)) {
			if at >= keyID && at < keyID+22 {
				continue // TestOtherKeyID
			}
			changed := bytes.Clone(stored)
			changed[at] ^= 1 << (at % 8)
			v.requireDamaged(t, changed, plain, length, at)
		}
	}
}

// places are the bytes of the header, and around the bounds of chunks.
func places(length int) (places []int) {
	for at := range length {
		if at < header || (at-header)%sealed < 20 || (at-header)%sealed > sealed-20 || at > length-20 {
			places = append(places, at)
		}
	}
	return places
}

// TestOtherKeyID has a header that names another key: it looks as a file of a job does
// that was deleted.
func TestOtherKeyID(t *testing.T) {
	t.Parallel()
	v := newVault()
	put(t, v, job, name, data(1, 100))
	stored := content(t, v.inner, job, name)
	at := len("age-encryption.org/v1\n-> github.com/bulkexport/cryptsink ")
	for i := range 22 {
		changed := bytes.Clone(stored)
		if changed[at+i] = 'A'; stored[at+i] == 'A' {
			changed[at+i] = 'B'
		}
		put(t, v.inner, job, name, changed)
		_, _, err := read(t, v, job, name)
		require.ErrorIs(t, err, bulkexport.ErrFileNotFound)
	}
}

func TestCutShort(t *testing.T) {
	t.Parallel()
	v := newVault()
	plain := data(1, 3*chunk+100)
	put(t, v, job, name, plain)
	stored := content(t, v.inner, job, name)
	for _, length := range places(len(stored)) {
		v.requireDamaged(t, stored[:length], plain, length)
	}
	for _, chunks := range []int{1, 2, 3} { // whole chunks are left
		v.requireDamaged(t, stored[:header+chunks*sealed], plain, chunks)
	}
}

func TestExtended(t *testing.T) {
	t.Parallel()
	for _, length := range []int{0, 100, chunk - 1, chunk, 2 * chunk} {
		v := newVault()
		plain := data(1, length)
		put(t, v, job, name, plain)
		stored := content(t, v.inner, job, name)
		for _, more := range [][]byte{{0}, make([]byte, 16), make([]byte, sealed), stored[header:], stored} {
			v.requireDamaged(t, slices.Concat(stored, more), plain, length, len(more))
		}
	}
}

func TestMovedChunks(t *testing.T) {
	t.Parallel()
	v := newVault()
	plain := data(1, 4*chunk)
	put(t, v, job, name, plain)
	stored := content(t, v.inner, job, name)
	part := func(i int) []byte { return stored[header+i*sealed : header+(i+1)*sealed] }
	head := stored[:header]
	v.requireDamaged(t, slices.Concat(head, part(1), part(0), part(2), part(3)), plain, "swapped")
	v.requireDamaged(t, slices.Concat(head, part(0), part(0), part(2), part(3)), plain, "repeated")
	v.requireDamaged(t, slices.Concat(head, part(0), part(1), part(3)), plain, "left out")

	put(t, v, job, other, data(2, 4*chunk))
	second := content(t, v.inner, job, other)
	v.requireDamaged(t, slices.Concat(head, part(0), second[header+sealed:]), plain, "of another file")
	v.requireDamaged(t, slices.Concat(second[:header], stored[header:]), plain, "below another header")
}

// TestSwappedFiles moves whole files to other names and jobs. Two jobs never have the
// same key, but if a provider errs they are still told apart.
func TestSwappedFiles(t *testing.T) {
	t.Parallel()
	v := newVault()
	plain := data(1, 1000)
	put(t, v, job, other, plain)
	put(t, v, otherJob, name, plain)
	v.requireDamaged(t, content(t, v.inner, job, other), plain, "another name")

	put(t, v.inner, job, name, content(t, v.inner, otherJob, name))
	_, _, err := read(t, v, job, name)
	require.ErrorIs(t, err, bulkexport.ErrFileNotFound, "another job")

	same := sameKey{v.keys}
	errs := cryptsink.New(v.inner, same)
	put(t, errs, otherJob, name, plain)
	require.Equal(t, plain, content(t, errs, otherJob, name))
	put(t, v.inner, job, name, content(t, v.inner, otherJob, name))
	_, _, err = read(t, errs, job, name)
	require.ErrorIs(t, err, cryptsink.ErrDamaged, "another job with the same key")
}

// sameKey gives all jobs the key of one.
type sameKey struct{ cryptsink.Keys }

func (k sameKey) CreateKey(ctx context.Context, _ string) (cryptsink.Key, error) {
	return k.Keys.CreateKey(ctx, job)
}

func (k sameKey) Key(ctx context.Context, _ string) (cryptsink.Key, error) {
	return k.Keys.Key(ctx, job)
}

// TestPlainFile has a file that was stored before encryption: it is not served, and
// what is in it does not get into the error.
func TestPlainFile(t *testing.T) {
	t.Parallel()
	v := newVault()
	put(t, v, job, other, nil) // which makes the key
	for _, lines := range []string{
		`{"resourceType":"Patient","id":"secret"}` + "\n", "secret", "secret\n",
		"age-encryption.org/v1\nsecret\n", "age-encryption.org/v1\n-> secret\n--- secret\n",
	} {
		put(t, v.inner, job, name, []byte(lines))
		_, _, err := read(t, v, job, name)
		require.ErrorIs(t, err, cryptsink.ErrDamaged)
		require.NotContains(t, err.Error(), "secret")
		require.NotContains(t, err.Error(), "resourceType")
	}
}

// brokenSink fails to read from one place on.
type brokenSink struct {
	bulkexport.OutputSink
	from *int64
}

var errStorage = errors.New("storage is away")

func (s brokenSink) Open(ctx context.Context, job, name string) (bulkexport.FileReader, error) {
	r, err := s.OutputSink.Open(ctx, job, name)
	return &brokenReader{FileReader: r, from: s.from}, err
}

type brokenReader struct {
	bulkexport.FileReader
	from *int64
	pos  int64
}

func (r *brokenReader) Seek(offset int64, whence int) (pos int64, err error) {
	r.pos, err = r.FileReader.Seek(offset, whence)
	return r.pos, err
}

func (r *brokenReader) Read(p []byte) (int, error) {
	if r.pos >= *r.from {
		return 0, errStorage
	}
	n, err := r.FileReader.Read(p[:min(len(p), int(*r.from-r.pos))])
	r.pos += int64(n)
	return n, err
}

// TestTroubleIsNoDamage has the storage fail: the file is not blamed, and the reader
// goes on when the storage does.
func TestTroubleIsNoDamage(t *testing.T) {
	t.Parallel()
	var from int64
	v := newVault()
	sink := cryptsink.New(brokenSink{v.inner, &from}, v.keys)
	plain := data(1, 3*chunk+100)
	put(t, sink, job, name, plain)
	length := int64(len(content(t, v.inner, job, name)))
	requireTrouble := func(err error) {
		t.Helper()
		require.ErrorIs(t, err, errStorage)
		require.NotErrorIs(t, err, cryptsink.ErrDamaged)
		require.NotErrorIs(t, err, bulkexport.ErrFileNotFound)
	}
	for _, from = range []int64{0, 10, header, 2 * sealed, length - 1} {
		_, err := sink.Open(t.Context(), job, name)
		requireTrouble(err)
	}
	from = length
	r, err := sink.Open(t.Context(), job, name)
	require.NoError(t, err)
	from = header + 2*sealed + 1
	got, err := io.ReadAll(r)
	requireTrouble(err)
	require.True(t, bytes.HasPrefix(plain, got))
	from = length
	rest, err := io.ReadAll(r)
	require.NoError(t, err)
	require.True(t, bytes.Equal(plain, append(got, rest...)))
	require.NoError(t, r.Close())
}

// troubledKeys are away.
type troubledKeys struct {
	cryptsink.Keys
	err error
}

func (k *troubledKeys) CreateKey(ctx context.Context, job string) (cryptsink.Key, error) {
	if k.err != nil {
		return cryptsink.Key{}, k.err
	}
	return k.Keys.CreateKey(ctx, job)
}

func (k *troubledKeys) Key(ctx context.Context, job string) (cryptsink.Key, error) {
	if k.err != nil {
		return cryptsink.Key{}, k.err
	}
	return k.Keys.Key(ctx, job)
}

func (k *troubledKeys) DeleteKey(ctx context.Context, job string) error {
	if k.err != nil {
		return k.err
	}
	return k.Keys.DeleteKey(ctx, job)
}

func TestTroubleWithKeys(t *testing.T) {
	t.Parallel()
	inner, keys := memsink.New(), &troubledKeys{Keys: cryptsink.NewMemoryKeys()}
	sink := cryptsink.New(inner, keys)
	put(t, sink, job, name, data(1, 100))
	w, err := sink.Create(t.Context(), job, other)
	require.NoError(t, err)
	for _, keys.err = range []error{errors.New("away"), bulkexport.ErrPermanent} {
		_, err = sink.Create(t.Context(), job, "another")
		require.ErrorIs(t, err, keys.err)
		_, err = sink.Open(t.Context(), job, name)
		require.ErrorIs(t, err, keys.err)
		require.NotErrorIs(t, err, bulkexport.ErrFileNotFound)
		require.ErrorContains(t, err, job)
	}
	require.ErrorIs(t, w.Commit(), keys.err)
	require.ErrorIs(t, w.Commit(), keys.err, "after an error it cannot be committed")
	_, err = w.Write([]byte("a"))
	require.ErrorIs(t, err, keys.err)
	require.NoError(t, w.Abort())
	_, _, err = read(t, inner, job, other)
	require.ErrorIs(t, err, bulkexport.ErrFileNotFound)

	// The files go all the same, and the key with the next call.
	require.ErrorIs(t, sink.DeleteJob(t.Context(), job), keys.err)
	_, _, err = read(t, inner, job, name)
	require.ErrorIs(t, err, bulkexport.ErrFileNotFound)
	keys.err = nil
	require.NoError(t, sink.DeleteJob(t.Context(), job))
	_, err = keys.Key(t.Context(), job)
	require.ErrorIs(t, err, cryptsink.ErrKeyNotFound)
}
