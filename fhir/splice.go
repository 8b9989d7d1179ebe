package fhir

// splicer reads a resource and writes it again with changes. Bytes that are
// not changed are copied as they stand, in as few pieces as possible.
type splicer struct {
	scanner
	dst    []byte
	copied int // the bytes of data before are in dst, or left out
}

// cut leaves out data[from:to]. What is appended to dst next stands in its
// place. Calls come in the order of the data.
func (s *splicer) cut(from, to int) {
	s.dst = append(s.dst, s.data[s.copied:from]...)
	s.copied = to
}

// result returns dst with all that remains, or its first n bytes on an error.
func (s *splicer) result(n int) ([]byte, error) {
	if s.err != nil {
		return s.dst[:n], s.err
	}
	return append(s.dst, s.data[s.copied:]...), nil
}
