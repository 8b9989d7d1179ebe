package memsource

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
)

// Load puts the resources of an NDJSON stream, one a line, until its end or
// the first error, and returns how many it put. Lines may be of any length;
// blank ones are passed over.
func (s *Source) Load(ctx context.Context, tenantName string, r io.Reader) (int, error) {
	lines := bufio.NewReader(r)
	count := 0
	for number := 1; ; number++ {
		if err := ctx.Err(); err != nil {
			return count, fmt.Errorf("memsource: load: %w", err)
		}
		line, readErr := lines.ReadBytes('\n')
		if readErr != nil && readErr != io.EOF {
			return count, fmt.Errorf("memsource: load: line %d: %w", number, readErr)
		}
		if line = bytes.TrimSpace(line); len(line) > 0 {
			if _, err := s.Put(tenantName, line); err != nil {
				return count, fmt.Errorf("memsource: load: line %d: %w", number, err)
			}
			count++
		}
		if readErr == io.EOF {
			return count, nil
		}
	}
}
