package faulttest

import (
	"fmt"
	"strings"
)

// Seam is one of the interfaces between the exporter and its host.
type Seam string

// The seams.
const (
	SeamSource Seam = "source"
	SeamStore  Seam = "store"
	SeamSink   Seam = "sink"
	SeamRunner Seam = "runner"
)

// Call is one call that an exporter made of a seam. Each resource that a source
// yields, and the end of each of its streams, counts as one.
type Call struct {
	// Number is the place of the call among those of all processes that share an
	// [Injector], from 1.
	Number int
	// Process is the number of the process that made it, from 1.
	Process int
	// Seam and Method say what was called. What a stream yields has the method
	// that opened it.
	Seam   Seam
	Method string
	// About says what the call concerns: a part, a type, a file. It holds no
	// resource content.
	About string
	// Item is the number of the resource in its stream, from 1; 0 for other
	// calls. End is true for the end of a stream.
	Item int
	End  bool
	// Effect is true for calls that change something: after them a lost answer
	// differs from a call that was never made.
	Effect bool

	// What the exporter was about when it called.
	inTask, hasJob, fixed bool
	// The export and its file that a call of the sink is for.
	job, file string
}

// String describes the call, for example "call 37 (store.UpdatePart of part 2)".
func (c Call) String() string {
	var s strings.Builder
	fmt.Fprintf(&s, "call %d (%s.%s", c.Number, c.Seam, c.Method)
	if c.About != "" {
		s.WriteString(" of " + c.About)
	}
	switch {
	case c.End:
		s.WriteString(", end of stream")
	case c.Item > 0:
		fmt.Fprintf(&s, ", resource %d", c.Item)
	}
	if c.Process > 1 {
		fmt.Fprintf(&s, " by process %d", c.Process)
	}
	return s.String() + ")"
}
