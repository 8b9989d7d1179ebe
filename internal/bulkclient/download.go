package bulkclient

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// maxLine bounds one resource.
const maxLine = 16 << 20

// Content is what a file was.
type Content struct {
	SHA256       string
	Lines, Bytes int64
}

// Download reads a file from a server, or from the storage if the manifest says so,
// and compares it with the manifest. each, if not nil, gets every line, which is
// lent.
//
// Errors: [ErrContent], [*StatusError].
func (c *Client) Download(ctx context.Context, base string, f File, each func(line []byte)) (Content, error) {
	at := on(base, f.URL)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return Content{}, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return Content{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10)) // what there is of it
		return Content{}, &StatusError{http.MethodGet, at, Answer{resp.StatusCode, resp.Header, body}}
	}
	found, err := read(resp.Body, each)
	switch {
	case err != nil:
		return found, fmt.Errorf("%s: %w", f.Name(), err)
	case found.SHA256 != f.SHA256() || found.Lines != f.Count:
		return found, fmt.Errorf("%s: %w: %d lines instead of %d, SHA-256 %.16s… instead of %.16s…",
			f.Name(), ErrContent, found.Lines, f.Count, found.SHA256, f.SHA256())
	}
	return found, nil
}

// ErrContent means that a file is not what the manifest says.
var ErrContent = errors.New("not what the manifest says")

func read(body io.Reader, each func(line []byte)) (Content, error) {
	sum, size := sha256.New(), new(counter)
	lines := bufio.NewScanner(io.TeeReader(body, io.MultiWriter(sum, size)))
	lines.Buffer(make([]byte, 0, 64<<10), maxLine)
	var found Content
	for lines.Scan() {
		found.Lines++
		if each != nil {
			each(lines.Bytes())
		}
	}
	found.SHA256, found.Bytes = hex.EncodeToString(sum.Sum(nil)), int64(*size)
	return found, lines.Err()
}

type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}
