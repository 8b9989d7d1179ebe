package cryptsink_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/faulttest"
	"github.com/bulkexport/bulkexport/httpadapter"
	"github.com/bulkexport/bulkexport/source/memsource"
	"github.com/bulkexport/bulkexport/store/memstore"
)

// canary stands for protected health information.
const canary = "Szczepanski-canary"

// exported is a completed export of one file, behind a real HTTP server.
type exported struct {
	*testing.T
	dir    string
	job    string // its id
	status string // its URL
	file   string // the URL of the file
	want   string // its lines
}

func export(t *testing.T, cfg bulkexport.Config) *exported {
	t.Helper()
	e := &exported{T: t, dir: t.TempDir(), want: patients(6000)}
	source := memsource.New(memsource.Config{})
	_, err := source.Load(t.Context(), "", strings.NewReader(e.want))
	require.NoError(t, err)
	ended := make(chan bulkexport.Job, 1)
	cfg.Source, cfg.Store, cfg.Sink = source, memstore.New(), openFolders(t, e.dir)
	cfg.Logger = slog.New(slog.DiscardHandler)
	cfg.Observer.JobEnded = func(_ context.Context, job bulkexport.Job) { ended <- job }
	exporter, err := bulkexport.New(cfg)
	require.NoError(t, err)
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	handler, err := httpadapter.New(exporter, httpadapter.Config{BaseURL: server.URL, Open: true})
	require.NoError(t, err)
	mux.Handle("/", handler)
	require.NoError(t, exporter.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, exporter.Stop(context.Background())) })

	e.status = e.get(server.URL+"/fhir/$export", "Prefer", "respond-async").header.Get("Content-Location")
	job := <-ended
	require.Equal(t, bulkexport.JobCompleted, job.State)
	e.job = job.ID
	var manifest struct{ Output []struct{ URL string } }
	require.NoError(t, json.Unmarshal(e.get(e.status).body, &manifest))
	require.Len(t, manifest.Output, 1)
	e.file = manifest.Output[0].URL
	return e
}

func patients(n int) string {
	var lines strings.Builder
	for i := range n {
		fmt.Fprintf(&lines, `{"resourceType":"Patient","id":"%d","name":[{"family":"%s-%d"}]}`+"\n", i, canary, i*i)
	}
	return lines.String()
}

type answer struct {
	status int
	header http.Header
	body   []byte
}

func (e *exported) get(url string, header ...string) answer {
	e.Helper()
	req, err := http.NewRequestWithContext(e.Context(), http.MethodGet, url, nil)
	require.NoError(e, err)
	req.Header.Set("Accept-Encoding", "identity")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(e, err)
	body, err := io.ReadAll(res.Body)
	require.NoError(e, err)
	require.NoError(e, res.Body.Close())
	return answer{res.StatusCode, res.Header, body}
}

// TestDownloads has clients see no difference: whole files, ranges and gzip.
func TestDownloads(t *testing.T) {
	t.Parallel()
	for _, level := range []int{0, 1} {
		t.Run(fmt.Sprintf("gzip level %d", level), func(t *testing.T) {
			t.Parallel()
			e := export(t, bulkexport.Config{GzipLevel: level})
			whole := e.get(e.file)
			require.Equal(t, http.StatusOK, whole.status)
			require.Equal(t, strconv.Itoa(len(e.want)), whole.header.Get("Content-Length"))
			require.True(t, e.want == string(whole.body))

			var resumed bytes.Buffer
			for from := 0; from < len(e.want); from += 100_001 {
				to := min(from+100_001, len(e.want)) - 1
				part := e.get(e.file, "Range", fmt.Sprintf("bytes=%d-%d", from, to))
				require.Equal(t, http.StatusPartialContent, part.status)
				resumed.Write(part.body)
			}
			require.True(t, e.want == resumed.String())
			last := e.get(e.file, "Range", "bytes=-10")
			require.Equal(t, e.want[len(e.want)-10:], string(last.body))

			zipped := e.get(e.file, "Accept-Encoding", "gzip")
			require.Equal(t, "gzip", zipped.header.Get("Content-Encoding"))
			zip, err := gzip.NewReader(bytes.NewReader(zipped.body))
			require.NoError(t, err)
			lines, err := io.ReadAll(zip)
			require.NoError(t, err)
			require.True(t, e.want == string(lines))
		})
	}
}

// TestNothingIsReadable looks for the content in all that is on the disk.
func TestNothingIsReadable(t *testing.T) {
	t.Parallel()
	e := export(t, bulkexport.Config{})
	require.Contains(t, e.want, canary)
	require.Contains(t, string(e.get(e.file).body), canary)
	stored := int64(0)
	require.NoError(t, filepath.WalkDir(e.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		stored += int64(len(content))
		for _, plain := range []string{canary, "Patient\"", "resourceType", "family"} {
			require.NotContains(t, string(content), plain, path)
		}
		return err
	}))
	require.Greater(t, stored, int64(len(e.want)))
}

// TestWithoutTheKey has the key alone deleted: downloads are 404, and DELETE works.
func TestWithoutTheKey(t *testing.T) {
	t.Parallel()
	e := export(t, bulkexport.Config{})
	require.NoError(t, openKeys(t, filepath.Join(e.dir, "keys")).DeleteKey(t.Context(), e.job))
	require.Equal(t, http.StatusNotFound, e.get(e.file).status)
	require.Equal(t, http.StatusNotFound, e.get(e.file, "Range", "bytes=10-20").status)
	require.Contains(t, tree(t, e.dir), "files/"+e.job)
}

func TestDeleteLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	sink := openFolders(t, dir)
	put(t, sink, job, name, data(1, 100))
	require.NoError(t, sink.DeleteJob(t.Context(), job))
	require.Equal(t, map[string]fs.FileMode{
		".": 0o700 | fs.ModeDir, "files": 0o700 | fs.ModeDir, "keys": 0o700 | fs.ModeDir,
	}, private(tree(t, dir)))
}

// TestFaults has exporters fail, killed and frozen, each with handles of its own.
func TestFaults(t *testing.T) {
	t.Parallel()
	folders := map[bulkexport.OutputSink]string{}
	open := func(t *testing.T, dir string) bulkexport.OutputSink {
		t.Helper()
		sink := openFolders(t, dir)
		folders[sink] = dir
		return sink
	}
	faulttest.Run(t, faulttest.Harness{
		Open: func(t *testing.T) faulttest.Parts {
			t.Helper()
			source := memsource.New(memsource.Config{})
			for i := range 10 {
				for _, kind := range []string{"Patient", "Observation"} {
					_, err := source.Put("", fmt.Appendf(nil, `{"resourceType":%q,"id":"%s%d"}`, kind, canary, i))
					require.NoError(t, err)
				}
			}
			return faulttest.Parts{Source: source, Store: memstore.New(), Sink: open(t, t.TempDir())}
		},
		Reopen: func(t *testing.T, opened faulttest.Parts) faulttest.Parts {
			t.Helper()
			opened.Sink = open(t, folders[opened.Sink])
			return opened
		},
		Request:   bulkexport.ExportRequest{Level: bulkexport.LevelSystem},
		Config:    bulkexport.Config{MaxFileResources: 3, GzipLevel: 1},
		Marker:    canary,
		Every:     25,
		Schedules: 8,
	})
}
