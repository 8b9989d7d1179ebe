package httpadapter_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/httpadapter"
	"github.com/bulkexport/bulkexport/sink/memsink"
	"github.com/bulkexport/bulkexport/source/memsource"
	"github.com/bulkexport/bulkexport/store/memstore"
)

// witness is an observer that remembers.
type witness struct {
	mu        sync.Mutex
	downloads []httpadapter.Download
	refusals  []httpadapter.Refusal
	told      chan struct{} // a value for each
}

func newWitness() *witness { return &witness{told: make(chan struct{}, 100)} }

func (w *witness) observer() httpadapter.Observer {
	return httpadapter.Observer{
		Downloaded: func(_ context.Context, d httpadapter.Download) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.downloads = append(w.downloads, d)
			w.told <- struct{}{}
		},
		Refused: func(_ context.Context, r httpadapter.Refusal) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.refusals = append(w.refusals, r)
			w.told <- struct{}{}
		},
	}
}

// next waits for one, and returns all so far.
func (w *witness) next() ([]httpadapter.Download, []httpadapter.Refusal) {
	<-w.told
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.downloads, w.refusals
}

// lastDownload waits for a download and returns it.
func (w *witness) lastDownload() httpadapter.Download {
	downloads, _ := w.next()
	return downloads[len(downloads)-1]
}

func TestDownloadsAreObserved(t *testing.T) {
	t.Parallel()
	w := newWitness()
	k := newSignedKit(t, setup{http: httpadapter.Config{Observer: w.observer()}})
	signed := k.signedURL()
	for _, test := range []struct {
		target, header string
		bytes          int
		whole, signed  bool
	}{
		{file, "A: b", len(lines), true, false},
		{signed, "A: b", len(lines), true, true},
		{file, "Range: bytes=10-19", 10, false, false},
		{file, "Range: bytes=10-", len(lines) - 10, false, false},
		{file, "Accept-Encoding: gzip", 0, true, false},
	} {
		res := k.get(test.target, aliceAuth, test.header)
		got := w.lastDownload()
		require.Equal(t, "alice", got.Job.Client)
		require.Equal(t, jobID, got.Job.ID)
		require.Equal(t, "Patient.ndjson", got.File.PublicName)
		require.Equal(t, "127.0.0.1", got.Remote)
		require.Equal(t, test.whole, got.Whole, test)
		require.Equal(t, test.signed, got.Signed, test)
		require.Equal(t, len(res.body), int(got.Bytes), test)
		if test.bytes > 0 {
			require.Equal(t, test.bytes, len(res.body))
		}
	}
	// What sends no byte of the file is no download.
	for _, headers := range []string{"If-None-Match: " + etag(lines), "Range: bytes=999999999-", "If-Match: x"} {
		k.get(file, aliceAuth, headers)
	}
	k.do("HEAD", file, aliceAuth)
	require.Empty(t, w.told)
}

func TestDownloadThatBreaksOffIsObserved(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWitness()
		k := kit{TB: t, store: memstore.New(), sink: memsink.New()}
		exporter, err := bulkexport.New(bulkexport.Config{
			Source: memsource.New(memsource.Config{}), Store: k.store, Sink: k.sink, Now: func() time.Time { return now },
		})
		require.NoError(t, err)
		handler, err := httpadapter.New(exporter, httpadapter.Config{
			BaseURL: "http://h", Authorize: authorize, Observer: w.observer(),
		})
		require.NoError(t, err)
		k.addFile(callers["alice"].Caller, lines)
		for name, end := range map[string]func(c io.Closer){
			"the client hangs up": func(c io.Closer) { require.NoError(t, c.Close()) },
			"the client stalls":   func(io.Closer) { time.Sleep(6 * time.Minute) }, //nolint:forbidigo // of synctest
		} {
			client := dial(t, handler)
			_, err = fmt.Fprintf(client, slowRequest, "GET "+file, "alice", 0, "")
			require.NoError(t, err)
			res, err := http.ReadResponse(bufio.NewReader(client), nil)
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, res.StatusCode)
			end(client)
			got := w.lastDownload()
			require.False(t, got.Whole, name)
			require.Less(t, got.Bytes, int64(len(lines)), name)
			_, err = io.ReadAll(res.Body)
			require.Error(t, err, name)
		}
	})
}

