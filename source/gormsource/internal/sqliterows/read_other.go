//go:build !cgo || !linux || bulkexport_nocgo

package sqliterows

import "context"

// Conn is a connection of the driver, of which there is none here.
type Conn struct{}

// Of reports false.
func Of(any) (Conn, bool) { return Conn{}, false }

// SourceID returns "": no library is linked.
func SourceID() string { return "" }

// SetBusyTimeout does nothing.
func (Conn) SetBusyTimeout(int) (was int) { return 0 }

// Read returns [ErrUnsupported].
func (Conn) Read(context.Context, string, []any, int, *Batch) (all bool, err error) {
	return false, ErrUnsupported
}
