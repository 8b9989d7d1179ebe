package sinktest_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"sync"

	"github.com/bulkexport/bulkexport"
)

var errFault = errors.New("fault")

// brokenSinks holds the faults by name.
func brokenSinks() map[string]broken {
	all := make(map[string]broken)
	for _, some := range []map[string]broken{
		brokenVisibility(), brokenContent(), brokenReaders(), brokenNames(), brokenDeletion(),
		brokenContexts(), brokenInventory(), brokenProcesses(),
	} {
		maps.Copy(all, some)
	}
	return all
}

func brokenVisibility() map[string]broken {
	return map[string]broken{
		"absent has an error of its own": faulty(func(s *faultySink) {
			s.open = func(ctx context.Context, job, name string) (bulkexport.FileReader, error) {
				r, err := s.Sink.Open(ctx, job, name)
				if err != nil {
					return nil, errFault
				}
				return r, nil
			}
		}, "visibility/absent"),
		"visible before commit": faultyWriters(func(s *faultySink, f file, w *faultyWriter) {
			var written []byte
			w.write = func(p []byte) (int, error) {
				written = append(written, p...)
				return len(p), s.put(f.job, f.name, written)
			}
		}, "visibility/invisible before commit", "visibility/abort leaves nothing",
			"visibility/replaced as a whole"),
		"abort publishes": faultyWriters(func(_ *faultySink, _ file, w *faultyWriter) {
			w.abort = func() error {
				_ = w.FileWriter.Commit()
				return nil
			}
		}, "visibility/abort leaves nothing", "visibility/abort keeps the old file",
			"visibility/last commit wins"),
		"abort leaves an empty file": faultyWriters(func(s *faultySink, f file, w *faultyWriter) {
			w.abort = func() error { return s.put(f.job, f.name, nil) }
		}, "visibility/abort leaves nothing", "visibility/abort after commit"),
		"abort always removes": faultyWriters(func(s *faultySink, f file, w *faultyWriter) {
			w.abort = func() error { return s.DeleteJob(f.ctx, f.job) }
		}, "visibility/abort twice", "visibility/abort after commit"),
		"second abort is an error": faultyWriters(func(_ *faultySink, _ file, w *faultyWriter) {
			ended := false
			w.abort = func() error {
				if ended {
					return errFault
				}
				ended = true
				return w.FileWriter.Abort()
			}
		}, "visibility/abort twice"),
		"create removes the old file": faultyWriters(func(s *faultySink, f file, _ *faultyWriter) {
			_ = s.Sink.DeleteJob(f.ctx, f.job)
		}, "visibility/replaced as a whole", "visibility/abort keeps the old file"),
		"first commit wins": faultyWriters(func(s *faultySink, f file, w *faultyWriter) {
			w.commit = func() error {
				if _, err := s.Sink.Open(f.ctx, f.job, f.name); err == nil {
					return nil
				}
				return w.FileWriter.Commit()
			}
		}, "visibility/last commit wins"),
		"writers of a name share a buffer": sharedBuffers("visibility/last commit wins"),
	}
}

func sharedBuffers(caught ...string) broken {
	return faulty(func(s *faultySink) {
		var writers sync.Map
		s.create = func(ctx context.Context, job, name string) (bulkexport.FileWriter, error) {
			w, err := s.Sink.Create(ctx, job, name)
			if err != nil {
				return nil, err
			}
			shared, _ := writers.LoadOrStore(job+"/"+name, w)
			return shared.(bulkexport.FileWriter), nil
		}
	}, caught...)
}

