package bulkexport

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// OpenedFile is an output file that is being read.
type OpenedFile struct {
	// FileReader reads the lines, also if they are stored as gzip.
	FileReader
	// Gzip reads the same file in its stored form, if that is gzip; else it is nil.
	// Only one of the two readers can be used, and either can be closed.
	Gzip FileReader
	// Job is the one that it is of, and File describes it.
	Job  Job
	File OutputFile
	// ExpiresAt is until when the file can be opened again; zero as long as the
	// export runs. This reader goes on for longer, see [Config.TTL].
	ExpiresAt time.Time
}

// OpenFile opens a file of a completed export, or on a page that can be shown
// already, by its public name. The caller closes it. Errors: [ErrJobNotFound] as
// for Status, [ErrFileNotFound] when the job has no such file or does not show
// it (any more), [ErrInsufficientScope] for a type that the caller may not export (any
// more). A caller that may not export all types of the job gets ErrInsufficientScope in
// place of ErrFileNotFound, and so does not learn which other files there are.
func (e *Exporter) OpenFile(ctx context.Context, access Access, jobID, publicName string) (OpenedFile, error) {
	job, err := e.job(ctx, access.Caller, jobID)
	if err != nil {
		return OpenedFile{}, err
	}
	return e.openNamed(ctx, access, job, publicName)
}

// OpenGrantedFile is [Exporter.OpenFile] for a caller that needs no access of its own,
// because whoever may have the file has handed it on: a host calls it for a URL that it
// has signed.
func (e *Exporter) OpenGrantedFile(ctx context.Context, jobID, publicName string) (OpenedFile, error) {
	job, err := e.readJob(ctx, jobID)
	if err != nil {
		return OpenedFile{}, err
	}
	return e.openNamed(ctx, Access{Caller: job.owner()}, job, publicName)
}

func (e *Exporter) openNamed(ctx context.Context, access Access, job Job, publicName string) (OpenedFile, error) {
	missing := ErrFileNotFound
	if !covers(access, job) { // whoever may not have all files is not told which there are
		missing = ErrInsufficientScope
	}
	if job.State != JobCompleted && job.PublishedAt.IsZero() || job.State == JobFailed {
		return OpenedFile{}, missing
	}
	parts, err := e.cfg.Store.Parts(ctx, job.ID)
	if err != nil {
		return OpenedFile{}, fmt.Errorf("read parts of job %s: %w", job.ID, err)
	}
	for _, file := range pagesOf(job, parts, e.cfg.ManifestFiles).files() {
		switch {
		case file.PublicName != publicName:
		case !mayOpen(access, job, file): // the caller may be allowed less than at the kick-off
			return OpenedFile{}, ErrInsufficientScope
		default:
			return e.openFile(ctx, job, file)
		}
	}
	return OpenedFile{}, missing
}

func (e *Exporter) openFile(ctx context.Context, job Job, file OutputFile) (OpenedFile, error) {
	reader, err := e.cfg.Sink.Open(ctx, job.ID, file.Name)
	if err == nil && reader.Size() != file.StoredSize() {
		err = errors.Join(fmt.Errorf("it has %d bytes and not %d", reader.Size(), file.StoredSize()), reader.Close())
	}
	if err != nil {
		return OpenedFile{}, fmt.Errorf("open file %s of job %s: %w", file.PublicName, job.ID, err)
	}
	e.cfg.Observer.fileOpened(ctx, job, file)
	kept := &keptReader{FileReader: reader, e: e, ctx: ctx, job: job}
	if err := kept.keep(); err != nil {
		return OpenedFile{}, errors.Join(err, reader.Close())
	}
	opened := OpenedFile{FileReader: kept, Job: job, File: file, ExpiresAt: job.ExpiresAt}
	if file.Gzip != nil {
		opened.Gzip, opened.FileReader = kept, newGzipReader(kept, file.File)
	}
	return opened, nil
}

// mayOpen looks at the types that a file is about: one, or, for blocks, deletions
// and errors, all that were asked for.
func mayOpen(access Access, job Job, file OutputFile) bool {
	if file.Kind == FileOutput && file.Type != "" {
		return access.Types == nil || access.allows(file.Type)
	}
	return covers(access, job)
}

// covers reports whether the caller may export all that a job may have.
func covers(access Access, job Job) bool {
	switch req := job.Request; {
	case access.Types == nil:
		return true
	case req.Types == nil, req.addsProvenance() && !access.allows(provenanceType):
		return false
	default:
		return !slices.ContainsFunc(req.Types, func(name string) bool { return !access.allows(name) })
	}
}
