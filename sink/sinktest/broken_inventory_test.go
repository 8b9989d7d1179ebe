package sinktest_test

import (
	"context"
	"iter"
	"sync"

	"github.com/bulkexport/bulkexport"
)

// eachFile changes what is listed of each file, or leaves it out.
func eachFile(change func(f *bulkexport.StoredFile) (keep bool), caught ...string) broken {
	return faulty(func(s *faultySink) {
		s.files = func(ctx context.Context, job string) iter.Seq2[bulkexport.StoredFile, error] {
			return func(yield func(bulkexport.StoredFile, error) bool) {
				for f, err := range s.Sink.Files(ctx, job) {
					if change(&f) && !yield(f, err) {
						return
					}
				}
			}
		}
	}, caught...)
}

func brokenInventory() map[string]broken {
	return map[string]broken{
		"jobs that had files stay": faulty(func(s *faultySink) {
			var jobs sync.Map
			s.create = func(ctx context.Context, job, name string) (bulkexport.FileWriter, error) {
				jobs.Store(job, nil)
				return s.Sink.Create(ctx, job, name)
			}
			s.jobs = func(context.Context) iter.Seq2[string, error] {
				return func(yield func(string, error) bool) {
					for job := range jobs.Range {
						if !yield(job.(string), nil) {
							return
						}
					}
				}
			}
		}, "inventory/jobs", "inventory/one file goes", "inventory/context ends"),
		"a job for each file": faulty(func(s *faultySink) {
			s.jobs = func(ctx context.Context) iter.Seq2[string, error] {
				return func(yield func(string, error) bool) {
					for job := range s.Sink.Jobs(ctx) {
						for range s.Sink.Files(ctx, job) {
							if !yield(job, nil) {
								return
							}
						}
					}
				}
			}
		}, "inventory/jobs"),
		"jobs go on": faulty(func(s *faultySink) {
			s.jobs = func(ctx context.Context) iter.Seq2[string, error] {
				return func(yield func(string, error) bool) {
					for job, err := range s.Sink.Jobs(ctx) {
						_ = yield(job, err)
					}
				}
			}
		}, "inventory/consumer stops"),
		"files go on": faulty(func(s *faultySink) {
			s.files = func(ctx context.Context, job string) iter.Seq2[bulkexport.StoredFile, error] {
				return func(yield func(bulkexport.StoredFile, error) bool) {
					for f, err := range s.Sink.Files(ctx, job) {
						_ = yield(f, err)
					}
				}
			}
		}, "inventory/consumer stops"),
		"sizes are unknown": eachFile(func(f *bulkexport.StoredFile) bool {
			f.Size = 0
			return true
		}, "inventory/files", "inventory/file in the making"),
		"nothing is committed": eachFile(func(f *bulkexport.StoredFile) bool {
			f.Committed = false
			return true
		}, "inventory/files", "inventory/one file goes"),
		"one file is left out": eachFile(func(f *bulkexport.StoredFile) bool {
			return f.Name != "Patient-0-1-2.output.ndjson"
		}, "inventory/files"),
		"an empty job is an error": faulty(func(s *faultySink) {
			s.files = func(ctx context.Context, job string) iter.Seq2[bulkexport.StoredFile, error] {
				return func(yield func(bulkexport.StoredFile, error) bool) {
					n := 0
					for f, err := range s.Sink.Files(ctx, job) {
						if n++; !yield(f, err) {
							return
						}
					}
					if n == 0 {
						yield(bulkexport.StoredFile{}, errFault)
					}
				}
			}
		}, "inventory/nothing", "inventory/abandoned file goes"),
		"absent cannot be deleted": faulty(func(s *faultySink) {
			s.deleteFile = func(ctx context.Context, job, name string) error {
				r, err := s.Sink.Open(ctx, job, name)
				if err != nil {
					return err
				}
				_ = r.Close()
				return s.Sink.DeleteFile(ctx, job, name)
			}
		}, "inventory/nothing", "inventory/one file goes", "inventory/abandoned file goes"),
		"DeleteFile takes the job": faulty(func(s *faultySink) {
			s.deleteFile = func(ctx context.Context, job, _ string) error { return s.Sink.DeleteJob(ctx, job) }
		}, "inventory/one file goes"),
		"DeleteFile does nothing": faulty(func(s *faultySink) {
			s.deleteFile = func(ctx context.Context, _, _ string) error { return ctx.Err() }
		}, "inventory/one file goes"),
		"unfinished files look committed": faultyWriters(func(s *faultySink, f file, w *faultyWriter) {
			w.write = func(p []byte) (int, error) {
				return len(p), s.put(f.job, f.name, p)
			}
		}, "inventory/file in the making"),
	}
}
