package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport/examples/internal/dataset"
	"github.com/bulkexport/bulkexport/internal/pgtest"
	"github.com/bulkexport/bulkexport/internal/synthetic"
)

// patients is what the servers generate: about 900 resources.
const patients = 20

var generate = strconv.Itoa(patients)

// manifest is the answer to the status of a finished job.
type manifest struct {
	RequiresAccessToken bool
	Output              []struct {
		Type, URL string
		Count     int
	}
}

func TestOpenServerExportsWhatItGenerated(t *testing.T) {
	t.Parallel()
	p := start(t, "-dir", t.TempDir(), "-generate", generate)
	got := poll(t, p, kickOff(t, p, ""), "", complete)
	m := readManifest(t, got)
	require.False(t, m.RequiresAccessToken)
	require.Equal(t, generated(t), download(t, m, ""))
}

func TestPostgres(t *testing.T) {
	t.Parallel()
	p := start(t, "-dir", t.TempDir(), "-generate", generate, "-db", pgtest.DSN(t))
	got := poll(t, p, kickOff(t, p, ""), "", complete)
	require.Equal(t, generated(t), download(t, readManifest(t, got), ""))
}

func TestTokensKeepClientsAndTenantsApart(t *testing.T) {
	t.Parallel()
	p := start(t, "-dir", t.TempDir(), "-generate", generate,
		"-token", "s3cret==app@default", "-token", "other=rival@default", "-token", "third=app@clinic")
	for _, token := range []string{"", "wrong", "s3cret", "app@default"} {
		got := request(t, http.MethodGet, p.BaseURL+"/fhir/$export", token)
		require.Equal(t, http.StatusUnauthorized, got.status, token)
		require.Contains(t, got.body, "OperationOutcome")
	}

	job := kickOff(t, p, "s3cret=")
	m := readManifest(t, poll(t, p, job, "s3cret=", complete))
	require.True(t, m.RequiresAccessToken)
	require.Equal(t, generated(t), download(t, m, "s3cret="))
	for _, token := range []string{"other", "third"} {
		require.Equal(t, http.StatusNotFound, request(t, http.MethodGet, p.BaseURL+job, token).status)
		require.Equal(t, http.StatusNotFound, request(t, http.MethodGet, m.Output[0].URL, token).status)
		require.Equal(t, http.StatusNotFound, request(t, http.MethodDelete, p.BaseURL+job, token).status)
	}
	other := readManifest(t, poll(t, p, kickOff(t, p, "third"), "third", complete))
	require.Empty(t, other.Output, "records of another tenant")
	require.NotContains(t, p.Log(), "s3cret")
	require.Contains(t, p.Log(), "-H 'Authorization: Bearer TOKEN'", "what the server proposes")
}

func TestRateShowsProgressAndDeleteEndsIt(t *testing.T) {
	t.Parallel()
	p := start(t, "-dir", t.TempDir(), "-generate", generate, "-rate", "100", "-delete-status", "202")
	job := kickOff(t, p, "")
	got := poll(t, p, job, "", underWay)
	require.Equal(t, http.StatusAccepted, got.status, got.body)
	require.Contains(t, got.body, `"status":"in-progress"`)
	require.Regexp(t, `^\d+% `, got.header.Get("X-Progress"))
	require.Regexp(t, `^\d+$`, got.header.Get("Retry-After"))

	require.Equal(t, http.StatusAccepted, request(t, http.MethodDelete, p.BaseURL+job, "").status)
	require.Equal(t, http.StatusNotFound, request(t, http.MethodGet, p.BaseURL+job, "").status)
}

func TestStrict(t *testing.T) {
	t.Parallel()
	p := start(t, "-dir", t.TempDir(), "-strict")
	require.Equal(t, http.StatusBadRequest, request(t, http.MethodGet, p.BaseURL+"/fhir/$export", "").status)

	// What the server proposes works.
	command := regexp.MustCompile(`curl -i -H '(.+): (.+)' '(.+)'`).FindStringSubmatch(p.Log())
	require.NotNil(t, command, p.Log())
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, command[3], nil)
	require.NoError(t, err)
	req.Header.Set(command[1], command[2])
	got := send(t, req, "")
	require.Equal(t, http.StatusAccepted, got.status, got.body)
	job := got.header.Get("Content-Location")
	require.Equal(t, http.StatusAccepted, request(t, http.MethodDelete, job, "").status)
	require.Equal(t, http.StatusNotFound, request(t, http.MethodGet, job, "").status)
}

func TestLimits(t *testing.T) {
	t.Parallel()
	p := start(t, "-dir", t.TempDir(), "-generate", generate, "-rate", "1",
		"-max-client-exports", "1", "-max-tenant-exports", "2", "-poll-limit", "1",
		"-token", "a=one@default", "-token", "b=two@default", "-token", "c=three@default")
	job := kickOff(t, p, "a")
	tooMany := func(method, url, token string) {
		t.Helper()
		got := request(t, method, url, token)
		require.Equal(t, http.StatusTooManyRequests, got.status, got.body)
		require.Regexp(t, `^[1-9]\d*$`, got.header.Get("Retry-After"))
	}
	tooMany(http.MethodGet, p.BaseURL+"/fhir/$export", "a")
	kickOff(t, p, "b")
	tooMany(http.MethodGet, p.BaseURL+"/fhir/$export", "c")
	require.Eventually(t, func() bool {
		return request(t, http.MethodGet, p.BaseURL+job, "a").status == http.StatusTooManyRequests
	}, time.Minute, time.Millisecond, "polls without pause")
}

