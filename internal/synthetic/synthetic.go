// Package synthetic makes up medical records: FHIR R4 resources of patients who
// never lived, for examples, tests and benchmarks.
//
// The records are deterministic: the same bytes in every run and on every
// machine, and a larger population begins with the smaller one. They hang
// together: a record refers only to resources of the same output, lies in the
// years 2018 to 2025, and was last updated a while after it happened. A patient
// has about 45 resources of about 1.4 kB, most of them observations. The first ten
// are the members of Group/ward-7, if there are so many.
package synthetic

import (
	"bufio"
	"bytes"
	"io"
	"iter"
)

// Resources yields the records of so many patients, one JSON object on one line
// at a time: first the organizations, locations and practitioners that all
// share, then patient by patient. The slice is lent: it is valid until the next
// resource is asked for. Memory does not grow with the number of patients.
func Resources(patients int) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for block := range blocks(patients) {
			for line := range bytes.Lines(block) {
				if !yield(line[:len(line)-1]) {
					return
				}
			}
		}
	}
}

// Write writes the same resources to w as NDJSON.
func Write(w io.Writer, patients int) error {
	buffered := bufio.NewWriterSize(w, 1<<20)
	for block := range blocks(patients) {
		if _, err := buffered.Write(block); err != nil {
			return err
		}
	}
	return buffered.Flush()
}

// blocks yields NDJSON: what all share, then one block for each patient.
func blocks(patients int) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		r := newRecorder()
		clinics := writeClinics(r)
		if !yield(r.take()) {
			return
		}
		var ward []string
		for i := range patients {
			r.seed(i + 1)
			writePatient(r, clinics)
			if i < wardSize {
				ward = append(ward, r.values["patient"])
			}
			if i == wardSize-1 {
				writeWard(r, ward)
			}
			if !yield(r.take()) {
				return
			}
		}
	}
}
