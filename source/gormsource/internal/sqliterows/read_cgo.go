//go:build cgo && linux && !bulkexport_nocgo

package sqliterows

// #include "read.h"
import "C"

import (
	"context"
	"database/sql/driver"
	"reflect"
	"slices"
	"time"
	"unsafe"
)

// Conn is a connection of the driver. It is not safe for concurrent use. The zero
// value can nothing.
type Conn struct{ db *C.sqlite3 }

// Of returns what is behind a driver's connection, which the caller must have to
// itself as long as it uses the result. It reports false for all but those of
// mattn's driver.
//
// The driver keeps it in a field that is not exported. Where that is gone or of
// another type, Of reports false too.
func Of(driverConn any) (Conn, bool) {
	v := reflect.ValueOf(driverConn)
	if v.Kind() != reflect.Pointer || v.IsNil() || SourceID() == "" {
		return Conn{}, false
	}
	t := v.Type().Elem()
	if t.PkgPath() != "github.com/mattn/go-sqlite3" || t.Name() != "SQLiteConn" {
		return Conn{}, false
	}
	db := v.Elem().FieldByName("db")
	if db.Kind() != reflect.Pointer || db.IsNil() || db.Type().Elem().Name() != "_Ctype_struct_sqlite3" {
		return Conn{}, false
	}
	return Conn{(*C.sqlite3)(db.UnsafePointer())}, true
}

// SourceID names the version of the library that is called here, or "" where none
// is linked. A connection whose sqlite_source_id() is another one must not be
// used: there are two copies of the library.
func SourceID() string { return C.GoString(C.bulkexport_sqlite_sourceid()) }

// SetBusyTimeout says for how many milliseconds statements wait for locks, and
// returns for how many they did.
func (c Conn) SetBusyTimeout(ms int) (was int) {
	return int(C.bulkexport_sqlite_busy_timeout(c.db, C.int(ms)))
}

const (
	firstBytes = 64 << 10
	// fullBytes is what a batch grows to, unless a single row is larger.
	fullBytes = 1 << 20
)

// Read runs a query of two columns and puts its rows into the batch, whose memory
// it uses again: not more than limit, and of 1 MiB together or a single one that
// is larger. It reports whether there are no more. It does not wait for locks,
// and returns within milliseconds when the context ends.
//
// Errors: [ErrUnsupported], the context's own.
func (c Conn) Read(ctx context.Context, query string, args []any, limit int, b *Batch) (all bool, err error) {
	bound, ok := bind(args)
	if !ok || c.db == nil || query == "" || limit < 1 {
		return false, ErrUnsupported
	}
	if err := ctx.Err(); err != nil {
		return false, err
	}
	b.reset(limit)
	got := c.read(ctx, query, &bound, b)
	if got.state == C.bulkexport_full && got.rows == 0 {
		b.room = roundUp(int(got.needed))
		b.reset(limit)
		got = c.read(ctx, query, &bound, b)
	}
	if err := ctx.Err(); err != nil {
		return false, err
	}
	if got.state == C.bulkexport_failed || got.state == C.bulkexport_full && got.rows == 0 {
		return false, ErrUnsupported
	}
	b.Bytes, b.Rows = b.Bytes[:got.used], b.Rows[:got.rows]
	if got.state == C.bulkexport_full && b.room < fullBytes {
		b.room *= 4
	}
	return got.state == C.bulkexport_done, nil
}

// reset makes room.
func (b *Batch) reset(limit int) {
	b.room = max(b.room, firstBytes)
	if cap(b.Bytes) < b.room {
		b.Bytes = make([]byte, 0, b.room)
	}
	b.Rows = slices.Grow(b.Rows[:0], limit)[:limit]
}

// roundUp keeps rows that are each a little larger than the one before from
// taking new memory each time.
func roundUp(size int) int { return (size + fullBytes - 1) / fullBytes * fullBytes }

// read has the statement interrupted when the context ends. That has no effect
// on one that has not begun yet, so it is done again until this returns.
func (c Conn) read(ctx context.Context, query string, bound *arguments, b *Batch) C.bulkexport_result {
	returned, quiet := make(chan struct{}), make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(quiet)
		again := time.NewTicker(5 * time.Millisecond)
		defer again.Stop()
		for {
			C.bulkexport_sqlite_interrupt(c.db)
			select {
			case <-returned:
				return
			case <-again.C:
			}
		}
	})
	defer func() {
		close(returned)
		if !stop() {
			<-quiet
		}
	}()
	return C.bulkexport_sqlite_read(c.db,
		(*C.char)(unsafe.Pointer(unsafe.StringData(query))), C.int(len(query)),
		unsafe.SliceData(bound.list), C.int(len(bound.list)), (*C.char)(unsafe.Pointer(unsafe.SliceData(bound.data))),
		(*C.char)(unsafe.Pointer(unsafe.SliceData(b.Bytes))), C.int64_t(cap(b.Bytes)),
		(*C.bulkexport_row)(unsafe.Pointer(unsafe.SliceData(b.Rows))), C.int(len(b.Rows)))
}

// arguments are those of a statement. They point into data by numbers, since C
// must not be given pointers to pointers.
type arguments struct {
	list []C.bulkexport_arg
	data []byte
}

// bind makes of the arguments what the driver makes of them. It reports false for
// what it does not know.
func bind(args []any) (arguments, bool) {
	bound := arguments{list: make([]C.bulkexport_arg, 0, len(args))}
	for _, arg := range args {
		value, err := driver.DefaultParameterConverter.ConvertValue(arg)
		if err != nil || !bound.add(value) {
			return arguments{}, false
		}
	}
	return bound, true
}

func (a *arguments) add(value driver.Value) bool {
	from := len(a.data)
	arg := C.bulkexport_arg{kind: C.bulkexport_null, from: C.int64_t(from)}
	switch v := value.(type) {
	case nil:
	case int64:
		arg.kind, arg.number = C.bulkexport_integer, C.int64_t(v)
	case bool:
		arg.kind = C.bulkexport_integer
		if v {
			arg.number = 1
		}
	case float64:
		arg.kind, arg.real = C.bulkexport_real, C.double(v)
	case string:
		arg.kind, a.data = C.bulkexport_text, append(a.data, v...)
	case []byte:
		if v != nil {
			arg.kind, a.data = C.bulkexport_blob, append(a.data, v...)
		}
	case time.Time:
		arg.kind, a.data = C.bulkexport_text, v.AppendFormat(a.data, "2006-01-02 15:04:05.999999999-07:00")
	default:
		return false
	}
	if arg.kind == C.bulkexport_text || arg.kind == C.bulkexport_blob {
		arg.number = C.int64_t(len(a.data) - from)
	}
	a.list = append(a.list, arg)
	return true
}