func TestMetadataNeedsNoToken(t *testing.T) {
	t.Parallel()
	p := start(t, "-dir", t.TempDir(), "-token", "a=one@default")
	got := request(t, http.MethodGet, p.BaseURL+"/fhir/metadata", "")
	require.Equal(t, http.StatusOK, got.status)
	require.Contains(t, got.body, `"definition":"http://hl7.org/fhir/uv/bulkdata/OperationDefinition/export"`)
}

func TestExportGoesOnAfterACrash(t *testing.T) {
	t.Parallel()
	args := []string{
		"-dir", t.TempDir(), "-generate", generate, "-max-file-resources", "50", "-lease", "1s",
	}
	p := start(t, append(args, "-rate", "500")...)
	job := kickOff(t, p, "")
	got := poll(t, p, job, "", underWay)
	require.Equal(t, http.StatusAccepted, got.status, got.body)
	p.Kill()

	p = start(t, args...)
	require.Contains(t, p.Log(), "has records already")
	m := readManifest(t, poll(t, p, job, "", complete))
	require.Equal(t, generated(t), download(t, m, ""))
	for _, file := range m.Output {
		require.LessOrEqual(t, file.Count, 50)
	}
}

func TestSignalDrainsAndRestartGoesOn(t *testing.T) {
	t.Parallel()
	args := []string{"-dir", t.TempDir(), "-generate", generate}
	p := start(t, append(args, "-rate", "100")...)
	job := kickOff(t, p, "")
	poll(t, p, job, "", underWay)
	require.NoError(t, p.Terminate(t.Context()), p.Log())

	p = start(t, args...)
	m := readManifest(t, poll(t, p, job, "", complete))
	require.Equal(t, generated(t), download(t, m, ""))
}

func TestFolderIsLoaded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const ada = `{"resourceType":"Patient","id":"ada","multipleBirthInteger":1.0}`
	require.NoError(t, os.WriteFile(dir+"/Patient.ndjson", []byte(ada+"\n"), 0o600))
	p := start(t, "-dir", t.TempDir(), "-data", dir)
	require.Contains(t, p.Log(), "loading records", "it may take long")
	m := readManifest(t, poll(t, p, kickOff(t, p, ""), "", complete))
	require.Len(t, m.Output, 1)
	require.Equal(t, ada+"\n", request(t, http.MethodGet, m.Output[0].URL, "").body)
}

func TestFaultsAreReportedBeforeListening(t *testing.T) {
	t.Parallel()
	for fault, args := range map[string][]string{
		"exclude each other":        {"-data", "x", "-generate", "1"},
		"flags only":                {"export"},
		"must not be negative":      {"-rate", "-1"},
		"CLIENT@TENANT":             {"-token", "s3cret=app"},
		"not defined":               {"-colour", "red"},
		"Config.BaseURL":            {"-base-url", "fhir.example.org"},
		"Config.DeleteStatus":       {"-delete-status", "200"},
		"Config.MaxFileResources":   {"-max-file-resources", "-1"},
		"Config.MaxClientExports":   {"-max-client-exports", "-1"},
		"Config.PollLimit":          {"-poll-limit", "-2"},
		"no such file or directory": {"-data", "absent"},
		"open database":             {"-db", "postgres://127.0.0.1:1/none"},
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			// Ends a server that starts nevertheless.
			ctx, stop := context.WithTimeout(t.Context(), time.Minute)
			defer stop()
			var output bytes.Buffer
			err := run(ctx, append([]string{"-addr", "127.0.0.1:0", "-dir", t.TempDir()}, args...), &output)
			require.ErrorContains(t, err, fault)
			require.NotContains(t, output.String(), "listening")
			require.NotContains(t, output.String()+err.Error(), "s3cret")
		})
	}
}

func readManifest(t *testing.T, a answer) manifest {
	t.Helper()
	require.Equal(t, http.StatusOK, a.status, a.body)
	var m manifest
	require.NoError(t, json.Unmarshal([]byte(a.body), &m))
	return m
}

// download fetches all files and returns what they hold.
func download(t *testing.T, m manifest, token string) map[string]dataset.Fingerprint {
	t.Helper()
	var digest dataset.Digest
	for _, file := range m.Output {
		got := request(t, http.MethodGet, file.URL, token)
		require.Equal(t, http.StatusOK, got.status)
		require.Equal(t, file.Count, strings.Count(got.body, "\n"))
		_, err := io.WriteString(&digest, got.body)
		require.NoError(t, err)
	}
	types, err := digest.Types()
	require.NoError(t, err)
	return types
}

// generated returns what -generate makes.
func generated(t *testing.T) map[string]dataset.Fingerprint {
	t.Helper()
	var digest dataset.Digest
	require.NoError(t, synthetic.Write(&digest, patients))
	types, err := digest.Types()
	require.NoError(t, err)
	return types
}
