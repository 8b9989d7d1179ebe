package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// client is a client of Bulk Data Access.
type client struct {
	base string
	http *http.Client
}

func newClient(base string) *client {
	return &client{base: base, http: &http.Client{Transport: &http.Transport{
		MaxIdleConnsPerHost: 64,
		DisableCompression:  true, // what is asked for is said in the requests
	}}}
}

// answer is the end of a response whose body was read.
type answer struct {
	status int
	header http.Header
	length int64
}

// do makes a request and reads the body into to.
func (c *client) do(ctx context.Context, method, url string, to io.Writer, header ...string) (answer, error) {
	request, err := http.NewRequestWithContext(ctx, method, url, http.NoBody)
	if err != nil {
		return answer{}, err
	}
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := c.http.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	n, err := io.Copy(to, response.Body)
	return answer{response.StatusCode, response.Header, n}, err
}

// kickOff returns the URL of the job.
func (c *client) kickOff(ctx context.Context) (string, error) {
	a, err := c.do(ctx, http.MethodGet, c.base+exportPath, io.Discard,
		"Accept", "application/fhir+json", "Prefer", "respond-async")
	if err == nil && a.status != http.StatusAccepted {
		err = fmt.Errorf("kick-off: status %d", a.status)
	}
	return a.header.Get("Content-Location"), err
}

// await polls, with a pause in between, and returns the URLs of the files.
func (c *client) await(ctx context.Context, job string, pause time.Duration) ([]string, error) {
	for {
		text, done, err := c.poll(ctx, job)
		switch {
		case err != nil:
			return nil, err
		case done:
			return filesOf(text)
		}
		if pause == 0 {
			continue
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// poll returns the manifest once it is there.
func (c *client) poll(ctx context.Context, job string) (manifest []byte, done bool, err error) {
	var text writer
	a, err := c.do(ctx, http.MethodGet, job, &text, "Accept", "application/json")
	switch {
	case err != nil:
		return nil, false, err
	case a.status == http.StatusOK:
		return text, true, nil
	case a.status == http.StatusAccepted:
		return nil, false, nil
	}
	return nil, false, fmt.Errorf("status request: status %d", a.status)
}

// writer keeps what is written.
type writer []byte

func (w *writer) Write(p []byte) (int, error) {
	*w = append(*w, p...)
	return len(p), nil
}

func filesOf(manifest []byte) ([]string, error) {
	var content struct {
		Output []struct{ URL string }
		Error  []struct{ URL string }
	}
	if err := json.Unmarshal(manifest, &content); err != nil {
		return nil, err
	}
	if len(content.Error) > 0 || len(content.Output) == 0 {
		return nil, errors.New("the manifest has errors, or no files")
	}
	var urls []string
	for _, file := range content.Output {
		urls = append(urls, file.URL)
	}
	return urls, nil
}

// download reads a file in the given encoding, and does not decode it.
func (c *client) download(ctx context.Context, url, encoding string) (int64, error) {
	a, err := c.do(ctx, http.MethodGet, url, io.Discard, "Accept-Encoding", encoding)
	if err == nil && a.status != http.StatusOK {
		err = fmt.Errorf("download: status %d", a.status)
	}
	return a.length, err
}