func brokenContent() map[string]broken {
	return map[string]broken{
		"commit loses the last byte": faultyWriters(func(s *faultySink, f file, w *faultyWriter) {
			var written []byte
			w.write = func(p []byte) (int, error) {
				written = append(written, p...)
				return len(p), nil
			}
			w.commit = func() error {
				return s.put(f.job, f.name, written[:max(0, len(written)-1)])
			}
		}, "content/lengths"),
		"a full buffer is lost": faultyWriters(func(_ *faultySink, _ file, w *faultyWriter) {
			w.write = func(p []byte) (int, error) {
				if len(p) != 64<<10 {
					return w.FileWriter.Write(p)
				}
				return len(p), nil
			}
		}, "content/lengths"),
		"large pieces are cut": faultyWriters(func(_ *faultySink, _ file, w *faultyWriter) {
			w.write = func(p []byte) (int, error) { return w.FileWriter.Write(p[:min(len(p), 64<<10)]) }
		}, "content/write sizes"),
		"empty p is an error": faultyWriters(func(_ *faultySink, _ file, w *faultyWriter) {
			w.write = func(p []byte) (int, error) {
				if len(p) == 0 {
					return 0, errFault
				}
				return w.FileWriter.Write(p)
			}
		}, "content/empty writes"),
		"files begin with the first write": faultyWriters(func(_ *faultySink, _ file, w *faultyWriter) {
			begun := false
			w.write = func(p []byte) (int, error) {
				begun = true
				return w.FileWriter.Write(p)
			}
			w.commit = func() error {
				if !begun {
					return nil
				}
				return w.FileWriter.Commit()
			}
		}, "content/never written"),
		"writer keeps p": faultyWriters(func(s *faultySink, f file, w *faultyWriter) {
			var pieces [][]byte
			w.write = func(p []byte) (int, error) {
				pieces = append(pieces, p)
				return len(p), nil
			}
			w.commit = func() error { return s.put(f.job, f.name, bytes.Join(pieces, nil)) }
		}, "content/writer does not keep p"),
	}
}

func brokenReaders() map[string]broken {
	return map[string]broken{
		"reader follows the name": faultyReaders(func(s *faultySink, f file, r *faultyReader) {
			offset := int64(0)
			r.read = func(p []byte) (int, error) {
				now, err := s.Sink.Open(f.ctx, f.job, f.name)
				if err != nil {
					return 0, io.EOF
				}
				_, _ = now.Seek(offset, io.SeekStart)
				n, err := now.Read(p)
				offset += int64(n)
				return n, err
			}
		}, "visibility/reader of a replaced file", "deletion/open reader"),
		"the end is no error": faultyReaders(func(_ *faultySink, _ file, r *faultyReader) {
			r.read = func(p []byte) (int, error) {
				n, err := r.FileReader.Read(p)
				if errors.Is(err, io.EOF) {
					err = errFault
				}
				return n, err
			}
		}, "content/reader keeps the rules of io"),
		"seek from the end is from the beginning": faultyReaders(
			func(_ *faultySink, _ file, r *faultyReader) {
				r.seek = func(offset int64, whence int) (int64, error) {
					if whence == io.SeekEnd {
						whence = io.SeekStart
					}
					return r.FileReader.Seek(offset, whence)
				}
			}, "content/seek", "content/reader keeps the rules of io"),
		"seek stops at the beginning": faultyReaders(func(_ *faultySink, _ file, r *faultyReader) {
			r.seek = func(offset int64, whence int) (int64, error) {
				if whence == io.SeekStart {
					offset = max(0, offset)
				}
				return r.FileReader.Seek(offset, whence)
			}
		}, "content/seek before the beginning"),
		"size is what is left": faultyReaders(func(_ *faultySink, _ file, r *faultyReader) {
			r.size = func() int64 {
				here, _ := r.Seek(0, io.SeekCurrent)
				return r.FileReader.Size() - here
			}
		}, "content/seek", "content/two readers"),
		"readers share an offset": faulty(func(s *faultySink) {
			var readers sync.Map
			s.open = func(ctx context.Context, job, name string) (bulkexport.FileReader, error) {
				r, err := s.Sink.Open(ctx, job, name)
				if err != nil {
					return nil, err
				}
				shared, _ := readers.LoadOrStore(job+"/"+name, r)
				return shared.(bulkexport.FileReader), nil
			}
		}, "content/two readers"),
	}
}
