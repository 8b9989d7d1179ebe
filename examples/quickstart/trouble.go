package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// minWait keeps a server that says "now" from being asked without pause.
	minWait = time.Second
	// maxOwnWait is the longest that the client waits by its own choice, and
	// maxWait by the server's: beyond that the number is a mistake.
	maxOwnWait = time.Minute
	maxWait    = 24 * time.Hour
	// maxTroubles is how many failures in a row are waited out.
	maxTroubles = 10
	// maxOutcome is how much of the body of a failure is read.
	maxOutcome = 1 << 20
)

// errStartAgain says that a download broke and cannot go on where it was.
var errStartAgain = errors.New("the download has to start again")

// connectionError is a request without an answer, or with half of one.
type connectionError struct {
	request request
	err     error
}

func (e *connectionError) Error() string {
	return fmt.Sprintf("%s %s: %v", e.request.method, e.request.address(), e.err)
}

func (e *connectionError) Unwrap() error { return e.err }

// statusError is an answer that is not the one that was hoped for.
type statusError struct {
	request request
	code    int
	status  string
	header  http.Header
	outcome outcome
}

// outcome is what matters of an OperationOutcome.
type outcome struct {
	Issue []struct {
		Severity, Code, Diagnostics string
		Details                     struct{ Text string }
	}
}

func newStatusError(r request, resp *http.Response) *statusError {
	e := &statusError{request: r, code: resp.StatusCode, status: resp.Status, header: resp.Header}
	// What is no OperationOutcome leaves it empty, and that is all it says.
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxOutcome))
	_ = resp.Body.Close()
	_ = json.Unmarshal(body, &e.outcome)
	return e
}

func (e *statusError) Error() string {
	parts := []string{fmt.Sprintf("%s %s: %s", e.request.method, e.request.address(), e.status)}
	for _, issue := range e.outcome.Issue {
		words := []string{issue.Severity, issue.Code, issue.Details.Text, issue.Diagnostics}
		words = slices.DeleteFunc(words, func(word string) bool { return word == "" })
		parts = append(parts, strings.Join(words, ": "))
	}
	return printable(strings.Join(parts, "; "))
}

// transient says whether a failure may pass.
func transient(err error) bool {
	var (
		connection *connectionError
		status     *statusError
	)
	if errors.As(err, &connection) || errors.Is(err, errStartAgain) {
		return true
	}
	if !errors.As(err, &status) {
		return false
	}
	if status.code == http.StatusTooManyRequests || status.code == http.StatusServiceUnavailable {
		return true
	}
	for _, issue := range status.outcome.Issue {
		switch issue.Code {
		case "transient", "lock-error", "no-store", "exception", "timeout", "incomplete", "throttled":
			return true
		}
	}
	return false
}

// patience is how long to wait for a server. The zero value is that of the
// start.
type patience struct {
	next     time.Duration // where the server does not say
	troubles int           // in a row
}

// delay is what the server asks for, or twice as long as the last time.
func (p *patience) delay(header http.Header) time.Duration {
	if told, ok := retryAfter(header); ok {
		return min(max(told, minWait), maxWait)
	}
	own := max(p.next, minWait)
	p.next = min(2*own, maxOwnWait)
	return own
}

// retryAfter reads Retry-After, which is in seconds or a date. A date is
// compared with the server's own clock, if it says.
func retryAfter(header http.Header) (time.Duration, bool) {
	text := header.Get("Retry-After")
	if seconds, err := strconv.ParseUint(text, 10, 32); err == nil {
		return time.Duration(seconds) * time.Second, true
	}
	then, err := http.ParseTime(text)
	if err != nil {
		return 0, false
	}
	now, err := http.ParseTime(header.Get("Date"))
	if err != nil {
		now = time.Now()
	}
	return then.Sub(now), true
}

// endure waits after a failure that may pass. It returns the error of one that
// will not, or that came too often.
func (c *client) endure(ctx context.Context, p *patience, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if !transient(err) || p.troubles == maxTroubles {
		return err
	}
	p.troubles++
	var header http.Header
	if status := (*statusError)(nil); errors.As(err, &status) {
		header = status.header
	}
	delay := p.delay(header)
	c.bar.end()
	c.say("%v; again in %s", err, delay)
	return c.sleep(ctx, delay)
}
