package bulkexport

import (
	"context"
	"fmt"
)

// outputStream writes the files of one kind of an attempt, one after another.
// A file begins with its first line, so none is empty.
type outputStream struct {
	sink    OutputSink
	jobID   string
	part    Part
	kind    FileKind
	ndjson  *NDJSONWriter
	limits  FileLimits
	file    FileWriter // nil between files
	name    string
	started int // files begun by this attempt
}

func newOutputStream(cfg Config, jobID string, part Part, kind FileKind) *outputStream {
	return &outputStream{
		sink: cfg.Sink, jobID: jobID, part: part, kind: kind,
		limits: FileLimits{Resources: cfg.MaxFileResources, Bytes: cfg.MaxFileBytes},
	}
}

func (s *outputStream) fits(n int) bool { return s.file == nil || s.ndjson.Fits(n) }

func (s *outputStream) write(ctx context.Context, line []byte) error {
	if s.file == nil {
		if err := s.begin(ctx); err != nil {
			return err
		}
	}
	if err := s.ndjson.writeLine(line); err != nil {
		return hostFault("file %s: %w", s.name, err)
	}
	return nil
}

// begin creates the next file. Its name has the attempt in it: a late attempt
// can never replace a file that a later one committed.
func (s *outputStream) begin(ctx context.Context) error {
	s.started++
	s.name = fmt.Sprintf("%s-%d-%d-%d.%s.ndjson", s.part.Type, s.part.Index, s.part.Attempt, s.started, s.kind)
	file, err := s.sink.Create(ctx, s.jobID, s.name)
	if err != nil {
		return hostFault("create file %s: %w", s.name, err)
	}
	s.file = file
	if s.ndjson == nil {
		s.ndjson = NewNDJSONWriter(file, s.limits)
	} else {
		s.ndjson.Reset(file)
	}
	return nil
}

// commit ends the file that is being written, if any, and describes it. A file
// with Count 0 is none.
func (s *outputStream) commit() (File, error) {
	if s.file == nil {
		return File{}, nil
	}
	if err := s.ndjson.Flush(); err != nil {
		return File{}, hostFault("file %s: %w", s.name, err)
	}
	if err := s.file.Commit(); err != nil {
		return File{}, hostFault("commit file %s: %w", s.name, err)
	}
	s.file = nil
	resourceType := s.part.Type
	if s.kind == FileError {
		resourceType = "OperationOutcome"
	}
	return File{
		Name: s.name, Type: resourceType, Kind: s.kind,
		Count: s.ndjson.Count(), Size: s.ndjson.Size(), SHA256: s.ndjson.SHA256(),
	}, nil
}

// abort throws away the file that is being written, if any.
func (s *outputStream) abort() error {
	if s.file == nil {
		return nil
	}
	file := s.file
	s.file = nil
	return file.Abort()
}
