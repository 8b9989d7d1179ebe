package main

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

// manifest is what a client needs of the answer to the status of a finished
// job. What else is in it is left alone.
type manifest struct {
	TransactionTime     string
	RequiresAccessToken *bool
	OutputOrganizedBy   string
	Output              []manifestFile
	Deleted             []manifestFile
	Error               []manifestFile
	Link                []struct{ Relation, URL string }
}

type manifestFile struct {
	Type  string
	URL   string
	Count *int64 // nil if the server does not say
}

// next returns the URL of the next page; nil if this is the last.
func (m manifest) next(at *url.URL) (*url.URL, error) {
	for _, link := range m.Link {
		if link.Relation == "next" {
			return at.Parse(link.URL)
		}
	}
	return nil, nil //nolint:nilnil // there is none, and that is right
}

// The lists of a manifest.
const (
	output  = "output"
	deleted = "deleted"
	failed  = "error"
)

// entry is a file to fetch.
type entry struct {
	list          string
	resourceType  string // of every line; empty if they may differ
	url           *url.URL
	count         *int64
	requiresToken *bool
	name          string // on disk: ours, never the server's
}

// listing is what the pages of a manifest say together.
type listing struct {
	transactionTime string
	entries         []entry
	pages           int
	messages        map[string]bool // by URL: each page has all of them
	lists           map[string]int
	names           map[string]int
}

func newListing() *listing {
	return &listing{messages: map[string]bool{}, lists: map[string]int{}, names: map[string]int{}}
}

// add takes in a page that came from a URL.
func (l *listing) add(page manifest, at *url.URL) error {
	l.pages++
	l.transactionTime = page.TransactionTime // the same on each page
	for _, list := range []struct {
		name  string
		files []manifestFile
	}{{output, page.Output}, {deleted, page.Deleted}, {failed, page.Error}} {
		for _, f := range list.files {
			// URLs should be absolute; others are relative to the page.
			target, err := at.Parse(f.URL)
			if err != nil || f.URL == "" || !isHTTP(target) {
				return fmt.Errorf("a file of %s has no URL to fetch it from", list.name)
			}
			if list.name == output && page.OutputOrganizedBy != "" {
				f.Type = ""
			}
			l.addEntry(entry{list: list.name, resourceType: f.Type, url: target, count: f.Count,
				requiresToken: page.RequiresAccessToken})
		}
	}
	return nil
}

func (l *listing) addEntry(e entry) {
	if e.list == failed {
		if l.messages[e.url.String()] {
			return
		}
		l.messages[e.url.String()] = true
	}
	l.lists[e.list]++
	e.name = l.fileName(e)
	l.entries = append(l.entries, e)
}

// typeName is what a resource type looks like, in any version of FHIR.
var typeName = regexp.MustCompile(`^[A-Z][A-Za-z]{1,63}$`)

// fileName chooses a name that no file has yet. Of what the server says only a
// well-formed type gets into it.
func (l *listing) fileName(e entry) string {
	stem := "resources"
	switch {
	case e.list != output:
		stem = e.list
	case typeName.MatchString(e.resourceType):
		stem = e.resourceType
	}
	key := strings.ToLower(stem) // some file systems do not tell case
	l.names[key]++
	if n := l.names[key]; n > 1 {
		return fmt.Sprintf("%s-%04d.ndjson", stem, n)
	}
	return stem + ".ndjson"
}

// String sums up.
func (l *listing) String() string {
	text := plural(len(l.entries), "file")
	if l.pages > 1 {
		text += fmt.Sprintf(" on %d pages", l.pages)
	}
	if n := l.lists[deleted]; n > 0 {
		text += fmt.Sprintf(", %d of them deletions", n)
	}
	if n := l.lists[failed]; n > 0 {
		text += fmt.Sprintf(", %d of them messages", n)
	}
	return text + ", the state of " + l.transactionTime
}
