package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// percentage is how most servers tell their progress.
var percentage = regexp.MustCompile(`(\d+(?:\.\d+)?)\s*%`)

// waitFor polls until the export is complete, follows the manifest to its last
// page, and returns the files.
func (c *client) waitFor(ctx context.Context, job *url.URL) ([]entry, error) {
	c.step("Poll")
	all := newListing()
	seen := map[string]bool{}
	for next := job; next != nil; {
		if seen[next.String()] {
			return nil, errors.New("a page of the manifest links to one before it")
		}
		seen[next.String()] = true
		page, at, err := c.poll(ctx, next)
		if err != nil {
			return nil, err
		}
		if err := all.add(page, at); err != nil {
			return nil, fmt.Errorf("read manifest: %w", err)
		}
		if next, err = page.next(at); err != nil {
			return nil, fmt.Errorf("read manifest: %w", err)
		}
	}
	c.say("200 OK, %s", all)
	return all.entries, nil
}

// poll asks until the answer is 200, and returns the page of the manifest with
// the URL that it came from.
func (c *client) poll(ctx context.Context, target *url.URL) (manifest, *url.URL, error) {
	r := c.request(http.MethodGet, target)
	r.setDefault("Accept", "application/json")
	c.show(r, "-i", "")
	var (
		patience patience
		last     string
	)
	for {
		resp, err := c.send(ctx, r, http.StatusAccepted, http.StatusOK)
		if err == nil && resp.StatusCode == http.StatusOK {
			var page manifest
			if page, err = readManifest(r, resp); err == nil {
				c.bar.end()
				return page, resp.Request.URL, nil
			}
		}
		if err != nil {
			if err := c.endure(ctx, &patience, err); err != nil {
				c.bar.end()
				return manifest{}, nil, err
			}
			continue
		}
		// What a running export has in its body, if anything, is the server's choice.
		discard(resp)
		patience.troubles = 0
		delay := patience.delay(resp.Header)
		last = c.showProgress(resp, delay, last)
		if err := c.sleep(ctx, delay); err != nil {
			c.bar.end()
			return manifest{}, nil, err
		}
	}
}

// showProgress draws the bar, or prints a line where there is none and what the
// server says is not what it said last. It returns what the server says.
func (c *client) showProgress(resp *http.Response, delay time.Duration, last string) string {
	progress := resp.Header.Get("X-Progress")
	text := strings.TrimSuffix(resp.Status+", "+progress, ", ")
	if text != last && !c.bar.terminal {
		c.say("%s; again in %s", text, delay)
	}
	c.bar.draw(fraction(progress), fmt.Sprintf("%s; again in %s", text, delay))
	return text
}

// fraction finds a percentage in free text; -1 if there is none.
func fraction(progress string) float64 {
	match := percentage.FindStringSubmatch(progress)
	if match == nil {
		return -1
	}
	percent, err := strconv.ParseFloat(match[1], 64)
	if err != nil {
		return -1
	}
	return percent / 100
}

// readManifest takes a connection that broke on the way for one that may come
// back.
func readManifest(r request, resp *http.Response) (manifest, error) {
	var page manifest
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return page, &connectionError{r, err}
	}
	if err := json.Unmarshal(body, &page); err != nil {
		return page, fmt.Errorf("read manifest: %w", err)
	}
	if page.TransactionTime == "" && page.Output == nil {
		return page, errors.New("read manifest: it has neither transactionTime nor output")
	}
	return page, nil
}
