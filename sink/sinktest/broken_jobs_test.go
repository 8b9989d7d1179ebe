package sinktest_test

import (
	"context"
	"errors"
	"path"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/sink/memsink"
)

// renamed maps job ids and names before they are used.
func renamed(to func(job, name string) (string, string), caught ...string) broken {
	return faulty(func(s *faultySink) {
		s.create = func(ctx context.Context, job, name string) (bulkexport.FileWriter, error) {
			job, name = to(job, name)
			return s.Sink.Create(ctx, job, name)
		}
		s.open = func(ctx context.Context, job, name string) (bulkexport.FileReader, error) {
			job, name = to(job, name)
			return s.Sink.Open(ctx, job, name)
		}
		s.deleteJob = func(ctx context.Context, job string) error {
			job, _ = to(job, "")
			return s.Sink.DeleteJob(ctx, job)
		}
	}, caught...)
}

func brokenNames() map[string]broken {
	return map[string]broken{
		"jobs share their files": renamed(func(_, name string) (string, string) {
			return "", name
		}, "isolation/same name in two jobs", "isolation/allowed job ids"),
		"names are cut": renamed(func(job, name string) (string, string) {
			return job, name[:min(len(name), 100)]
		}, "isolation/allowed names"),
		"job ids are cut": renamed(func(job, name string) (string, string) {
			return job[:min(len(job), 25)], name
		}, "isolation/allowed job ids", "deletion/only this job"),
		"paths are followed": renamed(func(job, name string) (string, string) {
			return path.Split(path.Join(job, name))
		}, "isolation/hostile names", "isolation/hostile job ids"),
		"backslashes are followed": renamed(func(job, name string) (string, string) {
			return path.Split(path.Join(job, strings.ReplaceAll(name, `\`, "/")))
		}, "isolation/hostile names"),
		"NUL ends a name": renamed(func(job, name string) (string, string) {
			job, _, _ = strings.Cut(job, "\x00")
			name, _, _ = strings.Cut(name, "\x00")
			return job, name
		}, "isolation/hostile names", "isolation/hostile job ids"),
		"case is ignored": renamed(func(job, name string) (string, string) {
			return strings.ToLower(job), name
		}, "isolation/hostile job ids"),
	}
}

// deletesMore removes the job's files and those of each job that match selects.
func deletesMore(match func(id, other string) bool, caught ...string) broken {
	return faulty(func(s *faultySink) {
		var jobs sync.Map
		s.create = func(ctx context.Context, job, name string) (bulkexport.FileWriter, error) {
			jobs.Store(job, nil)
			return s.Sink.Create(ctx, job, name)
		}
		s.deleteJob = func(ctx context.Context, job string) error {
			for other := range jobs.Range {
				if match(job, other.(string)) {
					_ = s.Sink.DeleteJob(ctx, other.(string))
				}
			}
			return s.Sink.DeleteJob(ctx, job)
		}
	}, caught...)
}

func brokenDeletion() map[string]broken {
	return map[string]broken{
		"delete forgets": faulty(func(s *faultySink) {
			s.deleteJob = func(context.Context, string) error { return nil }
		}, "deletion/all files", "deletion/open writer", "concurrency/delete among writers",
			"persistence/deleted files", "persistence/work goes on"),
		"nothing to delete is an error": faulty(func(s *faultySink) {
			var jobs sync.Map
			s.create = func(ctx context.Context, job, name string) (bulkexport.FileWriter, error) {
				jobs.Store(job, nil)
				return s.Sink.Create(ctx, job, name)
			}
			s.deleteJob = func(ctx context.Context, job string) error {
				if _, ok := jobs.LoadAndDelete(job); !ok {
					return bulkexport.ErrJobNotFound
				}
				return s.Sink.DeleteJob(ctx, job)
			}
		}, "deletion/nothing to delete"),
		"delete goes by prefix": deletesMore(func(id, other string) bool {
			return strings.HasPrefix(other, id)
		}, "deletion/only this job", "isolation/hostile job ids"),
		"delete goes by pattern": deletesMore(func(id, other string) bool {
			ok, _ := path.Match(id, other)
			return ok
		}, "isolation/hostile job ids"),
		"delete removes all jobs": deletesMore(func(_, _ string) bool { return true },
			"deletion/only this job", "concurrency/delete among writers", "persistence/deleted files"),
		"delete only hides": faulty(func(s *faultySink) {
			var hidden sync.Map
			s.create = func(ctx context.Context, job, name string) (bulkexport.FileWriter, error) {
				hidden.Delete(job)
				return s.Sink.Create(ctx, job, name)
			}
			s.open = func(ctx context.Context, job, name string) (bulkexport.FileReader, error) {
				if _, ok := hidden.Load(job); ok {
					return nil, bulkexport.ErrFileNotFound
				}
				return s.Sink.Open(ctx, job, name)
			}
			s.deleteJob = func(_ context.Context, job string) error {
				hidden.Store(job, nil)
				return nil
			}
		}, "deletion/job is used again"),
		"delete cuts open writers": faulty(func(s *faultySink) {
			var deletions atomic.Int64
			s.create = func(ctx context.Context, job, name string) (bulkexport.FileWriter, error) {
				before := deletions.Load()
				w, err := s.Sink.Create(ctx, job, name)
				return &faultyWriter{FileWriter: w, write: func(p []byte) (int, error) {
					if deletions.Load() != before {
						return len(p), nil
					}
					return w.Write(p)
				}}, err
			}
			s.deleteJob = func(ctx context.Context, job string) error {
				deletions.Add(1)
				return s.Sink.DeleteJob(ctx, job)
			}
		}, "deletion/open writer"),
	}
}

func brokenContexts() map[string]broken {
	return map[string]broken{
		"cancellation is ignored": faulty(func(s *faultySink) {
			s.create = func(ctx context.Context, job, name string) (bulkexport.FileWriter, error) {
				return s.Sink.Create(context.WithoutCancel(ctx), job, name)
			}
		}, "cancellation/create", "cancellation/write", "cancellation/commit",
			"cancellation/replacement"),
		"cancellation is seen by commit only": faulty(func(s *faultySink) {
			s.create = func(ctx context.Context, job, name string) (bulkexport.FileWriter, error) {
				w, err := s.Sink.Create(context.WithoutCancel(ctx), job, name)
				return &faultyWriter{FileWriter: w, commit: func() error {
					if err := ctx.Err(); err != nil {
						return err
					}
					return w.Commit()
				}}, err
			}
		}, "cancellation/write"),
		"cancelled commit publishes": faulty(func(s *faultySink) {
			s.create = func(ctx context.Context, job, name string) (bulkexport.FileWriter, error) {
				w, err := s.Sink.Create(context.WithoutCancel(ctx), job, name)
				return &faultyWriter{FileWriter: w, commit: func() error {
					return errors.Join(w.Commit(), ctx.Err())
				}}, err
			}
		}, "cancellation/commit", "cancellation/replacement"),
		"files live as long as their context": faulty(func(s *faultySink) {
			var contexts sync.Map
			s.create = func(ctx context.Context, job, name string) (bulkexport.FileWriter, error) {
				contexts.Store(job+"/"+name, ctx)
				return s.Sink.Create(ctx, job, name)
			}
			s.open = func(ctx context.Context, job, name string) (bulkexport.FileReader, error) {
				c, ok := contexts.Load(job + "/" + name)
				if ok && c.(context.Context).Err() != nil {
					return nil, bulkexport.ErrFileNotFound
				}
				return s.Sink.Open(ctx, job, name)
			}
		}, "cancellation/after commit"),
	}
}

func brokenProcesses() map[string]broken {
	return map[string]broken{
		"every tenth commit fails": faulty(func(s *faultySink) {
			var commits atomic.Int64
			s.create = func(ctx context.Context, job, name string) (bulkexport.FileWriter, error) {
				w, err := s.Sink.Create(ctx, job, name)
				return &faultyWriter{FileWriter: w, commit: func() error {
					if commits.Add(1)%10 == 0 {
						return errFault
					}
					return w.Commit()
				}}, err
			}
		}, "concurrency/jobs side by side", "concurrency/writers and readers of one file"),
		"unfinished files stay locked": faulty(func(s *faultySink) {
			var locked sync.Map
			s.create = func(ctx context.Context, job, name string) (bulkexport.FileWriter, error) {
				if _, taken := locked.LoadOrStore(job+"/"+name, nil); taken {
					return nil, errFault
				}
				w, err := s.Sink.Create(ctx, job, name)
				return &faultyWriter{FileWriter: w, commit: func() error {
					locked.Delete(job + "/" + name)
					return w.Commit()
				}}, err
			}
		}, "persistence/work goes on"),
		"files end with the process": {
			open: func() (bulkexport.OutputSink, func() bulkexport.OutputSink) {
				return memsink.New(), func() bulkexport.OutputSink { return memsink.New() }
			},
			caught: []string{"persistence/committed files", "persistence/unfinished files"},
		},
		"restart publishes unfinished files": {
			open:   publishingAtRestart,
			caught: []string{"persistence/unfinished files"},
		},
	}
}

func publishingAtRestart() (bulkexport.OutputSink, func() bulkexport.OutputSink) {
	var unfinished []bulkexport.FileWriter
	s := &faultySink{Sink: memsink.New()}
	s.create = func(ctx context.Context, job, name string) (bulkexport.FileWriter, error) {
		w, err := s.Sink.Create(ctx, job, name)
		unfinished = append(unfinished, w)
		return w, err
	}
	return s, func() bulkexport.OutputSink {
		for _, w := range unfinished {
			_ = w.Commit()
		}
		return s
	}
}
