package httpadapter

import (
	"cmp"
	"context"
	"errors"
	"io"
	"sync"
)

// content is an output file as http.ServeContent reads it. It ends with the
// request and keeps the first error. The lock is for requests of several ranges:
// those are read by a goroutine that may outlive http.ServeContent.
type content struct {
	ctx  context.Context // of the request, whose life is that of the content
	file io.ReadSeeker

	mu  sync.Mutex
	err error
}

var errEnded = errors.New("answer has ended")

// Read implements io.Reader.
func (c *content) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err = cmp.Or(c.err, c.ctx.Err()); c.err != nil {
		return 0, c.err
	}
	n, err := c.file.Read(p)
	if !errors.Is(err, io.EOF) {
		c.err = err
	}
	return n, err
}

// Seek implements io.Seeker.
func (c *content) Seek(offset int64, whence int) (int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err = cmp.Or(c.err, c.ctx.Err()); c.err != nil {
		return 0, c.err
	}
	n, err := c.file.Seek(offset, whence)
	c.err = err
	return n, err
}

// failed returns the first error so far.
func (c *content) failed() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// end makes later reads fail and returns the first error so far. From then on
// the file may be closed.
func (c *content) end() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	err := c.err
	c.err = cmp.Or(c.err, errEnded)
	return err
}
