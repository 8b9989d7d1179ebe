package storetest

import (
	"flag"
	"fmt"
	"os"
	"testing"
)

// TestMain has rapid write no files about stores that are meant to fail, and not
// make every sequence short that fails on one.
func TestMain(m *testing.M) {
	for name, value := range map[string]string{"nofailfile": "true", "shrinktime": "0s"} {
		if err := flag.Set("rapid."+name, value); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}
