package faulttest_test

import (
	"os"
	"runtime/debug"
	"testing"
)

// TestMain has the collector come less often: a schedule leaves megabytes of
// buffers and holds next to nothing, which would cost half of the time.
func TestMain(m *testing.M) {
	debug.SetGCPercent(400)
	os.Exit(m.Run())
}
