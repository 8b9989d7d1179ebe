package fhir

import "time"

// Provenance is what a Provenance says of its place among others.
type Provenance struct {
	// Targets are the resources of the host that it is about, in its order, each
	// once. A target that names a version counts as the resource.
	Targets []Reference
	// Recorded is when it was recorded, in UTC; zero where it has no instant there.
	Recorded time.Time
}

// ReadProvenance reads a Provenance. References count in the forms that
// [Version.AppendPatientIDs] lists. The error is [ErrMalformed].
func ReadProvenance(resource []byte, baseURLs ...string) (Provenance, error) {
	var (
		s     = scanner{data: resource}
		found Provenance
		seen  = make(map[Reference]bool)
	)
	for name := range s.members {
		switch string(name) {
		case "recorded":
			if s.peek() == '"' {
				found.Recorded = instant(s.text())
			}
		case "target":
			for range s.objects {
				ref, ok := localReference(s.reference(), baseURLs)
				if ok && !seen[ref] {
					seen[ref] = true
					found.Targets = append(found.Targets, ref)
				}
			}
		}
	}
	if s.err != nil {
		return Provenance{}, s.err
	}
	return found, nil
}

// instant returns the zero time for what is none.
func instant(text []byte) time.Time {
	var t time.Time
	if t.UnmarshalText(text) != nil {
		return time.Time{}
	}
	return t.UTC()
}
