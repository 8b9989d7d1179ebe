// Command consume prints id and family name of each patient in exported NDJSON,
// line by line. Beside it are the same in Node.js and Python.
//
//	go run ./examples/consume FILE|FOLDER…
//
// Memory stays the same however long a file is: one line is held at a time.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// maxLine bounds one resource. Exports never cut one; most have a few kB, but
// attachments make some large.
const maxLine = 64 << 20

// patient is what we want of a Patient.
type patient struct {
	ID   string `json:"id"`
	Name []struct {
		Family string `json:"family"`
	} `json:"name"`
}

func (p patient) family() string {
	for _, name := range p.Name {
		if name.Family != "" {
			return name.Family
		}
	}
	return ""
}

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: consume FILE|FOLDER...")
		os.Exit(2)
	}
	out := bufio.NewWriter(os.Stdout)
	err := consume(os.Args[1:], out)
	if err = errors.Join(err, out.Flush()); err != nil {
		fmt.Fprintln(os.Stderr, "consume:", err)
		os.Exit(1)
	}
}

func consume(paths []string, out io.Writer) error {
	for _, path := range paths {
		files, err := ndjsonFiles(path)
		if err != nil {
			return err
		}
		for _, file := range files {
			if err := printPatients(file, out); err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
		}
	}
	return nil
}

// ndjsonFiles returns the files of a folder, or the file itself.
func ndjsonFiles(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil || !info.IsDir() {
		return []string{path}, err
	}
	names, err := fs.Glob(os.DirFS(path), "*.ndjson")
	for i, name := range names {
		names[i] = filepath.Join(path, name)
	}
	return names, err
}

func printPatients(path string, out io.Writer) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // it was only read
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		if len(lines.Bytes()) == 0 {
			continue
		}
		if err := printPatient(lines.Bytes(), out); err != nil {
			return err
		}
	}
	return lines.Err()
}

func printPatient(line []byte, out io.Writer) error {
	// The type first: other resources have other members of the same names.
	var resource struct {
		ResourceType string `json:"resourceType"`
	}
	if err := json.Unmarshal(line, &resource); err != nil || resource.ResourceType != "Patient" {
		return err
	}
	var p patient
	if err := json.Unmarshal(line, &p); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "%s\t%s\n", p.ID, p.family())
	return err
}
