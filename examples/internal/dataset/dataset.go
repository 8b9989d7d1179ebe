// Package dataset is where the examples get their records: from a folder of
// NDJSON files, or made up.
package dataset

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bulkexport/bulkexport/internal/synthetic"
)

// Source says which records to take.
type Source struct {
	// Dir is a folder. All its *.ndjson and *.ndjson.gz files are read.
	Dir string
	// Patients is how many patients to make up if Dir is empty.
	Patients int
}

// String says what there is to come.
func (s Source) String() string {
	if s.Dir != "" {
		return s.Dir
	}
	return fmt.Sprintf("the records of %d made-up patients", s.Patients)
}

// Each calls fn with one stream of NDJSON after another, files in the order of
// their names, and ends with the first error.
func (s Source) Each(fn func(ndjson io.Reader) error) error {
	if s.Dir == "" {
		return s.generate(fn)
	}
	files, err := ndjsonFiles(s.Dir)
	if err != nil {
		return err
	}
	for _, path := range files {
		if err := readFile(path, fn); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

func (s Source) generate(fn func(io.Reader) error) error {
	reader, writer := io.Pipe()
	go func() { writer.CloseWithError(synthetic.Write(writer, s.Patients)) }()
	// Closing ends the goroutine when fn returns early.
	return errors.Join(fn(reader), reader.Close())
}

func ndjsonFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, entry := range entries {
		name := entry.Name()
		if strings.HasSuffix(name, ".ndjson") || strings.HasSuffix(name, ".ndjson.gz") {
			files = append(files, filepath.Join(dir, name))
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s has no *.ndjson or *.ndjson.gz files", dir)
	}
	slices.Sort(files)
	return files, nil
}

func readFile(path string, fn func(io.Reader) error) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // it was only read
	if !strings.HasSuffix(path, ".gz") {
		return fn(file)
	}
	plain, err := gzip.NewReader(file)
	if err != nil {
		return err
	}
	return fn(plain)
}
