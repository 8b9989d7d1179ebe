package blobsink

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"

	"gocloud.dev/blob"
	"golang.org/x/sync/errgroup"

	"github.com/bulkexport/bulkexport"
)

// deletions is how many objects are deleted at a time.
const deletions = 16

// maxListings bounds how often a page is asked for that something has vanished
// from while a directory was read. fileblob calls that not found.
const maxListings = 20

// list streams what the bucket lists, page by page.
func (s *Sink) list(ctx context.Context, options blob.ListOptions) iter.Seq2[*blob.ListObject, error] {
	return func(yield func(*blob.ListObject, error) bool) {
		objects := s.bucket.List(&options)
		for {
			object, err := objects.Next(ctx)
			for range maxListings {
				if !isNotFound(err) {
					break
				}
				object, err = objects.Next(ctx) // the same page again
			}
			if errors.Is(err, io.EOF) {
				return
			}
			// In what is on a page already ctx does not count.
			if err = cmp.Or(ctx.Err(), err); !yield(object, err) || err != nil {
				return
			}
		}
	}
}

// Jobs implements [bulkexport.SinkInventory].
func (s *Sink) Jobs(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for object, err := range s.list(ctx, blob.ListOptions{Prefix: s.cfg.Prefix, Delimiter: "/"}) {
			if err != nil {
				yield("", fmt.Errorf("blobsink: list jobs: %w", err))
				return
			}
			id := strings.TrimSuffix(strings.TrimPrefix(object.Key, s.cfg.Prefix), "/")
			if object.IsDir && checkJobID(id) == nil && !yield(id, nil) {
				return
			}
		}
	}
}

// Files implements [bulkexport.SinkInventory]. Uploads to S3 that are under way or
// abandoned are not listed.
func (s *Sink) Files(ctx context.Context, jobID string) iter.Seq2[bulkexport.StoredFile, error] {
	return func(yield func(bulkexport.StoredFile, error) bool) {
		for object, err := range s.objects(ctx, jobID, "") {
			if err != nil {
				yield(bulkexport.StoredFile{}, fmt.Errorf("blobsink: list files of job %q: %w", jobID, err))
				return
			}
			if file, ok := s.describe(jobID, object); ok && !yield(file, nil) {
				return
			}
		}
	}
}

// objects streams those of the job whose names begin so.
func (s *Sink) objects(ctx context.Context, jobID, begin string) iter.Seq2[*blob.ListObject, error] {
	if err := cmp.Or(ctx.Err(), checkJobID(jobID)); err != nil {
		return func(yield func(*blob.ListObject, error) bool) { yield(nil, err) }
	}
	return s.list(ctx, blob.ListOptions{Prefix: s.jobPrefix(jobID) + begin})
}

// describe returns false for what is not of this package.
func (s *Sink) describe(jobID string, object *blob.ListObject) (bulkexport.StoredFile, bool) {
	name, committed := finalName(strings.TrimPrefix(object.Key, s.jobPrefix(jobID)))
	file := bulkexport.StoredFile{
		Name: name, Size: object.Size, ModTime: object.ModTime.UTC(), Committed: committed,
	}
	return file, checkName(name) == nil
}

// DeleteJob implements [bulkexport.OutputSink]. It does not see uploads to S3 that
// are under way: those of writers that live end with them, and those of writers that
// died by the rule of the bucket.
func (s *Sink) DeleteJob(ctx context.Context, jobID string) error {
	all := func(*blob.ListObject) bool { return true }
	if err := s.deleteObjects(ctx, s.objects(ctx, jobID, ""), all); err != nil {
		return fmt.Errorf("blobsink: delete job %q: %w", jobID, err)
	}
	return nil
}

// DeleteFile implements [bulkexport.SinkInventory]. Uploads to S3 that are under
// way stay.
func (s *Sink) DeleteFile(ctx context.Context, jobID, name string) error {
	err := checkName(name)
	if err == nil {
		err = s.deleteObjects(ctx, s.objects(ctx, jobID, name), func(object *blob.ListObject) bool {
			file, ok := s.describe(jobID, object)
			return ok && file.Name == name
		})
	}
	if err != nil {
		return wrap("delete", jobID, name, err)
	}
	return nil
}

// deleteObjects deletes those that match, several at a time. One that has gone
// meanwhile is fine.
func (s *Sink) deleteObjects(
	ctx context.Context, objects iter.Seq2[*blob.ListObject, error], match func(*blob.ListObject) bool,
) error {
	group, deleting := errgroup.WithContext(ctx)
	group.SetLimit(deletions)
	var listing error
	for object, err := range objects {
		if listing = cmp.Or(err, deleting.Err()); listing != nil {
			break
		}
		if match(object) {
			group.Go(func() error {
				if err := s.bucket.Delete(deleting, object.Key); err != nil && !isNotFound(err) {
					return err
				}
				return nil
			})
		}
	}
	// What failed first ends the listing too.
	return cmp.Or(group.Wait(), listing)
}
