package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/bulkexport/bulkexport/examples/internal/dataset"
)

// file is an output file that was downloaded.
type file struct {
	manifestFile
	name, sha256 string
	size         int64
	content      map[string]dataset.Fingerprint
}

// downloadAll fetches the files one by one, the first of them in two pieces.
func (c *client) downloadAll(ctx context.Context, m manifest) ([]file, error) {
	c.step("Download")
	var files []file
	for i, entry := range m.Output {
		f, err := c.download(ctx, entry, i == 0)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path.Base(entry.URL), err)
		}
		files = append(files, f)
	}
	return files, nil
}

// download fetches one file and checks it against its ETag.
func (c *client) download(ctx context.Context, entry manifestFile, twoPieces bool) (f file, err error) {
	name := filepath.Join(c.dir, path.Base(entry.URL))
	out, err := os.Create(name)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, out.Close()) }()

	hash, digest := sha256.New(), &dataset.Digest{}
	to := io.MultiWriter(out, hash, digest)
	var etag string
	if twoPieces {
		etag, err = c.fetchTwoPieces(ctx, entry.URL, name, to)
	} else {
		c.show("curl -o '%s' '%s'", name, entry.URL)
		etag, err = c.fetch(ctx, entry.URL, nil, to)
	}
	if err != nil {
		return f, err
	}
	f = file{manifestFile: entry, name: name, sha256: hex.EncodeToString(hash.Sum(nil))}
	if want := strings.Trim(etag, `"`); f.sha256 != want {
		return f, fmt.Errorf("SHA-256 is %s, but ETag says %s", f.sha256, want)
	}
	if f.content, err = digest.Types(); err != nil {
		return f, err
	}
	f.size, err = out.Seek(0, io.SeekCurrent)
	return f, err
}

// fetchTwoPieces fetches half of a file, and then, as after a connection that
// broke, the rest.
func (c *client) fetchTwoPieces(ctx context.Context, url, name string, to io.Writer) (string, error) {
	resp, err := c.do(ctx, http.MethodHead, url, nil, http.StatusOK)
	if err != nil {
		return "", err
	}
	half := resp.ContentLength / 2
	if err := resp.Body.Close(); err != nil {
		return "", err
	}
	c.show("curl -r 0-%d -o '%s' '%s'   # as if the connection broke here", half-1, name, url)
	etag, err := c.fetch(ctx, url, http.Header{"Range": {fmt.Sprintf("bytes=0-%d", half-1)}}, to)
	if err != nil {
		return "", err
	}
	c.show("curl -C - -o '%s' '%s'   # the rest", name, url)
	// If-Range: were it another file by now, the server would send all of it, and
	// with a status that fetch does not take.
	rest := http.Header{"Range": {fmt.Sprintf("bytes=%d-", half)}, "If-Range": {etag}}
	return c.fetch(ctx, url, rest, to)
}

// fetch copies a file, or the range of it that the header names, and returns its
// ETag.
func (c *client) fetch(ctx context.Context, url string, header http.Header, to io.Writer) (string, error) {
	want := http.StatusOK
	if header != nil {
		want = http.StatusPartialContent
	}
	resp, err := c.do(ctx, http.MethodGet, url, header, want)
	if err != nil {
		return "", err
	}
	_, err = io.Copy(to, resp.Body)
	return resp.Header.Get("ETag"), errors.Join(err, resp.Body.Close())
}
