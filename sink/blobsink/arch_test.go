package blobsink_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestNoDriver keeps the clouds out of what is shipped: the host imports the
// driver that it needs, and pays for no other.
func TestNoDriver(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	require.NoError(t, err)
	deps := strings.Fields(string(out))
	require.Contains(t, deps, "gocloud.dev/blob")
	for _, dep := range deps {
		for _, cloud := range []string{
			"github.com/aws/", "github.com/Azure/", "cloud.google.com/",
			"gocloud.dev/blob/s3blob", "gocloud.dev/blob/gcsblob", "gocloud.dev/blob/azureblob",
			"gocloud.dev/blob/fileblob", "gocloud.dev/blob/memblob", "testing",
		} {
			require.False(t, strings.HasPrefix(dep, cloud), dep)
		}
	}
}
