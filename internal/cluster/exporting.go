//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path"
	"time"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/internal/bulkclient"
)

// patience bounds what has to happen in the end.
const patience = 5 * time.Minute

const pollPause = 50 * time.Millisecond

// insist makes a request, of whichever node at gives, until there is an answer that
// does not say to come again: nodes die, and databases are away for a while.
func insist(ctx context.Context, at func() string, ask func(ctx context.Context, base string) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		base := at()
		err := errors.New("all nodes are down")
		if base != "" {
			err = ask(ctx, base)
		}
		var refused *bulkclient.StatusError
		switch {
		case err == nil, errors.Is(err, bulkclient.ErrContent):
			return err
		case errors.As(err, &refused) && refused.Code != http.StatusServiceUnavailable &&
			refused.Code != http.StatusTooManyRequests:
			return err
		}
		if !pause(ctx, pollPause) {
			return errors.Join(ctx.Err(), err)
		}
	}
}

func (r *rig) kickOff(ctx context.Context, at func() string) (job string, err error) {
	err = insist(ctx, at, func(ctx context.Context, base string) (err error) {
		job, err = r.client.KickOff(ctx, base, "")
		return err
	})
	return job, err
}

var errRunning = errors.New("the export runs")

// await polls until the export is complete.
func (r *rig) await(ctx context.Context, job string, at func() string) (m *bulkclient.Manifest, err error) {
	err = insist(ctx, at, func(ctx context.Context, base string) error {
		_, found, err := r.client.Status(ctx, base, job)
		if err == nil && found == nil {
			err = errRunning
		}
		m = found
		return err
	})
	return m, err
}

// collect waits for an export and downloads its files. What it returns is their
// content by public name.
func (r *rig) collect(ctx context.Context, job string, at func() string) (map[string]bulkclient.Content, error) {
	m, err := r.await(ctx, job, at)
	if err != nil {
		return nil, err
	}
	if len(m.Error) > 0 {
		return nil, errors.New("the manifest lists errors")
	}
	found := map[string]bulkclient.Content{}
	for _, file := range m.Output {
		if _, twice := found[file.Name()]; twice {
			return nil, fmt.Errorf("%s is in the manifest twice", file.Name())
		}
		err := insist(ctx, at, func(ctx context.Context, base string) error {
			content, err := r.client.Download(ctx, base, file, nil)
			found[file.Name()] = content
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// compare says how an export differs from the reference.
func (r *rig) compare(found map[string]bulkclient.Content) error {
	for name, want := range r.want {
		got, there := found[name]
		switch {
		case !there:
			return fmt.Errorf("%s is missing", name)
		case got != want:
			return fmt.Errorf("%s has other content: %d lines instead of %d", name, got.Lines, want.Lines)
		}
	}
	if len(found) != len(r.want) {
		return fmt.Errorf("there are %d files instead of %d", len(found), len(r.want))
	}
	return nil
}

// export is one export from kick-off to the comparison of its files.
func (r *rig) export(ctx context.Context, at func() string) error {
	began := time.Now()
	job, err := r.kickOff(ctx, at)
	if err != nil {
		return err
	}
	found, err := r.collect(ctx, job, at)
	if err == nil {
		err = r.compare(found)
	}
	if err != nil {
		return fmt.Errorf("export %s: %w", path.Base(job), err)
	}
	r.sample("an export with its downloads (s)", time.Since(began).Seconds())
	return nil
}

// remove deletes an export.
func (r *rig) remove(ctx context.Context, job string, at func() string) error {
	return insist(ctx, at, func(ctx context.Context, base string) error {
		answer, err := r.client.Do(ctx, http.MethodDelete, base+job)
		if err == nil && answer.Code != http.StatusNoContent && answer.Code != http.StatusNotFound {
			err = &bulkclient.StatusError{Method: http.MethodDelete, URL: base + job, Answer: answer}
		}
		return err
	})
}

// awaitForgotten waits until the store has no record of a job.
func (r *rig) awaitForgotten(ctx context.Context, job string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		_, err := r.store.Job(ctx, path.Base(job))
		if errors.Is(err, bulkexport.ErrJobNotFound) {
			return nil
		}
		if !pause(ctx, pollPause) {
			return fmt.Errorf("job %s is not forgotten: %w", path.Base(job), errors.Join(err, ctx.Err()))
		}
	}
}
