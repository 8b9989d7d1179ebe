package bulkexport

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// readGrace is how long the files of an expired export are kept after each
	// sign that a client still reads one. Signs begin as long before the expiry.
	readGrace = 5 * time.Minute
	// readRest is how long they are kept after a reader was closed, for others:
	// signs come more often.
	readRest = 50 * time.Second
)

// keptReader keeps an export from being removed while it is read.
type keptReader struct {
	FileReader
	e   *Exporter
	ctx context.Context // of the request, which is the reader's life
	job Job
	// signed is when the store was given the last sign, until how long it holds.
	signed, until time.Time
}

// Read implements io.Reader.
func (r *keptReader) Read(p []byte) (int, error) {
	// An export that was deleted meanwhile, or a store that is out of reach, does
	// not end a download: that is for the sink to say.
	_ = r.keep()
	return r.FileReader.Read(p)
}

// keep gives the sign, when it is time.
func (r *keptReader) keep() error {
	now := r.e.now()
	if r.job.ExpiresAt.IsZero() || r.job.ExpiresAt.Sub(now) > readGrace || now.Sub(r.signed) < readRest/2 {
		return nil
	}
	r.signed = now
	job, err := r.e.cfg.Store.UpdateJob(r.ctx, r.job.ID, func(j *Job) error { return j.read(now.Add(readGrace)) })
	switch {
	case errors.Is(err, errJobOver):
		return ErrJobNotFound
	case err != nil:
		return fmt.Errorf("keep job %s: %w", r.job.ID, err)
	}
	r.until = job.ReadUntil
	return nil
}

// Close implements io.Closer.
func (r *keptReader) Close() error {
	if !r.until.IsZero() {
		r.release()
	}
	return r.FileReader.Close()
}

// release takes the sign back, unless another reader has given one since.
func (r *keptReader) release() {
	ctx, cancel := r.e.recording(r.ctx)
	defer cancel()
	_, err := r.e.cfg.Store.UpdateJob(ctx, r.job.ID, func(j *Job) error {
		if !j.ReadUntil.Equal(r.until) {
			return errJobOver
		}
		j.ReadUntil = r.e.now().Add(readRest)
		return nil
	})
	if err != nil && !errors.Is(err, errJobOver) && !errors.Is(err, ErrJobNotFound) {
		r.e.log.WarnContext(ctx, "end of a download; files are kept for longer", "job", r.job.ID, "error", err)
	}
}