func TestRefusalsAreObserved(t *testing.T) {
	t.Parallel()
	w := newWitness()
	k := newKit(t, setup{
		core: bulkexport.Config{Source: wards(t, "north"), MaxClientExports: 1},
		http: httpadapter.Config{Authorize: authorize, Observer: w.observer()},
	})
	k.addFile(callers["alice"].Caller, lines)
	require.Equal(t, http.StatusAccepted, k.get("/fhir/$export", "Authorization: Bearer bob").status)
	alice, bob := callers["alice"].Caller, callers["bob"].Caller
	for _, test := range []struct {
		request, token string
		want           httpadapter.Refusal
		err            error
	}{
		{"GET /fhir/$export", "none", httpadapter.Refusal{Operation: httpadapter.OpKickOff, Level: "system"},
			httpadapter.ErrUnauthenticated},
		{"GET /fhir/$export?_type=Patient", "narrow",
			httpadapter.Refusal{Operation: httpadapter.OpKickOff, Caller: alice, Level: "system"},
			bulkexport.ErrInsufficientScope},
		{"GET /fhir/$export", "bob",
			httpadapter.Refusal{Operation: httpadapter.OpKickOff, Caller: bob, Level: "system"}, nil},
		{"GET /fhir/Group/nobody/$export", "alice",
			httpadapter.Refusal{Operation: httpadapter.OpKickOff, Caller: alice, Level: "group", Group: "nobody"},
			bulkexport.ErrGroupNotFound},
		{"GET " + status, "bob", httpadapter.Refusal{Operation: httpadapter.OpStatus, Caller: bob, JobID: jobID},
			bulkexport.ErrJobNotFound},
		{"DELETE " + status, "narrow", httpadapter.Refusal{Operation: httpadapter.OpDelete, Caller: alice, JobID: jobID},
			bulkexport.ErrInsufficientScope},
		{"GET " + file, "none",
			httpadapter.Refusal{Operation: httpadapter.OpFile, JobID: jobID, File: "Patient.ndjson"},
			httpadapter.ErrUnauthenticated},
		{"GET " + status + "/SECRET%0Apath.ndjson", "alice",
			httpadapter.Refusal{Operation: httpadapter.OpFile, Caller: alice, JobID: jobID}, bulkexport.ErrFileNotFound},
		{"GET /bulk-export/SECRET", "alice", httpadapter.Refusal{Operation: httpadapter.OpStatus, Caller: alice},
			bulkexport.ErrJobNotFound},
	} {
		method, target, _ := strings.Cut(test.request, " ")
		res := k.do(method, target, "Authorization: Bearer "+test.token)
		_, refusals := w.next()
		got := refusals[len(refusals)-1]
		test.want.Status, test.want.Remote, test.want.Err = res.status, "127.0.0.1", got.Err
		require.Equal(t, test.want, got, test.request)
		if test.err != nil {
			require.ErrorIs(t, got.Err, test.err, test.request)
		} else {
			require.Equal(t, http.StatusTooManyRequests, got.Status)
		}
	}
	// What is wrong for everybody is no refusal.
	for _, target := range []string{"/nowhere", "/fhir/$export?_type=Nonsense", "/fhir/$export?_since=x"} {
		require.GreaterOrEqual(t, k.get(target, aliceAuth).status, 400)
	}
	require.Equal(t, http.StatusServiceUnavailable, k.get(status, "Authorization: Bearer trouble").status)
	require.Empty(t, w.told)
}
