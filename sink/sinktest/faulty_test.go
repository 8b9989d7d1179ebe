package sinktest_test

import (
	"context"
	"iter"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/sink/memsink"
)

// faultySink is a correct sink, but for the functions that are set.
type faultySink struct {
	*memsink.Sink
	create    func(ctx context.Context, job, name string) (bulkexport.FileWriter, error)
	open      func(ctx context.Context, job, name string) (bulkexport.FileReader, error)
	deleteJob func(ctx context.Context, job string) error

	jobs       func(ctx context.Context) iter.Seq2[string, error]
	files      func(ctx context.Context, job string) iter.Seq2[bulkexport.StoredFile, error]
	deleteFile func(ctx context.Context, job, name string) error
}

func (s *faultySink) Create(ctx context.Context, job, name string) (bulkexport.FileWriter, error) {
	if s.create == nil {
		return s.Sink.Create(ctx, job, name)
	}
	return s.create(ctx, job, name)
}

func (s *faultySink) Open(ctx context.Context, job, name string) (bulkexport.FileReader, error) {
	if s.open == nil {
		return s.Sink.Open(ctx, job, name)
	}
	return s.open(ctx, job, name)
}

func (s *faultySink) DeleteJob(ctx context.Context, job string) error {
	if s.deleteJob == nil {
		return s.Sink.DeleteJob(ctx, job)
	}
	return s.deleteJob(ctx, job)
}

func (s *faultySink) Jobs(ctx context.Context) iter.Seq2[string, error] {
	if s.jobs == nil {
		return s.Sink.Jobs(ctx)
	}
	return s.jobs(ctx)
}

func (s *faultySink) Files(ctx context.Context, job string) iter.Seq2[bulkexport.StoredFile, error] {
	if s.files == nil {
		return s.Sink.Files(ctx, job)
	}
	return s.files(ctx, job)
}

func (s *faultySink) DeleteFile(ctx context.Context, job, name string) error {
	if s.deleteFile == nil {
		return s.Sink.DeleteFile(ctx, job, name)
	}
	return s.deleteFile(ctx, job, name)
}

// put commits a whole file.
func (s *faultySink) put(job, name string, content []byte) error {
	w, err := s.Sink.Create(context.Background(), job, name)
	if err != nil {
		return err
	}
	if _, err := w.Write(content); err != nil {
		return err
	}
	return w.Commit()
}

type faultyWriter struct {
	bulkexport.FileWriter
	write  func(p []byte) (int, error)
	commit func() error
	abort  func() error
}

func (w *faultyWriter) Write(p []byte) (int, error) {
	if w.write == nil {
		return w.FileWriter.Write(p)
	}
	return w.write(p)
}

func (w *faultyWriter) Commit() error {
	if w.commit == nil {
		return w.FileWriter.Commit()
	}
	return w.commit()
}

func (w *faultyWriter) Abort() error {
	if w.abort == nil {
		return w.FileWriter.Abort()
	}
	return w.abort()
}

type faultyReader struct {
	bulkexport.FileReader
	read func(p []byte) (int, error)
	seek func(offset int64, whence int) (int64, error)
	size func() int64
}

func (r *faultyReader) Read(p []byte) (int, error) {
	if r.read == nil {
		return r.FileReader.Read(p)
	}
	return r.read(p)
}

func (r *faultyReader) Seek(offset int64, whence int) (int64, error) {
	if r.seek == nil {
		return r.FileReader.Seek(offset, whence)
	}
	return r.seek(offset, whence)
}

func (r *faultyReader) Size() int64 {
	if r.size == nil {
		return r.FileReader.Size()
	}
	return r.size()
}

// faulty makes a broken sink from what spoils a correct one.
func faulty(spoil func(s *faultySink), caught ...string) broken {
	return broken{
		open: func() (bulkexport.OutputSink, func() bulkexport.OutputSink) {
			s := &faultySink{Sink: memsink.New()}
			spoil(s)
			return s, func() bulkexport.OutputSink { return s }
		},
		caught: caught,
	}
}

// file is what a faulty writer knows of itself.
type file struct {
	ctx       context.Context
	job, name string
}

// faultyWriters is faulty in its writers alone.
func faultyWriters(
	spoil func(s *faultySink, f file, w *faultyWriter), caught ...string,
) broken {
	return faulty(func(s *faultySink) {
		s.create = func(ctx context.Context, job, name string) (bulkexport.FileWriter, error) {
			w, err := s.Sink.Create(ctx, job, name)
			if err != nil {
				return nil, err
			}
			fw := &faultyWriter{FileWriter: w}
			spoil(s, file{ctx, job, name}, fw)
			return fw, nil
		}
	}, caught...)
}

// faultyReaders is faulty in its readers alone.
func faultyReaders(
	spoil func(s *faultySink, f file, r *faultyReader), caught ...string,
) broken {
	return faulty(func(s *faultySink) {
		s.open = func(ctx context.Context, job, name string) (bulkexport.FileReader, error) {
			r, err := s.Sink.Open(ctx, job, name)
			if err != nil {
				return nil, err
			}
			fr := &faultyReader{FileReader: r}
			spoil(s, file{ctx, job, name}, fr)
			return fr, nil
		}
	}, caught...)
}
