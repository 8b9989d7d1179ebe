package search

// Error says why a query cannot be used. The texts name parameters, never the
// values asked for.
type Error struct {
	// Type is the resource type of the query, as far as it was read.
	Type string
	// Parameter is the parameter at fault with its modifier, as the client
	// wrote it; empty where the fault is in the query as a whole.
	Parameter string
	// Reason says what is wrong.
	Reason string
	// Unsupported means that the query may be right, but cannot be judged
	// here. Otherwise it is malformed.
	Unsupported bool
}

func (e *Error) Error() string {
	where := e.Type
	if e.Parameter != "" {
		where += "?" + e.Parameter
	}
	if where == "" {
		return "search: " + e.Reason
	}
	return "search: " + where + ": " + e.Reason
}

// IssueCode returns the FHIR issue type that fits: not-supported or value.
func (e *Error) IssueCode() string {
	if e.Unsupported {
		return "not-supported"
	}
	return "value"
}

func malformed(reason string) *Error { return &Error{Reason: reason} }

func unsupported(reason string) *Error { return &Error{Reason: reason, Unsupported: true} }
