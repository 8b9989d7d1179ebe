//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

type manifest struct {
	TransactionTime        string
	Request                string
	RequiresAccessToken    bool
	Output, Deleted, Error []file
}

type file struct {
	Type, URL string
	Count     int
	Extension map[string]any
}

const extensionBase = "https://github.com/bulkexport/bulkexport/manifest/"

func (f file) sha256() string { return fmt.Sprint(f.Extension[extensionBase+"sha256"]) }

func (f file) size() int64 {
	size, _ := f.Extension[extensionBase+"size"].(float64)
	return int64(size)
}

// path is the same on all servers.
func (f file) path() string {
	u, err := url.Parse(f.URL)
	if err != nil {
		return "/" + f.URL // which is nowhere
	}
	return u.Path
}

func (m *manifest) files() []file {
	return append(append([]file{}, m.Output...), m.Deleted...)
}

func (j *job) readManifest(r reply) outcome {
	if err := json.Unmarshal([]byte(r.body), &j.manifest); err != nil {
		return j.violate("manifest: %v", err)
	}
	var err error
	if j.at, err = time.Parse(time.RFC3339Nano, j.manifest.TransactionTime); err != nil {
		return j.violate("transactionTime: %v", err)
	}
	if j.expires, err = http.ParseTime(r.header.Get("Expires")); err != nil {
		return j.violate("Expires: %v", err)
	}
	if !j.manifest.RequiresAccessToken || len(j.manifest.Error) > 0 {
		return j.violate("manifest: %s", r.body)
	}
	return completed
}
