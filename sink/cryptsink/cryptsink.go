// Package cryptsink encrypts the files of another sink at rest, with a key for each
// job. A host that wants it wraps its sink:
//
//	files, err := filesink.New("/var/lib/exports")
//	keys, err := cryptsink.NewKeyFolder("/var/lib/export-keys")
//	exporter, err := bulkexport.New(bulkexport.Config{Sink: cryptsink.New(files, keys), …})
//
// Clients see no difference: downloads, ranges and lengths are those of the plain
// file. The key goes with the job, by DELETE or expiry, and what is left of the files
// anywhere, in a backup or on a discarded disk, cannot be read any more.
//
// # What it protects against
//
// Whoever gets the stored files without the keys learns nothing of their content:
// from a stolen disk, a backup, a snapshot, a bucket that others may read. Whoever
// can change them achieves errors at most: a file that is cut short, extended, changed
// in any bit, or put under another name or job does not open, or ends in an error
// ([ErrDamaged]) before the first byte that is not what was written.
//
// It does not hide names, times and lengths of files, nor how many there are. It
// does not protect against whoever controls the running host, which has the keys in
// memory, nor does it cover the store of jobs, the source, or files that clients have
// downloaded. Who can write to the storage can still remove files, and put back an
// earlier content of the same name in the same job.
//
// # Keys
//
// Keep keys apart from files: not on the same volume, not in the same backup. Better in
// no backup at all, since a key that one still has was not deleted.
// [KeyFolder] is a directory of them; a host with a key service, or a database,
// implements [Keys]. A key is as old as its job and lives no longer, so there is
// nothing to rotate; a key service rotates what it wraps them with as it likes.
// When keys are lost, the exports are lost with them, and clients get 404; exports can
// be made again. Files that were stored before, or by another sink, do not open: wrap
// a sink that is empty.
//
// Signed URLs of object storage would hand out what is encrypted. So the sink that
// New returns has none ([bulkexport.SinkURLs]), and all downloads go through the host.
//
// # Stored form
//
// A file is one of [age-encryption.org/v1]: ChaCha20-Poly1305 in chunks of 64 KiB
// below a key of its own, which is in the header, sealed by AES-256-GCM below a
// key that HKDF-SHA-256 derives from the job's. That seal also covers job id and name.
// A file takes 204 bytes more, and 16 for each chunk. An open writer holds up to 200 KiB,
// an open reader up to 300 KiB.
//
// [age-encryption.org/v1]: https://age-encryption.org/v1
package cryptsink

import (
	"context"
	"errors"
	"fmt"

	"github.com/bulkexport/bulkexport"
)

var (
	_ bulkexport.OutputSink    = (*sink)(nil)
	_ bulkexport.OutputSink    = listed{}
	_ bulkexport.SinkInventory = listed{}
)

// ErrDamaged means that a stored file is not, or not any more, what was written under
// this name: it was damaged or tampered with, or was not written by this package.
var ErrDamaged = errors.New("the stored file is not what was encrypted under this name")

// maxOpens bounds how often a file is opened that fails while it is read: where each
// read is a request, it may have been replaced in between.
const maxOpens = 10

type sink struct {
	inner bulkexport.OutputSink
	keys  Keys
}

// New returns a sink that keeps its files encrypted in inner. Both are the caller's,
// who closes them. The sink is a [bulkexport.SinkInventory] if inner is one, with the
// lengths of plain files, and never a [bulkexport.SinkURLs].
//
// Errors of inner come as they are. Those of keys are wrapped, and thus pass for
// passing ones unless they wrap [bulkexport.ErrPermanent]. Open without a key
// wraps [bulkexport.ErrFileNotFound], and a file that is not what was
// written, [ErrDamaged].
func New(inner bulkexport.OutputSink, keys Keys) bulkexport.OutputSink {
	s := &sink{inner: inner, keys: keys}
	if inventory, ok := inner.(bulkexport.SinkInventory); ok {
		return listed{sink: s, inventory: inventory}
	}
	return s
}

// Create implements [bulkexport.OutputSink].
func (s *sink) Create(ctx context.Context, jobID, name string) (bulkexport.FileWriter, error) {
	key, err := s.keys.CreateKey(ctx, jobID)
	if err != nil {
		return nil, wrap("create", jobID, name, err)
	}
	file, err := s.inner.Create(ctx, jobID, name)
	if err != nil {
		return nil, err
	}
	w := &writer{ctx: ctx, keys: s.keys, inner: file, seal: seal{key: key, jobID: jobID, name: name}}
	if err := w.begin(); err != nil {
		return nil, wrap("create", jobID, name, errors.Join(err, file.Abort()))
	}
	return w, nil
}

// Open implements [bulkexport.OutputSink]. It reads the beginning and the end of the
// file, which prove its name and its length.
func (s *sink) Open(ctx context.Context, jobID, name string) (bulkexport.FileReader, error) {
	var trouble error
	for range maxOpens {
		file, err := s.inner.Open(ctx, jobID, name)
		if err != nil {
			return nil, err
		}
		r := &reader{file: &stored{FileReader: file}, seal: seal{jobID: jobID, name: name}}
		if err = s.unseal(ctx, r); err == nil {
			return r, nil
		}
		trouble = wrap("open", jobID, name, errors.Join(err, file.Close()))
		if r.file.failed == nil || ctx.Err() != nil {
			break
		}
	}
	return nil, trouble
}

func (s *sink) unseal(ctx context.Context, r *reader) (err error) {
	r.seal.key, err = s.keys.Key(ctx, r.seal.jobID)
	if errors.Is(err, ErrKeyNotFound) {
		return fmt.Errorf("%w: %w", bulkexport.ErrFileNotFound, err)
	}
	if err != nil {
		return err
	}
	return r.open()
}

// DeleteJob implements [bulkexport.OutputSink]. The key goes first: from then on the
// files are unreadable, also if the process dies before they are gone.
func (s *sink) DeleteJob(ctx context.Context, jobID string) error {
	err := s.keys.DeleteKey(ctx, jobID)
	if err != nil {
		err = fmt.Errorf("cryptsink: delete key of job %q: %w", jobID, err)
	}
	return errors.Join(err, s.inner.DeleteJob(ctx, jobID))
}

func wrap(op, jobID, name string, err error) error {
	return fmt.Errorf("cryptsink: %s %q of job %q: %w", op, name, jobID, err)
}
