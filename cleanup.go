package bulkexport

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Storage says what an [OutputSink] holds.
type Storage struct {
	// Jobs is how many jobs have files. Files and Bytes are those that exports
	// have, or that are being written.
	Jobs, Files, Bytes int64
	// RemovedFiles and RemovedBytes were removed just now, since no export could
	// ever name them.
	RemovedFiles, RemovedBytes int64
}

// CleanUp removes files that no export has or will have: those of attempts that
// died between writing a file and recording it, those in the making that were
// abandoned, and those of jobs that the store has not known for as long as
// [Config.TTL]. It returns what is left, and what was removed. A started exporter calls
// it each [Config.CleanUpInterval], and looks at a job on its own when that has
// completed. Several calls at once, also in several processes, are fine.
//
// It goes on after trouble with one file or job, and returns the first ten errors.
// A sink without [SinkInventory] is an error that wraps [errors.ErrUnsupported].
func (e *Exporter) CleanUp(ctx context.Context) (Storage, error) {
	var sum Storage
	inventory, ok := e.cfg.Sink.(SinkInventory)
	if !ok {
		return sum, fmt.Errorf("clean up: the sink cannot say what it holds: %w", errors.ErrUnsupported)
	}
	var trouble troubles
	for id, err := range inventory.Jobs(ctx) {
		if err == nil {
			err = e.cleanJob(ctx, inventory, id, &sum)
		}
		if err != nil {
			trouble.add(fmt.Errorf("clean up: %w", err))
		}
	}
	if sum.RemovedFiles > 0 {
		e.log.InfoContext(ctx, "orphaned files removed", "files", sum.RemovedFiles, "bytes", sum.RemovedBytes)
	}
	e.cfg.Observer.cleanedUp(ctx, sum)
	return sum, trouble.err()
}

// dropOrphans cleans up one job. Trouble is only logged: the next clean-up does
// the same.
func (e *Exporter) dropOrphans(ctx context.Context, jobID string) {
	e.tryToClean(ctx, jobID, func(inventory SinkInventory) error {
		return e.cleanJob(ctx, inventory, jobID, &Storage{})
	})
}

// dropUnnamed is dropOrphans for a job that has just been completed.
func (e *Exporter) dropUnnamed(ctx context.Context, job Job, parts []Part) {
	e.tryToClean(ctx, job.ID, func(inventory SinkInventory) error {
		files, err := filesOf(ctx, inventory, job.ID)
		if err != nil {
			return err
		}
		return cleanFiles(ctx, inventory, job, parts, files, &Storage{})
	})
}

func (e *Exporter) tryToClean(ctx context.Context, jobID string, clean func(SinkInventory) error) {
	inventory, ok := e.cfg.Sink.(SinkInventory)
	if !ok {
		return
	}
	if err := clean(inventory); err != nil && ctx.Err() == nil {
		e.log.WarnContext(ctx, "remove orphaned files; the next clean-up will", "job", jobID, "error", err)
	}
}

func filesOf(ctx context.Context, inventory SinkInventory, jobID string) (files []StoredFile, err error) {
	for file, err := range inventory.Files(ctx, jobID) {
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	return files, nil
}

// cleanJob lists the files before it reads the job: every file that it has seen
// was begun under a claim that it then sees too.
func (e *Exporter) cleanJob(ctx context.Context, inventory SinkInventory, jobID string, sum *Storage) error {
	files, err := filesOf(ctx, inventory, jobID)
	if err != nil {
		return err
	}
	job, err := e.cfg.Store.Job(ctx, jobID)
	if errors.Is(err, ErrJobNotFound) {
		return e.cleanUnknown(ctx, jobID, files, sum)
	}
	if err != nil {
		return fmt.Errorf("read job %s: %w", jobID, err)
	}
	parts, err := e.cfg.Store.Parts(ctx, jobID)
	if errors.Is(err, ErrJobNotFound) {
		return nil // it was deleted just now, with its files
	}
	if err != nil {
		return fmt.Errorf("read parts of job %s: %w", jobID, err)
	}
	return cleanFiles(ctx, inventory, job, parts, files, sum)
}

// cleanFiles removes those of the files that the job will never name.
func cleanFiles(
	ctx context.Context, inventory SinkInventory, job Job, parts []Part, files []StoredFile, sum *Storage,
) error {
	var trouble troubles
	kept := int64(0)
	named := namesOf(job, parts)
	for _, file := range files {
		if named[file.Name] || !orphaned(file.Name, job, parts) {
			kept++
			sum.Bytes += file.Size
			continue
		}
		if err := inventory.DeleteFile(ctx, job.ID, file.Name); err != nil {
			trouble.add(err)
			continue
		}
		sum.RemovedFiles++
		sum.RemovedBytes += file.Size
	}
	sum.Files += kept
	sum.Jobs += min(kept, 1)
	return trouble.err()
}

// namesOf returns the names, in the sink, of all files that an export has. One
// that failed or was deleted has none.
func namesOf(job Job, parts []Part) map[string]bool {
	named := map[string]bool{}
	if job.State == JobFailed || job.State == JobDeleted {
		return named
	}
	for _, part := range parts {
		for _, file := range part.Files {
			named[file.Name] = true
		}
	}
	return named
}

// cleanUnknown removes the files of a job that the store does not know. It takes
// its time: the store may be the wrong one, by mistake.
func (e *Exporter) cleanUnknown(ctx context.Context, jobID string, files []StoredFile, sum *Storage) error {
	var newest time.Time
	var bytes int64
	for _, file := range files {
		bytes += file.Size
		if file.ModTime.After(newest) {
			newest = file.ModTime
		}
	}
	if e.now().Sub(newest) < e.cfg.TTL {
		sum.Jobs++
		sum.Files += int64(len(files))
		sum.Bytes += bytes
		return nil
	}
	if err := e.cfg.Sink.DeleteJob(ctx, jobID); err != nil {
		return err
	}
	sum.RemovedFiles += int64(len(files))
	sum.RemovedBytes += bytes
	return nil
}

// orphaned reports whether a file that no part names can never be named by one:
// its attempt has been followed by another, or the part or the job is over. What
// does not look like a file of an attempt is left alone.
func orphaned(name string, job Job, parts []Part) bool {
	index, attempt, ok := writerOf(name)
	switch {
	case !ok:
		return false
	case job.State.Ended():
		return true
	case index >= len(parts):
		return false
	}
	part := parts[index]
	return part.Done || attempt < part.Attempt
}
