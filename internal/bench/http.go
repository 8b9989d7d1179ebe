package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// downloads is how many files a client reads at a time.
const downloads = 4

// httpExperiments measure what clients see, over loopback.
func httpExperiments() []experiment {
	of := func(g goal, measure func(context.Context, *round, task) (measurement, error)) experiment {
		return onAll([]goal{g}, func(ctx context.Context, r *round, t task) ([]measurement, error) {
			m, err := measure(ctx, r, t)
			return []measurement{m}, err
		})
	}
	return []experiment{
		of(goal{
			number: 8, what: "kick-off to last byte, client accepts gzip", reference: "kick-off to manifest",
			unit: "s", limit: 1.3,
		}, wholeFlow),
		of(goal{
			number: 8, what: "the same, files stored as gzip", reference: "kick-off to manifest",
			unit: "s", limit: 1.3,
		}, func(ctx context.Context, r *round, t task) (measurement, error) {
			t.Gzip = true
			return wholeFlow(ctx, r, t)
		}),
		of(goal{
			number: 13, what: "status polls while an export runs", reference: "empty net/http handler",
			unit: "/s", atLeast: true, limit: 0.5,
		}, statusPolls),
		of(goal{
			number: 14, what: "download of a file", reference: "http.ServeContent of the same file",
			unit: "MB/s", atLeast: true, limit: 0.9,
		}, throughput),
	}
}

// wholeFlow takes both times from the same export. A process that is asked something
// now and then gets more of a busy machine than one that is left alone, so that
// the export alone could take longer than the flow.
func wholeFlow(ctx context.Context, r *round, t task) (m measurement, err error) {
	s, err := r.serve(ctx, t)
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	watch := newStopwatch()
	alone, err := s.wholeExport(ctx, 5*time.Millisecond, "gzip")
	return ratio(alone, watch.seconds()), err
}

// wholeExport goes from the kick-off to the last byte, and returns how many seconds
// it took to the manifest.
func (c *client) wholeExport(ctx context.Context, pause time.Duration, encoding string) (float64, error) {
	watch := newStopwatch()
	job, err := c.kickOff(ctx)
	if err != nil {
		return 0, err
	}
	urls, err := c.await(ctx, job, pause)
	if err != nil {
		return 0, err
	}
	exported := watch.seconds()
	return exported, atOnce(downloads, len(urls), func(i int) error {
		_, err := c.download(ctx, urls[i], encoding)
		return err
	})
}

// atOnce calls fn with 0 to n-1, a few at a time, and joins the errors.
func atOnce(few, n int, fn func(i int) error) error {
	errs := make([]error, n)
	var next atomic.Int64
	var group sync.WaitGroup
	for range min(few, n) {
		group.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				errs[i] = fn(i)
			}
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

// throughput reads the largest file of an export several times both ways.
func throughput(ctx context.Context, r *round, t task) (m measurement, err error) {
	s, err := r.serve(ctx, t)
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	job, err := s.kickOff(ctx)
	if err != nil {
		return m, err
	}
	urls, err := s.await(ctx, job, 5*time.Millisecond)
	if err != nil {
		return m, err
	}
	path, size, err := largestFile(filepath.Join(s.folder, "files"))
	if err != nil {
		return m, err
	}
	url, err := s.urlOfSize(ctx, urls, size)
	if err != nil {
		return m, err
	}
	var bareTime, exportTime float64
	const times = 4
	for range times {
		bare, export, err := sides(r,
			func() (float64, error) { return s.timed(ctx, s.base+barePath+path, size) },
			func() (float64, error) { return s.timed(ctx, url, size) },
		)
		if err != nil {
			return m, err
		}
		bareTime, exportTime = bareTime+bare, exportTime+export
	}
	rate := func(seconds float64) float64 { return times * float64(size) / 1e6 / seconds }
	return ratio(rate(bareTime), rate(exportTime)), nil
}

func (c *client) timed(ctx context.Context, url string, size int64) (float64, error) {
	watch := newStopwatch()
	n, err := c.download(ctx, url, "identity")
	if err == nil && n != size {
		err = fmt.Errorf("read %d of %d bytes", n, size)
	}
	return watch.seconds(), err
}

// urlOfSize returns the URL of a file of this size.
func (c *client) urlOfSize(ctx context.Context, urls []string, size int64) (string, error) {
	for _, url := range urls {
		a, err := c.do(ctx, http.MethodHead, url, io.Discard)
		if err != nil {
			return "", err
		}
		if a.header.Get("Content-Length") == strconv.FormatInt(size, 10) {
			return url, nil
		}
	}
	return "", errors.New("no file of the manifest has the size of the largest one")
}

// largestFile returns the path of a file below a folder, from there on.
func largestFile(dir string) (path string, size int64, err error) {
	err = filepath.WalkDir(dir, func(at string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err == nil && info.Size() > size {
			path, size = at, info.Size()
		}
		return err
	})
	if err != nil {
		return "", 0, err
	}
	path, err = filepath.Rel(dir, path)
	return filepath.ToSlash(path), size, err
}

const (
	pollers    = 16
	phase      = time.Second // the longest
	mostPhases = 200
)

// statusPolls counts answers while an export runs: those about its status, and
// while the next one runs, those of an empty handler.
func statusPolls(ctx context.Context, r *round, t task) (m measurement, err error) {
	s, err := r.serve(ctx, t)
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	// All phases together, on either side. Exports of few resources are short.
	phases := time.Duration(min(r.resources, 100_000)) * 20 * time.Microsecond
	var empty, status tally
	for i := 0; i < mostPhases && min(empty.time, status.time) < phases; i++ {
		_, _, err := sides(r,
			func() (tally, error) { return empty, s.count(ctx, &empty, true) },
			func() (tally, error) { return status, s.count(ctx, &status, false) },
		)
		if err != nil {
			return m, err
		}
	}
	return ratio(empty.perSecond(), status.perSecond()), nil
}

// tally is how many answers there were in some time.
type tally struct {
	answers int64
	time    time.Duration
}

func (t tally) perSecond() float64 { return float64(t.answers) / t.time.Seconds() }

// count kicks off an export and asks as often as it can while it runs: for its
// status, or for nothing.
func (c *client) count(ctx context.Context, t *tally, nothing bool) error {
	job, err := c.kickOff(ctx)
	if err != nil {
		return err
	}
	url := job
	if nothing {
		url = c.base + emptyPath
	}
	asking, stop := context.WithTimeout(ctx, phase)
	defer stop()
	var answers atomic.Int64
	var watching sync.WaitGroup
	watching.Go(func() {
		defer stop()
		_, _ = c.await(asking, job, 2*time.Millisecond) // an error shows in what follows
	})
	began := time.Now()
	err = atOnce(pollers, pollers, func(int) error {
		for asking.Err() == nil {
			a, err := c.do(asking, http.MethodGet, url, io.Discard)
			switch {
			case asking.Err() != nil: // which may be why there is an error
			case err != nil:
				return err
			case !nothing && a.status == http.StatusOK:
				stop()
			case a.status != http.StatusOK && a.status != http.StatusAccepted:
				return fmt.Errorf("status %d", a.status)
			default:
				answers.Add(1)
			}
		}
		return nil
	})
	t.time += time.Since(began)
	t.answers += answers.Load()
	watching.Wait()
	if err != nil {
		return err
	}
	_, err = c.do(ctx, http.MethodDelete, job, io.Discard)
	return err
}
