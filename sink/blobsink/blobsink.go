// Package blobsink keeps the files of exports in object storage: a bucket of
// gocloud.dev/blob, which the host opens. It imports no driver of a cloud.
//
// A file is one object, <prefix><job id>/<name>, with Content-Type
// application/fhir+ndjson, and Content-Encoding gzip where the name ends in .gz.
// The bucket, or what is under the prefix, should hold nothing else: what looks like
// an export that nobody knows is removed one day.
//
// # Whole or absent
//
// An object appears when its last byte is stored, and Commit returns when the
// storage has said so; what is durable then is the storage's promise. Where the
// answer is lost, Commit asks whether the object is its own. Where it cannot
// ask either, it fails, and the object may be there nevertheless: the exporter
// finds and removes it, as all that no export names.
//
// An upload that is aborted leaves nothing behind. That of a process that was
// killed stays in S3 as an unfinished multipart upload, which no listing shows
// and which is paid for: have the bucket end those (AbortIncompleteMultipartUpload),
// as README.md of this package shows. Nor may the bucket keep old versions.
//
// # Reading
//
// A reader asks for the object once, and then once for each Seek to another
// offset that is followed by a Read, and streams from there. It compares the length
// and the ETag so that it fails when the object was replaced meanwhile, and never
// mixes the old and the new. It fails when the object was deleted, too, unless
// the rest was on its way already. The context of Open governs its reads.
//
// # Errors
//
// Access that is denied is [bulkexport.ErrPermanent]; a full disk, where the bucket
// is a directory, is [bulkexport.ErrStorageFull]. This package repeats nothing: the
// clients of the clouds repeat single requests themselves, three times if not told
// otherwise, and the exporter repeats what fails nevertheless as a new attempt
// with a file of another name. A server that does not answer is waited for until
// the context ends, unless the host's HTTP client is less patient.
//
// # Buckets
//
// It is tested on S3 (s3blob), on directories (fileblob) and in memory (memblob).
// S3 has to allow GetObject, PutObject, DeleteObject, AbortMultipartUpload and
// ListBucket; without the last, absent files look denied. A directory has to be
// opened with NoTempDir, or files get lost between file systems, and with
// MetadataDontWrite, since the headers are written beside the file and not with it. It
// is not synced either: package filesink is the better choice for what is to survive
// a crash of the machine. On Google Cloud Storage, see [Config.BeforeRead].
package blobsink

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"github.com/bulkexport/bulkexport"
)

var (
	_ bulkexport.OutputSink    = (*Sink)(nil)
	_ bulkexport.SinkInventory = (*Sink)(nil)
	_ bulkexport.SinkURLs      = (*Sink)(nil)
)

// MaxURLLifetime is the most that S3 signs a URL for.
const MaxURLLifetime = 7 * 24 * time.Hour

// The bounds of S3 for all parts of an upload but the last.
const (
	minPartSize = 5 << 20
	maxPartSize = 5 << 30
)

// Config says how files are kept. The zero value is a good start.
type Config struct {
	// Prefix begins all keys. It is empty, or ends in '/', as "bulk/exports/" does,
	// and has no empty elements, "." or "..".
	Prefix string

	// URLLifetime has clients fetch the files from the storage itself, by signed
	// URLs that work for so long, at least a second and up to [MaxURLLifetime], or
	// until the export expires, whichever is sooner. A client that reads the manifest
	// again gets new ones. Such a URL ends with the credentials that signed it,
	// which the sink cannot see: with those of a role, or another kind of temporary
	// ones, choose less than they have left when they are renewed. 0 means that the
	// files are to be had from the exporter only.
	URLLifetime time.Duration

	// PartSize is how much of a file is sent in one request, in bytes: 5 MiB to
	// 5 GiB, by default 8 MiB. S3 takes 10,000 parts, so a file is at most that many
	// times as long. Up to 16 MiB s3blob sends a file whole, whatever this says.
	PartSize int

	// Concurrency is how many parts of one file are sent at a time, by default 2:
	// more helps where one connection is slow and few files are written at once. On
	// S3 an open file that is longer than 16 MiB takes PartSize * (Concurrency+1)
	// bytes of memory, and up to 36 MiB while it begins; a shorter one takes two to
	// three times its length. Other drivers may ignore it, and PartSize.
	Concurrency int

	// BeforeRead is handed to the bucket with each read, see
	// [blob.ReaderOptions.BeforeRead]. Google Cloud Storage inflates what is stored as
	// gzip, which the exporter does not expect, unless this calls ReadCompressed(true)
	// on the handle of the object. May be nil.
	BeforeRead func(asFunc func(any) bool) error
}

// Sink is a [bulkexport.OutputSink] in a bucket. It has no state of its own, so any
// number of processes may share the bucket and the prefix.
type Sink struct {
	bucket *blob.Bucket
	cfg    Config
}

// New returns a sink in the bucket, which remains the host's to close. With
// [Config.URLLifetime] it signs a URL, so that a bucket that cannot is known at
// once; ctx bounds only that. It does not ask the storage anything.
func New(ctx context.Context, bucket *blob.Bucket, cfg Config) (*Sink, error) {
	cfg.PartSize = cmp.Or(cfg.PartSize, 8<<20)
	cfg.Concurrency = cmp.Or(cfg.Concurrency, 2)
	if err := check(bucket, cfg); err != nil {
		return nil, fmt.Errorf("blobsink: %w", err)
	}
	s := &Sink{bucket: bucket, cfg: cfg}
	if cfg.URLLifetime > 0 {
		if _, err := s.sign(ctx, cfg.Prefix+"probe", cfg.URLLifetime); err != nil {
			return nil, fmt.Errorf("blobsink: URLLifetime needs a bucket that can sign URLs: %w", err)
		}
	}
	return s, nil
}

func check(bucket *blob.Bucket, cfg Config) error {
	prefix, ok := strings.CutSuffix(cfg.Prefix, "/")
	switch {
	case bucket == nil:
		return errors.New("bucket is required")
	case cfg.Prefix != "" && (!ok || !fs.ValidPath(prefix) || prefix == "."):
		return fmt.Errorf("prefix %q is no path that ends in '/'", cfg.Prefix)
	case cfg.URLLifetime != 0 && (cfg.URLLifetime < time.Second || cfg.URLLifetime > MaxURLLifetime):
		return fmt.Errorf("lifetime %v of URLs is not from 1s to %v, or 0", cfg.URLLifetime, MaxURLLifetime)
	case cfg.PartSize < minPartSize || cfg.PartSize > maxPartSize:
		return fmt.Errorf("part size %d is not from %d to %d", cfg.PartSize, minPartSize, maxPartSize)
	case cfg.Concurrency < 1:
		return fmt.Errorf("concurrency %d is negative", cfg.Concurrency)
	}
	return nil
}

// wrap says what failed, and whether it may help to try again.
func wrap(op, jobID, name string, err error) error {
	var class error
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		class = bulkexport.ErrStorageFull
	case gcerrors.Code(err) == gcerrors.PermissionDenied, errors.Is(err, fs.ErrPermission):
		class = bulkexport.ErrPermanent
	default:
		return fmt.Errorf("blobsink: %s %q of job %q: %w", op, name, jobID, err)
	}
	return fmt.Errorf("blobsink: %s %q of job %q: %w: %w", op, name, jobID, class, err)
}

func isNotFound(err error) bool { return gcerrors.Code(err) == gcerrors.NotFound }
