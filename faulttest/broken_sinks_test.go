package faulttest_test

import (
	"context"
	"errors"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/faulttest"
	"github.com/bulkexport/bulkexport/sink/memsink"
)

// sinkOf is a sink whose methods can be replaced.
type sinkOf struct {
	bulkexport.OutputSink
	create    func(ctx context.Context, job, name string) (bulkexport.FileWriter, error)
	deleteJob func(ctx context.Context, job string) error
}

func (s *sinkOf) Create(ctx context.Context, job, name string) (bulkexport.FileWriter, error) {
	return s.create(ctx, job, name)
}

func (s *sinkOf) DeleteJob(ctx context.Context, job string) error { return s.deleteJob(ctx, job) }

// brokenSink breaks a sink that is right otherwise.
func brokenSink(breaks func(inner bulkexport.OutputSink, s *sinkOf)) func(faulttest.Parts) faulttest.Parts {
	return func(p faulttest.Parts) faulttest.Parts {
		s := &sinkOf{OutputSink: p.Sink, create: p.Sink.Create, deleteJob: p.Sink.DeleteJob}
		breaks(p.Sink, s)
		p.Sink = s
		return p
	}
}

func brokenSinks() []brokenPart {
	early := brokenSink(func(inner bulkexport.OutputSink, s *sinkOf) {
		s.create = func(ctx context.Context, job, name string) (bulkexport.FileWriter, error) {
			w, err := inner.Create(ctx, job, name)
			return early{w, func(b []byte) error {
				seen, err := inner.Create(ctx, job, name)
				if err != nil {
					return err
				}
				if _, err := seen.Write(b); err != nil {
					return err
				}
				return seen.Commit()
			}}, err
		}
	})
	leaving := brokenSink(func(inner bulkexport.OutputSink, s *sinkOf) {
		s.deleteJob = func(ctx context.Context, job string) error {
			const name = "Location-1-1-1.output.ndjson"
			_, absent := inner.Open(ctx, job, name)
			if err := inner.DeleteJob(ctx, job); err != nil || absent != nil {
				return err
			}
			w, err := inner.Create(ctx, job, name)
			return errors.Join(err, w.Commit())
		}
	})
	apart := func(p faulttest.Parts) faulttest.Parts {
		p.Sink = memsink.New()
		return p
	}
	return []brokenPart{
		{"sink shows files in the making", early, nil, nil, falls(faulttest.Whole)},
		{"sink leaves a file", leaving, nil, nil, falls(faulttest.Clean)},
		{"sink of each process", apart, apart, nil, falls(faulttest.Whole)},
	}
}

// early is a writer whose content is visible from the first write on.
type early struct {
	bulkexport.FileWriter
	show func(b []byte) error
}

func (w early) Write(b []byte) (int, error) {
	return len(b), errors.Join(w.show(b), ignore(w.FileWriter.Write(b)))
}

func ignore(_ int, err error) error { return err }
