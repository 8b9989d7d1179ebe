package bulkexport

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// readGrace is how long the files of an expired export are kept after each
	// sign that a client still reads one.
	readGrace = 5 * time.Minute
	// readSign is how often the sign is given at most, and how long before the
	// expiry it begins.
	readSign = 45 * time.Second
)

// keptReader keeps an export from being removed while it is read.
type keptReader struct {
	FileReader
	e   *Exporter
	ctx context.Context // of the request, which is the reader's life
	job Job
	// kept is when the store was told last.
	kept time.Time
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
	if r.job.ExpiresAt.IsZero() || r.job.ExpiresAt.Sub(now) > readSign || now.Sub(r.kept) < readSign {
		return nil
	}
	r.kept = now
	_, err := r.e.cfg.Store.UpdateJob(r.ctx, r.job.ID, func(j *Job) error { return j.read(now.Add(readGrace)) })
	switch {
	case errors.Is(err, errJobOver):
		return ErrJobNotFound
	case err != nil:
		return fmt.Errorf("keep job %s: %w", r.job.ID, err)
	}
	return nil
}
