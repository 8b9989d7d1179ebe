package bulkexport

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/samber/lo"
)

// OutputFile is a committed file under the name that clients know.
type OutputFile struct {
	File
	// PublicName is the last segment of the file's URL: "Patient.ndjson", and for
	// further files of a type "Patient_00002.ndjson", so that names sort.
	PublicName string
}

// OutputFiles lists the files of an export in the order of the manifest: by
// place in the plan. Names depend on that order alone, so they are the same
// however often a part was tried.
func OutputFiles(parts []Part) []OutputFile {
	sorted := slices.SortedFunc(slices.Values(parts), func(a, b Part) int {
		return cmp.Compare(a.Index, b.Index)
	})
	var files []OutputFile
	number := map[string]int{}
	for _, part := range sorted {
		for _, file := range part.Files {
			stem := file.Type
			if file.Kind == FileError {
				stem = "errors"
			}
			number[stem]++
			name := stem + ".ndjson"
			if n := number[stem]; n > 1 {
				name = fmt.Sprintf("%s_%05d.ndjson", stem, n)
			}
			files = append(files, OutputFile{File: file, PublicName: name})
		}
	}
	return files
}

// Manifest is the answer to the status request of a completed export (Bulk Data
// Access, "Response - Complete Status"). It marshals to the wire form.
type Manifest struct {
	// TransactionTime bounds what was read.
	TransactionTime time.Time
	// Request is the full kick-off URL.
	Request string
	// RequiresAccessToken says whether files need the token that $export needs.
	RequiresAccessToken bool
	// Output and Error list the files. Empty lists are written as [].
	Output, Error []ManifestFile
}

// ManifestFile is one entry of a manifest.
type ManifestFile struct {
	// Type is the resource type of every line.
	Type string `json:"type"`
	// URL is absolute.
	URL string `json:"url"`
	// Count is the number of lines.
	Count int64 `json:"count"`
}

// NewManifest derives the manifest of a completed export. url turns the public
// name of a file into its absolute URL.
func NewManifest(status Status, requiresAccessToken bool, url func(publicName string) string) Manifest {
	entries := func(kind FileKind) []ManifestFile {
		return lo.FilterMap(status.Files, func(f OutputFile, _ int) (ManifestFile, bool) {
			return ManifestFile{Type: f.Type, URL: url(f.PublicName), Count: f.Count}, f.Kind == kind
		})
	}
	return Manifest{
		TransactionTime:     status.Job.TransactionTime,
		Request:             status.Job.Request.URL,
		RequiresAccessToken: requiresAccessToken,
		Output:              entries(FileOutput),
		Error:               entries(FileError),
	}
}

// transactionTimeLayout has exactly the milliseconds that reads are bounded by.
const transactionTimeLayout = "2006-01-02T15:04:05.000Z07:00"

// MarshalJSON implements json.Marshaler: all five required members are always
// there, and lists are never null.
func (m Manifest) MarshalJSON() ([]byte, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false) // a URL keeps its & readable
	err := encoder.Encode(struct {
		TransactionTime     string         `json:"transactionTime"`
		Request             string         `json:"request"`
		RequiresAccessToken bool           `json:"requiresAccessToken"`
		Output              []ManifestFile `json:"output"`
		Error               []ManifestFile `json:"error"`
	}{
		m.TransactionTime.UTC().Format(transactionTimeLayout),
		m.Request,
		m.RequiresAccessToken,
		append([]ManifestFile{}, m.Output...),
		append([]ManifestFile{}, m.Error...),
	})
	return text.Bytes(), err
}
