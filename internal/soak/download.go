//go:build unix

package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"time"
)

// errGone means that a download met a 404.
var errGone = errors.New("the file is gone")

// download is one file on its way, from whichever servers.
type download struct {
	job  *job
	file file
	rng  *rand.Rand
	got  []byte
	etag string
	// What the client does: it takes gzip, it stops so many times and goes on
	// elsewhere, it is slow.
	zipped bool
	cuts   int
	slow   bool
}

// download fetches a file and checks it against the manifest.
func (j *job) download(ctx context.Context, rng *rand.Rand, f file) ([]byte, error) {
	d := &download{job: j, file: f, rng: rng}
	switch rng.IntN(6) {
	case 0:
		d.zipped = true
	case 1, 2:
		d.cuts = 1 + rng.IntN(3)
	case 3:
		d.slow = true
	}
	for {
		done, err := d.step(ctx)
		if err != nil {
			return nil, err
		}
		if done {
			break
		}
		if !pause(ctx, between(rng, 0, 20*time.Millisecond)) {
			return nil, ctx.Err()
		}
	}
	if sum := sha256.Sum256(d.got); hex.EncodeToString(sum[:]) != f.sha256() || int64(len(d.got)) != f.size() {
		j.violate("%s: %d bytes that are not those of the manifest (%d)", f.path(), len(d.got), f.size())
	}
	j.soak.count.bytes.Add(int64(len(d.got)))
	return d.got, nil
}

// step gets as much as it can from one server.
func (d *download) step(ctx context.Context) (done bool, err error) {
	s := d.job.soak
	to, err := s.cluster.pick(ctx, d.rng)
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*patience)
	defer cancel()
	c := call{method: http.MethodGet, path: d.file.path(), token: d.job.client.token, header: d.header()}
	resp, err := s.open(ctx, to, c)
	switch {
	case err != nil && interrupted(ctx):
		return false, ctx.Err()
	case err != nil:
		s.answered(to, c, reply{}, err)
		return false, nil
	}
	defer func() { _ = resp.Body.Close() }()
	switch resp.StatusCode {
	case http.StatusOK, http.StatusPartialContent:
		return d.take(ctx, resp, to)
	case http.StatusNotFound:
		return false, errGone
	case http.StatusServiceUnavailable:
		s.answered(to, c, reply{status: resp.StatusCode}, nil)
		return false, nil
	}
	d.job.violate("%s: %s", c.path, resp.Status)
	return false, errGone
}

func (d *download) header() map[string]string {
	header := map[string]string{"Accept-Encoding": "identity"}
	switch {
	case len(d.got) > 0:
		header["Range"] = fmt.Sprintf("bytes=%d-", len(d.got))
		header["If-Range"] = d.etag
	case d.zipped:
		header["Accept-Encoding"] = "gzip"
	}
	return header
}

// take reads the body of an answer. What was cut off is asked for again.
func (d *download) take(ctx context.Context, resp *http.Response, from *server) (done bool, err error) {
	if d.zipped {
		return d.unzip(ctx, resp, from)
	}
	wanted := http.StatusOK
	if len(d.got) > 0 {
		wanted = http.StatusPartialContent
		want := fmt.Sprintf("bytes %d-%d/%d", len(d.got), d.file.size()-1, d.file.size())
		if got := resp.Header.Get("Content-Range"); got != want {
			d.job.violate("%s: Content-Range %q instead of %q", d.file.path(), got, want)
		}
	}
	left := d.file.size() - int64(len(d.got))
	if resp.StatusCode != wanted || resp.ContentLength != left {
		d.job.violate("%s: status %d with %d bytes instead of %d with %d",
			d.file.path(), resp.StatusCode, resp.ContentLength, wanted, left)
		return false, errGone
	}
	if tag := resp.Header.Get("ETag"); d.etag == "" {
		d.etag = tag
	} else if tag != d.etag {
		d.job.violate("%s: ETag %s after %s", d.file.path(), tag, d.etag)
	}
	limit := left
	if d.cuts > 0 {
		d.cuts--
		limit = 1 + d.rng.Int64N(left)
	}
	return d.read(ctx, io.LimitReader(resp.Body, limit), from, limit < left)
}

// unbuffered is how much of a file is not all in the buffers of a connection: a
// server that dies takes some of it along.
const unbuffered = 4 << 20

// read reads to the end, or to where it was to be cut.
func (d *download) read(ctx context.Context, body io.Reader, from *server, cut bool) (done bool, err error) {
	buf := make([]byte, 32<<10)
	for {
		n, err := body.Read(buf)
		d.got = append(d.got, buf[:n]...)
		if d.slow {
			if left := d.file.size() - int64(len(d.got)); left > unbuffered {
				d.job.soak.cluster.offer(d.rng, from.slot, 50)
			}
			pause(ctx, between(d.rng, 0, 20*time.Millisecond))
		}
		switch {
		case errors.Is(err, io.EOF):
			if cut {
				d.job.soak.count.cuts.Add(1)
			}
			return !cut, nil
		case err != nil:
			d.broken(ctx, from, err)
			return int64(len(d.got)) == d.file.size(), nil
		}
	}
}

// unzip reads a body as a whole, as there are no ranges of it.
func (d *download) unzip(ctx context.Context, resp *http.Response, from *server) (done bool, err error) {
	if resp.Header.Get("Content-Encoding") != "gzip" {
		d.job.violate("%s: not compressed", d.file.path())
		return false, errGone
	}
	reader, err := gzip.NewReader(resp.Body)
	if err == nil {
		d.got, err = io.ReadAll(reader)
	}
	if err != nil {
		d.got = nil
		d.broken(ctx, from, err)
		return false, nil
	}
	return true, nil
}

// interrupted tells that the command is to end from that a server took too long.
func interrupted(ctx context.Context) bool { return errors.Is(ctx.Err(), context.Canceled) }

// broken notes that a body ended early, for which there must be a reason.
func (d *download) broken(ctx context.Context, from *server, err error) {
	if !from.wasDisturbed() && !interrupted(ctx) {
		d.job.violate("%s: cut off by server %d, which nobody disturbed: %v", d.file.path(), from.index, err)
	}
	d.job.soak.count.broken.Add(1)
}

// deleteInMidDownload deletes the job while one of its files is being read. What
// the client gets is the file, or the beginning of it.
func (j *job) deleteInMidDownload(ctx context.Context, rng *rand.Rand, f file, whole []byte) error {
	to, err := j.soak.cluster.pick(ctx, rng)
	if err != nil {
		return err
	}
	resp, err := j.soak.open(ctx, to, call{method: http.MethodGet, path: f.path(), token: j.client.token})
	if err != nil {
		return j.delete(ctx, rng)
	}
	defer func() { _ = resp.Body.Close() }()
	if err := j.delete(ctx, rng); err != nil || resp.StatusCode != http.StatusOK {
		return err
	}
	got, err := io.ReadAll(resp.Body)
	if !bytes.HasPrefix(whole, got) || err == nil && len(got) < len(whole) {
		j.violate("%s: other content while it is deleted", f.path())
	}
	return nil
}
