package bulkexport

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"regexp"
	"strconv"
)

// outputStream writes the files of one kind of an attempt, one after another.
// A file begins with its first line, so none is empty.
type outputStream struct {
	sink    OutputSink
	jobID   string
	part    Part
	is      File // kind and type of all files
	ndjson  *NDJSONWriter
	limits  FileLimits
	level   int
	zip     *gzipWriter // between ndjson and file, if level is not 0
	file    FileWriter  // nil between files
	name    string
	started int // files begun by this attempt
	// severities counts the issues in an error file.
	severities map[string]int64
}

func newOutputStream(cfg Config, jobID string, part Part, is File) *outputStream {
	return &outputStream{
		sink: cfg.Sink, jobID: jobID, part: part, is: is,
		limits: FileLimits{Resources: cfg.MaxFileResources, Bytes: cfg.MaxFileBytes},
		level:  cfg.GzipLevel,
	}
}

func (s *outputStream) fits(n int) bool { return s.file == nil || s.ndjson.Fits(n) }

// halfFull reports whether the file has at least half of what it may have.
func (s *outputStream) halfFull() bool {
	return s.file != nil && (2*s.ndjson.Size() >= s.limits.Bytes || 2*s.ndjson.Count() >= s.limits.Resources)
}

func (s *outputStream) write(ctx context.Context, line []byte) error {
	if s.file == nil {
		if err := s.begin(ctx); err != nil {
			return err
		}
	}
	if err := s.ndjson.writeLine(line); err != nil {
		return sinkFault("file %s: %w", s.name, err)
	}
	return nil
}

// begin creates the next file. Its name has the attempt in it: a late attempt
// can never replace a file that a later one committed.
func (s *outputStream) begin(ctx context.Context) error {
	s.started++
	s.name = fileName(s.part, s.started, s.is.Kind)
	if s.level != 0 {
		s.name += gzipSuffix
	}
	file, err := s.sink.Create(ctx, s.jobID, s.name)
	if err != nil {
		return sinkFault("create file %s: %w", s.name, err)
	}
	s.file = file
	stream, err := s.compressed(file)
	if err != nil {
		return err
	}
	if s.ndjson == nil {
		s.ndjson = NewNDJSONWriter(stream, s.limits)
	} else {
		s.ndjson.Reset(stream)
	}
	return nil
}

// compressed returns what the lines of a file are written to.
func (s *outputStream) compressed(file io.Writer) (io.Writer, error) {
	if s.level == 0 {
		return file, nil
	}
	if s.zip == nil {
		var err error
		if s.zip, err = newGzipWriter(s.level); err != nil {
			return nil, err
		}
	}
	s.zip.reset(file)
	return s.zip, nil
}

// gzipSuffix tells who looks into the sink what is in there.
const gzipSuffix = ".gz"

func fileName(part Part, number int, kind FileKind) string {
	stem := cmp.Or(part.Type, string(part.Kind))
	return fmt.Sprintf("%s-%d-%d-%d.%s.ndjson", stem, part.Index, part.Attempt, number, kind)
}

var fileNamePattern = regexp.MustCompile(`^[A-Za-z]+-(\d{1,9})-(\d{1,9})-\d+\.[a-z]+\.ndjson(\.gz)?$`)

// writerOf tells from the name of a file in the sink which attempt at which part
// writes it. A name that is none of the exporter's is not ok.
func writerOf(name string) (part, attempt int, ok bool) {
	found := fileNamePattern.FindStringSubmatch(name)
	if found == nil {
		return 0, 0, false
	}
	part, _ = strconv.Atoi(found[1])
	attempt, _ = strconv.Atoi(found[2])
	return part, attempt, true
}

// commit ends the file that is being written, if any, and describes it. A file
// with Count 0 is none.
func (s *outputStream) commit() (File, error) {
	if s.file == nil {
		return File{}, nil
	}
	if err := s.flush(); err != nil {
		return File{}, sinkFault("file %s: %w", s.name, err)
	}
	if err := s.file.Commit(); err != nil {
		return File{}, sinkFault("commit file %s: %w", s.name, err)
	}
	s.file = nil
	file := s.is
	file.Name = s.name
	file.Count, file.Size, file.SHA256 = s.ndjson.Count(), s.ndjson.Size(), s.ndjson.SHA256()
	if s.zip != nil {
		file.Gzip = s.zip.lengths
	}
	file.Severities, s.severities = s.severities, nil
	return file, nil
}

// flush hands all that is written to the file.
func (s *outputStream) flush() error {
	if err := s.ndjson.Flush(); err != nil || s.zip == nil {
		return err
	}
	return s.zip.end()
}

// countIssue counts an issue that was written last.
func (s *outputStream) countIssue(severity string) {
	if s.severities == nil {
		s.severities = map[string]int64{}
	}
	s.severities[severity]++
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
