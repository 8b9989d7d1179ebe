package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"
)

// pollEvery is how often the status is asked for. A real client waits as long as
// Retry-After says; on loopback nobody minds, and the bar moves.
const pollEvery = 200 * time.Millisecond

// client is a Bulk Data client that says what it does.
type client struct {
	http  *http.Client
	out   printer
	bar   bar
	dir   string // for the files
	steps int    // so far
}

func newClient(opts options) *client {
	// Without compression, ETag is that of the plain file, which is easy to check.
	transport := &http.Transport{DisableCompression: true}
	return &client{
		http: &http.Client{Transport: transport},
		out:  opts.out,
		bar:  bar{out: opts.out, terminal: opts.terminal},
		dir:  opts.dir,
	}
}

// manifest is what a client needs of the answer to the status of a finished job.
type manifest struct {
	TransactionTime time.Time
	Output          []manifestFile
	Error           []manifestFile
}

type manifestFile struct {
	Type  string
	URL   string
	Count int64
}

// kickOff starts an export and returns the URL of its status.
func (c *client) kickOff(ctx context.Context, url string) (string, error) {
	c.step("Kick off")
	c.show("curl -i '%s'", url)
	resp, err := c.do(ctx, http.MethodGet, url, nil, http.StatusAccepted)
	if err != nil {
		return "", err
	}
	job := resp.Header.Get("Content-Location")
	c.say("%s", resp.Status)
	c.say("Content-Location: %s", job)
	return job, resp.Body.Close()
}

// wait polls until the export is complete.
func (c *client) wait(ctx context.Context, job string) (manifest, error) {
	c.step("Poll")
	c.show("curl -i '%s'", job)
	for {
		resp, err := c.do(ctx, http.MethodGet, job, nil, http.StatusAccepted, http.StatusOK)
		if err != nil {
			return manifest{}, err
		}
		if resp.StatusCode == http.StatusOK {
			c.bar.end()
			return c.readManifest(resp)
		}
		var status struct {
			Message  string
			Progress float64
		}
		if err := decode(resp, &status); err != nil {
			return manifest{}, err
		}
		c.bar.draw(status.Progress, status.Message)
		select {
		case <-time.After(pollEvery):
		case <-ctx.Done():
			return manifest{}, ctx.Err()
		}
	}
}

func (c *client) readManifest(resp *http.Response) (manifest, error) {
	var m manifest
	if err := decode(resp, &m); err != nil {
		return m, err
	}
	c.say("%s, %d files, the state of %s", resp.Status, len(m.Output), m.TransactionTime.Format(time.RFC3339Nano))
	if len(m.Error) > 0 {
		return m, fmt.Errorf("%d error files", len(m.Error))
	}
	return m, nil
}

// delete ends the job and looks whether it is gone.
func (c *client) delete(ctx context.Context, job string) error {
	c.step("Delete")
	c.show("curl -i -X DELETE '%s'", job)
	resp, err := c.do(ctx, http.MethodDelete, job, nil, http.StatusNoContent)
	if err != nil {
		return err
	}
	c.say("%s", resp.Status)
	if err := resp.Body.Close(); err != nil {
		return err
	}
	c.show("curl -i '%s'", job)
	if resp, err = c.do(ctx, http.MethodGet, job, nil, http.StatusNotFound); err != nil {
		return err
	}
	c.say("%s", resp.Status)
	return resp.Body.Close()
}

// do sends a request and returns the answer if it has one of the statuses. The
// caller closes its body.
func (c *client) do(
	ctx context.Context, method, url string, header http.Header, statuses ...int,
) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return nil, err
	}
	maps.Copy(req.Header, header)
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	if slices.Contains(statuses, resp.StatusCode) {
		return resp, nil
	}
	return nil, errors.Join(fmt.Errorf("%s %s: unexpected status %s", method, url, resp.Status), resp.Body.Close())
}

func decode(resp *http.Response, v any) error {
	return errors.Join(json.NewDecoder(resp.Body).Decode(v), resp.Body.Close())
}
