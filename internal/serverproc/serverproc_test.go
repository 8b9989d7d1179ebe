//go:build unix

package serverproc_test

import (
	"context"
	"net/http"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport/internal/serverproc"
)

func TestProcess(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	dir := t.TempDir()
	binary := filepath.Join(dir, "server")
	require.NoError(t, serverproc.Build(ctx, binary))
	state := filepath.Join(dir, "state")

	p, err := serverproc.Start(ctx, exec.Command(binary, "-dir", state))
	require.NoError(t, err)
	t.Cleanup(p.Kill)
	resp, err := http.Get(p.BaseURL + "/fhir/metadata")
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Contains(t, p.Log(), "listening")
	require.NoError(t, p.Terminate(ctx), p.Log())

	p, err = serverproc.Start(ctx, exec.Command(binary, "-dir", state))
	require.NoError(t, err)
	require.NoError(t, p.Freeze())
	p.Kill()
	<-p.Ended()
	require.NoError(t, p.Thaw(), "it has ended")

	_, err = serverproc.Start(ctx, exec.Command(binary, "-no-such-flag"))
	require.ErrorContains(t, err, "not defined")
}
