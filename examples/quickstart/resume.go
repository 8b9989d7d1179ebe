package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// errOnPurpose breaks a download, to show how it goes on.
var errOnPurpose = errors.New("broken on purpose")

// body reads a file as the server sends it. When the connection breaks, it goes
// on where it was; if the server cannot, the error is errStartAgain.
type body struct {
	ctx      context.Context // of the download, which a Reader cannot take
	client   *client
	request  request
	path     string // for the command line that is shown
	resp     *http.Response
	etag     string
	offset   int64
	patience patience
}

// open begins a download.
func (c *client) open(ctx context.Context, r request, path string) (*body, error) {
	b := &body{ctx: ctx, client: c, request: r, path: path}
	for {
		resp, err := c.send(ctx, r, http.StatusOK) //nolint:bodyclose // the caller closes all
		if err != nil {
			if err := c.endure(ctx, &b.patience, err); err != nil {
				return nil, err
			}
			continue
		}
		b.resp, b.etag = resp, resp.Header.Get("ETag")
		break
	}
	flags := "-o " + quote(path)
	half := b.resp.ContentLength / 2
	switch {
	case c.breakFirst && half > 0:
		c.breakFirst = false
		c.show(r, fmt.Sprintf("-r 0-%d %s", half-1, flags), "as if the connection broke here")
		b.resp.Body = breakAfter(b.resp.Body, half)
	case r.header.Get("Accept-Encoding") != "":
		c.show(r, "--compressed "+flags, "")
	default:
		c.show(r, flags, "")
	}
	return b, nil
}

// Close ends the download.
func (b *body) Close() error { return b.resp.Body.Close() }

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.resp.Body.Read(p)
	b.offset += int64(n)
	if n > 0 {
		b.patience = patience{}
	}
	if err == nil || err == io.EOF {
		return n, err
	}
	return n, b.goOn(err)
}

// goOn asks for the rest after the connection broke.
func (b *body) goOn(cause error) error {
	_ = b.resp.Body.Close()
	err := error(&connectionError{b.request, cause})
	// Without a strong ETag nobody can tell whether the rest is of the same file.
	if !strings.HasPrefix(b.etag, `"`) {
		return fmt.Errorf("%w: %w", err, errStartAgain)
	}
	for err != nil && !errors.Is(err, errStartAgain) {
		if !errors.Is(err, errOnPurpose) {
			if err := b.client.endure(b.ctx, &b.patience, err); err != nil {
				return err
			}
		}
		b.client.show(b.request, "-C - -o "+quote(b.path), "the rest")
		err = b.sendRest()
	}
	return err
}

// sendRest asks for the rest once. If-Range: were it another file by now, the
// server would send all of it.
func (b *body) sendRest() error {
	r := b.request
	r.header = r.header.Clone()
	r.header.Set("Range", fmt.Sprintf("bytes=%d-", b.offset))
	r.header.Set("If-Range", b.etag)
	resp, err := b.client.send(b.ctx, r, http.StatusPartialContent, http.StatusOK,
		http.StatusRequestedRangeNotSatisfiable)
	if err != nil {
		return err
	}
	first := fmt.Sprintf("bytes %d-", b.offset)
	if resp.StatusCode != http.StatusPartialContent ||
		!strings.HasPrefix(resp.Header.Get("Content-Range"), first) ||
		resp.Header.Get("Content-Encoding") != b.resp.Header.Get("Content-Encoding") {
		_ = resp.Body.Close()
		return fmt.Errorf("%s: %w", b.request.address(), errStartAgain)
	}
	b.resp = resp
	return nil
}

// breakAfter ends a body early with errOnPurpose.
func breakAfter(whole io.ReadCloser, n int64) io.ReadCloser {
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(io.LimitReader(whole, n), broken{}), whole}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errOnPurpose }
