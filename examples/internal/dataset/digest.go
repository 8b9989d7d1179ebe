package dataset

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/bulkexport/bulkexport/fhir"
)

// Digest tells whether two sets of NDJSON lines are the same, byte for byte and
// whatever their order, without keeping them: for each resource type it counts
// lines and adds up their hashes. It is an io.Writer; lines may be cut anywhere.
// The zero value is ready. It is used by one goroutine at a time.
type Digest struct {
	types   map[string]Fingerprint
	partial []byte
}

// Fingerprint stands for a set of lines. Equal sets have equal fingerprints,
// and no others do by chance.
type Fingerprint struct {
	// Lines and Bytes count, the latter without line feeds.
	Lines, Bytes int64
	// Sum adds up the lines' SHA-256, in four columns of 64 bits.
	Sum [4]uint64
}

// Plus returns the fingerprint of both sets together.
func (f Fingerprint) Plus(other Fingerprint) Fingerprint {
	f.Lines += other.Lines
	f.Bytes += other.Bytes
	for i := range f.Sum {
		f.Sum[i] += other.Sum[i]
	}
	return f
}

// Write implements io.Writer. A line that is no FHIR resource is an error.
func (d *Digest) Write(p []byte) (int, error) {
	rest := p
	for {
		head, tail, found := bytes.Cut(rest, []byte{'\n'})
		if !found {
			d.partial = append(d.partial, head...)
			return len(p), nil
		}
		line := head
		if len(d.partial) > 0 {
			d.partial = append(d.partial, head...)
			line = d.partial
		}
		if err := d.add(line); err != nil {
			return 0, err
		}
		d.partial = d.partial[:0]
		rest = tail
	}
}

// Types returns the fingerprint of each resource type, the last line included
// even when no line feed has ended it.
func (d *Digest) Types() (map[string]Fingerprint, error) {
	if _, err := d.Write([]byte{'\n'}); err != nil {
		return nil, err
	}
	return d.types, nil
}

func (d *Digest) add(line []byte) error {
	if line = bytes.TrimRight(line, "\r"); len(line) == 0 {
		return nil
	}
	identity, err := fhir.Identify(line)
	if err != nil {
		return fmt.Errorf("read line: %w", err)
	}
	if d.types == nil {
		d.types = map[string]Fingerprint{}
	}
	one := Fingerprint{Lines: 1, Bytes: int64(len(line))}
	hash := sha256.Sum256(line)
	for i := range one.Sum {
		one.Sum[i] = binary.BigEndian.Uint64(hash[8*i:])
	}
	d.types[identity.Type] = d.types[identity.Type].Plus(one)
	return nil
}
