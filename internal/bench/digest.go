package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/bits"
	"os"
	"path/filepath"
	"strings"
)

// digest tells sets of lines apart, whatever their order and files.
type digest struct {
	lines, bytes int64
	sum          [4]uint64 // of the SHA-256 of the lines
}

func (d *digest) add(line []byte) {
	hash := sha256.Sum256(line)
	var carry uint64
	for i := range d.sum {
		d.sum[i], carry = bits.Add64(d.sum[i], binary.LittleEndian.Uint64(hash[8*i:]), carry)
	}
	d.lines++
	d.bytes += int64(len(line))
}

// addFile adds the lines of a file, which is inflated if it is gzip, each changed by
// clean, if that is not nil.
func (d *digest) addFile(path string, clean func([]byte) []byte) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	content, err := inflated(bufio.NewReader(file))
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(content)
	lines.Buffer(make([]byte, 0, 1<<20), 64<<20)
	for lines.Scan() {
		line := lines.Bytes()
		if clean != nil {
			line = clean(line)
		}
		d.add(line)
	}
	return lines.Err()
}

func inflated(file *bufio.Reader) (io.Reader, error) {
	if begin, _ := file.Peek(2); string(begin) != "\x1f\x8b" {
		return file, nil
	}
	return gzip.NewReader(file)
}

// addFolder adds all files of NDJSON below a folder.
func (d *digest) addFolder(dir string) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(strings.TrimSuffix(path, ".gz"), ".ndjson") {
			return err
		}
		return d.addFile(path, nil)
	})
}

var errDifferent = errors.New("both sides have not written the same lines")

// same compares the lines of a reference with those of an export.
func same(reference string, clean func([]byte) []byte, folder string) error {
	var want, got digest
	if err := errors.Join(want.addFile(reference, clean), got.addFolder(folder)); err != nil {
		return err
	}
	if want != got {
		return fmt.Errorf("%w: %d of %d bytes by the reference, %d of %d bytes by the export",
			errDifferent, want.lines, want.bytes, got.lines, got.bytes)
	}
	return nil
}

// uncopied undoes what COPY of PostgreSQL does to JSON on a single line.
func uncopied(line []byte) []byte { return bytes.ReplaceAll(line, []byte(`\\`), []byte(`\`)) }

// unescaped undoes what an encoder of encoding/json does to JSON by default.
func unescaped(line []byte) []byte {
	for code, plain := range map[string]string{`\u0026`: "&", `\u003c`: "<", `\u003e`: ">"} {
		line = bytes.ReplaceAll(line, []byte(code), []byte(plain))
	}
	return line
}
