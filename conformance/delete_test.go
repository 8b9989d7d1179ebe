package conformance_test

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/httpadapter"
	"github.com/bulkexport/bulkexport/sink/filesink"
)

func deleteChecks() []check {
	return []check{
		{
			title: "DELETE is 204 by default, 202 with Strict or by DeleteStatus, without a body",
			ids:   ids("D-02", "D-03", "T-01", "R-08"), run: checkDeleteStatus,
		},
		{
			title: "after DELETE status, DELETE and files are 404 with an OperationOutcome, at once",
			ids:   ids("D-01", "D-06", "D-07", "T-02", "R-08", "W-62", "W-65"), run: checkAfterDelete,
		},
		{
			title: "DELETE of a running export ends it, and nothing comes back",
			ids:   ids("D-01", "D-07", "W-63", "W-65"), run: checkDeleteRunning,
		},
		{
			title: "files of a deleted export are removed",
			ids:   ids("D-06", "W-64"), run: checkFilesRemoved,
		},
		{
			title: "a DELETE that fails is 4XX with an OperationOutcome",
			ids:   ids("D-04", "D-05"), run: checkFailedDelete,
		},
	}
}

func checkDeleteStatus(t *testing.T) {
	for want, config := range map[int]httpadapter.Config{
		http.StatusNoContent: {}, http.StatusAccepted: {Strict: true},
	} {
		k := start(t, setup{http: config})
		a := k.send("DELETE", k.kickOff("/$export", "Prefer: respond-async"), "")
		require.Equal(t, want, a.status)
		require.Empty(t, a.body)
	}
	k := start(t, setup{http: httpadapter.Config{DeleteStatus: http.StatusAccepted}})
	require.Equal(t, http.StatusAccepted, k.send("DELETE", k.kickOff("/$export"), "").status)
}

func checkAfterDelete(t *testing.T) {
	k := start(t, setup{data: ward(), http: httpadapter.Config{Strict: true}})
	e := k.export("/$export", "Prefer: respond-async")
	require.Equal(t, http.StatusAccepted, k.send("DELETE", e.job, "").status)
	require.Equal(t, "not-found", k.fails(k.get(e.job), http.StatusNotFound).Code)
	require.Equal(t, "not-found", k.fails(k.send("DELETE", e.job, ""), http.StatusNotFound).Code)
	for _, file := range *e.Output {
		k.fails(k.get(file.URL), http.StatusNotFound)
	}
}

func checkDeleteRunning(t *testing.T) {
	dir := t.TempDir()
	sink, err := filesink.New(dir)
	require.NoError(t, err)
	before, entered, release := held(`"Patient"`)
	s := setup{before: before, data: ward(), core: bulkexport.Config{Sink: sink, MaxFileResources: 1}}
	inBubble(t, s, func(k *server) {
		defer release()
		job := k.kickOff("/$export?_type=Patient,Observation")
		<-entered
		require.Equal(k, http.StatusNoContent, k.send("DELETE", job, "").status)
		k.fails(k.get(job), http.StatusNotFound)
		release()
		synctest.Wait()
		pass(time.Minute)
		k.fails(k.get(job), http.StatusNotFound)
		k.fails(k.get(job+"/Observation.ndjson"), http.StatusNotFound)
	})
	require.Empty(t, filesIn(t, dir))
}

// filesIn lists all files below a directory.
func filesIn(t *testing.T, dir string) []string {
	t.Helper()
	var files []string
	require.NoError(t, filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			files = append(files, path)
		}
		return err
	}))
	return files
}

func checkFilesRemoved(t *testing.T) {
	dir := t.TempDir()
	sink, err := filesink.New(dir)
	require.NoError(t, err)
	watched := &watchedSink{OutputSink: sink, gone: make(chan string, 1000)}
	k := start(t, setup{data: ward(), core: bulkexport.Config{Sink: watched}})
	e := k.export("/$export")
	require.NotEmpty(t, filesIn(t, dir))
	k.send("DELETE", e.job, "")
	require.Equal(t, e.id(), <-watched.gone)
	require.Empty(t, filesIn(t, dir))
}

func checkFailedDelete(t *testing.T) {
	k := start(t, setup{secure: true})
	job := k.kickOff("/$export", bearer("alice"))
	k.fails(k.send("DELETE", job, ""), http.StatusUnauthorized)
	k.fails(k.send("DELETE", job, "", bearer("bob")), http.StatusNotFound)
	k.fails(k.send("DELETE", job+"x", "", bearer("alice")), http.StatusNotFound)
	k.fails(k.send("PATCH", job, "", bearer("alice")), http.StatusMethodNotAllowed)
	require.NotEqual(t, http.StatusNotFound, k.get(job, bearer("alice")).status, "it is still there")
}
