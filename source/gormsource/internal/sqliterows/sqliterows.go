// Package sqliterows reads rows of two columns from SQLite, many in one call, on
// a connection of github.com/mattn/go-sqlite3 and by the copy of the library that
// this driver carries. A row costs what SQLite needs for it and no allocation; by
// way of the driver and database/sql it takes three times as long.
//
// The connection is the host's own, so that its settings, functions, collations,
// attached databases and keys are all there, and nothing is opened or closed.
//
// It is there on Linux with cgo, unless the tag bulkexport_nocgo is set.
// Elsewhere, and for other drivers, [Of] says that it is not.
package sqliterows

import "errors"

// ErrUnsupported means that a query was not answered, for whatever reason: the
// driver shall do it, which knows all kinds of arguments and columns, and says
// what is wrong in its own words. Nothing has changed.
var ErrUnsupported = errors.New("sqliterows: a query for the driver")

// Row is the lengths of the two columns of a row, in bytes.
type Row struct{ First, Second int32 }

// Batch is a number of rows, one after the other: the bytes of both columns,
// numbers as decimal text. NULL has none.
type Batch struct {
	Bytes []byte
	Rows  []Row

	room int // that the next one is to have
}
