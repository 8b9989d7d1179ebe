package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/bulkexport/bulkexport/examples/internal/dataset"
)

const (
	// cancelTime bounds what an interrupt may still take.
	cancelTime = 10 * time.Second
	// answerTime bounds the wait for a header: some servers look for all that
	// there is to export before they answer the kick-off.
	answerTime = 5 * time.Minute
)

// client is a Bulk Data client that says what it does. It goes by the guide
// alone: nothing in it knows which server answers.
type client struct {
	http        *http.Client
	kickOffURL  *url.URL    // its host is the one that credentials are for
	credentials http.Header // what the user gave; never printed
	gzip        bool        // ask for compressed files
	breakFirst  bool        // break the first download, to show how it goes on
	sleep       func(context.Context, time.Duration) error

	out   printer
	bar   bar
	dir   string // for the files
	steps int    // so far
}

func newClient(opts options, kickOff *url.URL, credentials http.Header) *client {
	transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // it is one
	// Else it would take the encoding away, and with it what ETag and Range are about.
	transport.DisableCompression = true
	transport.ResponseHeaderTimeout = answerTime
	if opts.sleep == nil {
		opts.sleep = sleep
	}
	out := printer{redactor{opts.out, secrets(credentials)}}
	return &client{
		http:        &http.Client{Transport: transport, CheckRedirect: redirect(credentials)},
		kickOffURL:  kickOff,
		credentials: credentials,
		sleep:       opts.sleep,
		out:         out,
		bar:         bar{out: out, terminal: opts.terminal},
		dir:         opts.dir,
	}
}

// sleep waits, but no longer than the context lives.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// play is an export from kick-off to delete. What was loaded into the server is
// what must come; nil if that is not known.
func (c *client) play(ctx context.Context, loaded map[string]dataset.Fingerprint) error {
	job, err := c.kickOff(ctx)
	if err != nil {
		return fmt.Errorf("kick off: %w", err)
	}
	files, err := c.fetch(ctx, job)
	if err == nil {
		err = c.check(files, loaded)
	}
	switch {
	case ctx.Err() != nil:
		return errors.Join(context.Cause(ctx), c.cancel(ctx, job))
	case files == nil && loaded == nil:
		c.out.printf("\nThe job is still there. To end it:\n")
		c.show(c.request(http.MethodDelete, job), "-i", "")
		return err
	case files == nil: // the server ends anyway
		return err
	}
	if deleteErr := c.delete(ctx, job); deleteErr != nil {
		err = errors.Join(err, fmt.Errorf("delete: %w", deleteErr))
	}
	c.printTable(files)
	return err
}

// kickOff starts the export and returns the URL of its status.
func (c *client) kickOff(ctx context.Context) (*url.URL, error) {
	c.step("Kick off")
	r := c.request(http.MethodGet, c.kickOffURL)
	accept := r.setDefault("Accept", "application/fhir+json")
	prefer := r.setDefault("Prefer", "respond-async")
	c.show(r, "-i"+accept+prefer, "")
	resp, err := c.send(ctx, r, http.StatusAccepted)
	if err != nil {
		return nil, err
	}
	defer discard(resp)
	c.say("%s", resp.Status)
	location := resp.Header.Get("Content-Location")
	if location == "" {
		return nil, errors.New("the answer has no Content-Location")
	}
	job, err := resp.Request.URL.Parse(location)
	if err != nil {
		return nil, fmt.Errorf("read Content-Location: %w", err)
	}
	c.say("Content-Location: %s", job)
	if len(c.credentials) > 0 && !c.trusts(job) {
		c.say("That is another host than %s: what -header gives is not sent there.", c.kickOffURL.Host)
	}
	return job, nil
}

// fetch waits for the export and downloads its files.
func (c *client) fetch(ctx context.Context, job *url.URL) ([]file, error) {
	entries, err := c.waitFor(ctx, job)
	if err != nil {
		return nil, fmt.Errorf("poll: %w", err)
	}
	files, err := c.downloadAll(ctx, entries)
	if err != nil {
		return nil, fmt.Errorf("download: %w", err)
	}
	return files, nil
}

// delete ends the job and looks whether it is gone.
func (c *client) delete(ctx context.Context, job *url.URL) error {
	c.step("Delete")
	if err := c.sendDelete(ctx, job); err != nil {
		return err
	}
	r := c.request(http.MethodGet, job)
	c.show(r, "-i", "")
	resp, err := c.send(ctx, r, http.StatusNotFound)
	if err != nil {
		c.say("%v (404 is what should come from now on)", err)
		return nil
	}
	c.say("%s", resp.Status)
	discard(resp)
	return nil
}

// cancel ends a job that nobody waits for any more.
func (c *client) cancel(ctx context.Context, job *url.URL) error {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), cancelTime)
	defer stop()
	c.step("Cancel")
	if err := c.sendDelete(ctx, job); err != nil {
		return fmt.Errorf("cancel: %w", err)
	}
	return nil
}

func (c *client) sendDelete(ctx context.Context, job *url.URL) error {
	r := c.request(http.MethodDelete, job)
	r.setDefault("Accept", "application/fhir+json")
	c.show(r, "-i", "")
	// 202 is what the guide says; the others mean the same.
	resp, err := c.send(ctx, r, http.StatusAccepted, http.StatusOK, http.StatusNoContent)
	if err != nil {
		return err
	}
	c.say("%s", resp.Status)
	discard(resp)
	return nil
}
