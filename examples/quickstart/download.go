package main

import (
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// file is one that was downloaded.
type file struct {
	entry
	path     string
	sha256   string
	verified bool // sha256 is what the ETag says
	size     int64
	content  content
}

// hashETag is an ETag that is the SHA-256 of the file. No server has to give
// one; where it is there, it is worth a look.
var hashETag = regexp.MustCompile(`^"([0-9a-fA-F]{64})"$`)

// downloadAll fetches the files one by one.
func (c *client) downloadAll(ctx context.Context, entries []entry) ([]file, error) {
	c.step("Download")
	files := []file{} // nil if they did not all come
	for _, e := range entries {
		f, err := c.download(ctx, e)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.name, err)
		}
		files = append(files, f)
	}
	return files, nil
}

// download fetches one file, from its beginning as often as it has to be.
func (c *client) download(ctx context.Context, e entry) (file, error) {
	var patience patience
	compressed := c.gzip
	for {
		f, err := c.tryDownload(ctx, e, compressed)
		if !errors.Is(err, errStartAgain) {
			return f, err
		}
		if err := c.endure(ctx, &patience, err); err != nil {
			return f, err
		}
		// Servers that compress on the way cannot go on in the middle of that.
		compressed = false
	}
}

// tryDownload leaves a whole file or none.
func (c *client) tryDownload(ctx context.Context, e entry, compressed bool) (f file, err error) {
	f = file{entry: e, path: filepath.Join(c.dir, e.name)}
	out, err := os.Create(f.path)
	if err != nil {
		return f, err
	}
	defer func() {
		if err = errors.Join(err, out.Close()); err != nil {
			err = errors.Join(err, os.Remove(f.path))
		}
	}()
	body, err := c.open(ctx, c.fileRequest(e, compressed), f.path)
	if err != nil {
		return f, err
	}
	defer body.Close()
	plain, encoded, err := body.decoded()
	if err != nil {
		return f, err
	}
	hash := sha256.New()
	if f.size, err = io.Copy(io.MultiWriter(out, hash), plain); err != nil {
		return f, err
	}
	f.sha256 = hex.EncodeToString(hash.Sum(nil))
	if match := hashETag.FindStringSubmatch(body.etag); match != nil && !encoded {
		if f.verified = strings.EqualFold(match[1], f.sha256); !f.verified {
			return f, fmt.Errorf("SHA-256 is %s, but ETag says %s", f.sha256, match[1])
		}
	}
	return f, nil
}

// fileRequest carries credentials as the manifest says. Where it says nothing,
// the server that they are for gets them.
func (c *client) fileRequest(e entry, compressed bool) request {
	r := c.request(http.MethodGet, e.url)
	switch {
	case e.requiresToken == nil:
	case !*e.requiresToken:
		r.header, r.capability = http.Header{}, true
	case !downgrades(c.kickOffURL, e.url) && c.credentials != nil:
		r.header = c.credentials.Clone()
	}
	r.setDefault("Accept", "application/fhir+ndjson")
	if compressed {
		r.setDefault("Accept-Encoding", "gzip")
	}
	return r
}

// decoded returns the content of a body and whether it was compressed, which a
// server may do unasked.
func (b *body) decoded() (content io.Reader, encoded bool, err error) {
	switch encoding := b.resp.Header.Get("Content-Encoding"); strings.ToLower(encoding) {
	case "", "identity":
		return b, false, nil
	case "gzip", "x-gzip":
		content, err = gzip.NewReader(b)
		return content, true, err
	default:
		return nil, true, fmt.Errorf("unknown Content-Encoding %q", encoding)
	}
}
