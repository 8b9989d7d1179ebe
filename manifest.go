package bulkexport

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/samber/lo"
)

// OutputFile is a committed file under the name that clients know.
type OutputFile struct {
	File
	// PublicName is the last segment of the file's URL: "Patient.ndjson", and for
	// further files of a type "Patient_00002.ndjson", so that names sort. Files of
	// errors, deletions and blocks begin with these words.
	PublicName string
	// URL is where anybody can fetch it, for a while, without the exporter and without
	// a token ([SinkURLs]). Empty means that it is to be had by [Exporter.OpenFile]
	// only.
	URL string
	// ContinuesIn is the PublicName of the file in which the last block of this
	// one goes on; empty if it is whole.
	ContinuesIn string

	part PartKind
}

// OutputFiles lists the files of an export in the order of the manifest: by
// place in the plan. Names depend on that order alone, so they are the same
// however often a part was tried.
func OutputFiles(parts []Part) []OutputFile {
	sorted := slices.SortedFunc(slices.Values(parts), func(a, b Part) int {
		return cmp.Compare(a.Index, b.Index)
	})
	var files []OutputFile
	number, public := map[string]int{}, map[string]string{}
	for _, part := range sorted {
		for _, file := range part.Files {
			stem := stemOf(file)
			number[stem]++
			name := stem + ".ndjson"
			if n := number[stem]; n > 1 {
				name = fmt.Sprintf("%s_%05d.ndjson", stem, n)
			}
			public[file.Name] = name
			files = append(files, OutputFile{File: file, PublicName: name, part: part.Kind})
		}
	}
	for i := range files {
		files[i].ContinuesIn = public[files[i].ContinuedBy]
	}
	return files
}

func stemOf(file File) string {
	switch {
	case file.Kind == FileError:
		return "errors"
	case file.Kind == FileDeleted:
		return "deleted"
	case file.Type == "":
		return "blocks"
	}
	return file.Type
}

// Manifest is the answer to the status request of a completed export (Bulk Data
// Access, "Response - Complete Status"), or one page of it. It marshals to the
// wire form of its Guide.
type Manifest struct {
	// Guide is the version of the guide whose form it has. The zero value is STU3,
	// which clients of STU1 and STU2 read as well.
	Guide Guide
	// TransactionTime bounds what was read.
	TransactionTime time.Time
	// Request is the full kick-off URL.
	Request string
	// RequiresAccessToken says whether files need the token that $export needs.
	RequiresAccessToken bool
	// OutputOrganizedBy is the value of organizeOutputBy; empty if not given.
	OutputOrganizedBy string
	// Output, Deleted and Error list the files.
	Output, Deleted, Error []ManifestFile
	// Next is the URL of the next page; empty if there is none.
	Next string
	// Extension has what the guide has no place for.
	Extension ManifestExtension
}

// ManifestFile is one entry of a manifest.
type ManifestFile struct {
	// Type is the resource type of every line; empty for files in blocks.
	Type string
	// URL is absolute.
	URL string
	// Count is the number of lines. For files in blocks that includes headers.
	Count int64
	// ContinuesInFile is the URL of the file in which the last block goes on.
	ContinuesInFile string
	// Size is the length in bytes, SHA256 the hash of the content in lower-case
	// hexadecimal.
	Size   int64
	SHA256 string
	// Severities counts the issues of an error file by severity.
	Severities map[string]int64
}

// ManifestExtension is what a manifest says about the whole export.
type ManifestExtension struct {
	// Consistency is the level that the source declares.
	Consistency Consistency
	// EmptyTypes are types that were asked for by name and have no resource.
	EmptyTypes []string
	// Dropped is how many resources the host's filter dropped.
	Dropped int64
}

// NewManifest derives the manifest, or the page of it, that a status shows. url
// turns the public name of a file into its absolute URL, for files that have none
// of their own; those that have never require a token. Guide and Next are left to the
// caller.
func NewManifest(status Status, requiresAccessToken bool, url func(publicName string) string) Manifest {
	own := map[string]string{}
	for _, file := range status.Files {
		if file.URL != "" {
			own[file.PublicName] = file.URL
			requiresAccessToken = false
		}
	}
	locate := func(publicName string) string {
		if url, ok := own[publicName]; ok {
			return url
		}
		return url(publicName)
	}
	entry := func(f OutputFile) ManifestFile {
		entry := ManifestFile{
			Type: f.Type, URL: locate(f.PublicName), Count: f.Count,
			Size: f.Size, SHA256: f.SHA256, Severities: f.Severities,
		}
		if f.ContinuesIn != "" {
			entry.ContinuesInFile = locate(f.ContinuesIn)
		}
		return entry
	}
	entries := func(kind FileKind) []ManifestFile {
		return lo.FilterMap(status.Files, func(f OutputFile, _ int) (ManifestFile, bool) {
			return entry(f), f.Kind == kind
		})
	}
	return Manifest{
		TransactionTime:     status.Job.TransactionTime,
		Request:             status.Job.Request.URL,
		RequiresAccessToken: requiresAccessToken,
		OutputOrganizedBy:   status.Job.Request.OrganizeBy,
		Output:              entries(FileOutput),
		Deleted:             entries(FileDeleted),
		Error:               entries(FileError),
		Extension: ManifestExtension{
			Consistency: status.Job.Consistency, EmptyTypes: status.EmptyTypes, Dropped: status.Dropped,
		},
	}
}
