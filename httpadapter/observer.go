package httpadapter

import (
	"context"

	"github.com/bulkexport/bulkexport"
)

// Observer is told what only the wire knows, for metrics and audit; kick-offs,
// deletions and ends of exports are for [bulkexport.Observer]. Nil fields are silent.
//
// The functions are called synchronously by the goroutine that answers the request,
// several at once: return quickly. Values carry no resource content and no
// credentials; the context is that of the request and may have ended.
type Observer struct {
	// Downloaded is called after each answer that has sent bytes of a file.
	Downloaded func(ctx context.Context, download Download)
	// Refused is called after each answer that denies something for who asks, or how
	// often: one with status 401, 403 or 429, and 404 for an export, file or Group.
	Refused func(ctx context.Context, refusal Refusal)
}

// Download is what was sent of a file.
type Download struct {
	// Job is the export, whose tenant and client have asked, or, if Signed, whoever
	// they gave the URL to.
	Job bulkexport.Job
	// File is the file.
	File bulkexport.OutputFile
	// Signed says that the URL was the permission.
	Signed bool
	// Remote is where the request came from, see [Config].RemoteAddr.
	Remote string
	// Bytes is how much of the body was handed to the connection: compressed bytes
	// where it was compressed.
	Bytes int64
	// Whole says that it was all of the file, in one answer.
	Whole bool
}

// Operation is what a request asks for.
type Operation string

// The operations that are authorized.
const (
	OpKickOff Operation = "kick-off"
	OpStatus  Operation = "status"
	OpFile    Operation = "file"
	OpDelete  Operation = "delete"
)

// Refusal is a request that was denied.
type Refusal struct {
	// Operation is what was asked for.
	Operation Operation
	// Caller is who asked; the zero value where that is not known.
	Caller bulkexport.Caller
	// Level and Group are those of a kick-off.
	Level bulkexport.Level
	Group string
	// JobID and File are what the URL has named: not verified, but well-formed or empty.
	JobID, File string
	// Remote is where the request came from, see [Config].RemoteAddr.
	Remote string
	// Status is the HTTP status of the answer.
	Status int
	// Err is why.
	Err error
}
