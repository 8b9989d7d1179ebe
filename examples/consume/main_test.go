package main

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const patients = "40"

// Each program reads what the quickstart left, and all must print the same.
func TestConsumersAgree(t *testing.T) {
	t.Parallel()
	dir := quickstart(t)
	var want bytes.Buffer
	require.NoError(t, consume([]string{dir}, &want))
	require.Equal(t, 40, strings.Count(want.String(), "\n"))
	require.Regexp(t, `^[0-9a-f-]{36}\t\S`, want.String())

	for _, command := range [][]string{
		{"node", "consume.mjs"},
		{"python3", "consume.py"},
	} {
		t.Run(command[0], func(t *testing.T) {
			t.Parallel()
			if _, err := exec.LookPath(command[0]); err != nil {
				t.Skipf("%s is not installed: install it to run %s", command[0], command[1])
			}
			require.Equal(t, want.String(), run(t, append(command, dir)...), "a folder")
			file := filepath.Join(dir, "Patient.ndjson")
			require.Equal(t, want.String(), run(t, append(command, file)...), "a file")
		})
	}
}

// quickstart runs the quickstart and returns the folder with its NDJSON.
func quickstart(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "export")
	run(t, "go", "run", "../quickstart", "-patients", patients, "-out", dir)
	return dir
}

// run returns what a command printed to its standard output.
func run(t *testing.T, command ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
	var trouble bytes.Buffer
	cmd.Stderr = &trouble
	out, err := cmd.Output()
	require.NoError(t, err, "%v: %s", command, trouble.String())
	return string(out)
}
