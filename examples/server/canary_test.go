package main

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport/examples/internal/database"
	"github.com/bulkexport/bulkexport/internal/serverproc"
)

// The marks. Each is found only where it was put, so a finding says what has leaked.
const (
	markContent = "CANARY-content-41c2" // in every resource
	markID      = "CANARY-id-62b8"      // in the id of each Patient
	markToken   = "CANARY-token-9f0e"   // a token that is good
	markWrong   = "CANARY-wrong-77ab"   // tokens that are not, in all places
	markRequest = "CANARY-request-3d58" // in requests that are refused
)

// markedRecords have the content mark in names, texts, identifiers, narratives, data of
// attachments and extensions.
func markedRecords(t *testing.T) (folder string) {
	t.Helper()
	folder = t.TempDir()
	var patients, others strings.Builder
	for i := range 50 {
		fmt.Fprintf(&patients, `{"resourceType":"Patient","id":"%[3]s-%[1]d","name":[{"family":"%[2]s"}],`+
			`"identifier":[{"value":"%[2]s"}],"text":{"status":"generated","div":"<div>%[2]s</div>"}}`+"\n",
			i, markContent, markID)
		fmt.Fprintf(&others, `{"resourceType":"Observation","id":"o%d","status":"final","code":{"text":"%[2]s"},`+
			`"subject":{"reference":"Patient/%[3]s-%[1]d","display":"%[2]s"},"extension":[{"url":"u",`+
			`"valueString":"%[2]s"}]}`+"\n",
			i, markContent, markID)
	}
	fmt.Fprintf(&others, `{"resourceType":"DocumentReference","id":"d","status":"current","subject":`+
		`{"reference":"Patient/%[2]s-1"},"content":[{"attachment":{"title":"%[1]s","data":"%[1]s"}}]}`+"\n",
		markContent, markID)
	fmt.Fprintf(&others, `{"resourceType":"Group","id":"ward","type":"person","actual":true,"name":"%[1]s",`+
		`"member":[{"entity":{"reference":"Patient/%[2]s-1","display":"%[1]s"}}]}`+"\n", markContent, markID)
	require.NoError(t, os.WriteFile(filepath.Join(folder, "Patient.ndjson"), []byte(patients.String()), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(folder, "others.ndjson"), []byte(others.String()), 0o600))
	return folder
}

// TestMarksAreInOutputFilesOnly exports records that are marked, with tokens that are,
// sends marked requests that are refused, kills the server in between, and looks for the
// marks everywhere.
func TestMarksAreInOutputFilesOnly(t *testing.T) {
	t.Parallel()
	for name, encrypt := range map[string]bool{"plain files": false, "encrypted files": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder, tokenOf := newClient(t, "system/*.rs")
			dir, keys := t.TempDir(), t.TempDir()
			args := []string{
				"-dir", dir, "-audit", "-signed-urls", "1m", "-token", markToken + "=static@default",
				"-smart-clients", filepath.Join(folder, "clients.json"), "-max-client-exports", "4",
			}
			if encrypt {
				args = append(args, "-encrypt", keys)
			}
			first := start(t, append(args, "-data", markedRecords(t), "-rate", "200")...)
			kickOff(t, first, markToken)
			first.Kill() // in the middle: what takes over says so in its log

			p := start(t, args...)
			issued, err := tokenOf(p.BaseURL)
			require.NoError(t, err, issued)
			said := exportAll(t, p, markToken) + exportAll(t, p, issued)
			said += refusedRequests(t, p)
			logs := first.Log() + p.Log()
			p.Kill()

			for place, text := range map[string]string{
				"logs": logs, "answers": said, "job store": jobTables(t, dir), "file names": fileNames(t, dir, keys),
			} {
				require.Regexp(t, `[a-z2-7]{26}`, text, "%s: an id of a job is there", place)
				secrets := []string{markContent, markID, markToken, markWrong, issued, signatureOf(issued)}
				if place != "answers" { // a client may be told of its own faults
					secrets = append(secrets, markRequest, "signature=")
				}
				for _, secret := range secrets {
					for _, form := range forms(secret) {
						require.NotContains(t, text, form, "%s: %s", place, secret)
					}
				}
			}
			require.Contains(t, logs, "msg=audit event=download")
			require.Equal(t, !encrypt, strings.Contains(storedFiles(t, dir), markContent))
		})
	}
}

// forms are how a text looks as it is, in hexadecimal, and inside of base64, at each
// place that it can have there.
func forms(text string) []string {
	list := []string{text, hex.EncodeToString([]byte(text))}
	for before := range 3 {
		encoded := base64.StdEncoding.EncodeToString(append(make([]byte, before), text...))
		list = append(list, encoded[(before*8+5)/6:(before+len(text))*8/6])
	}
	return list
}

// TestForms looks for a text in what encodes it.
func TestForms(t *testing.T) {
	t.Parallel()
	const text = "CANARY-1"
	for before := range 4 {
		around := []byte(strings.Repeat("x", before) + text + "yz")
		for _, encoded := range []string{
			string(around), hex.EncodeToString(around), base64.StdEncoding.EncodeToString(around),
		} {
			require.True(t, slices.ContainsFunc(forms(text), func(form string) bool {
				return strings.Contains(encoded, form)
			}), encoded)
		}
	}
}

func signatureOf(token string) string { return token[strings.LastIndexByte(token, '.')+1:] }

// exportAll exports everything, downloads it in all ways, and returns all answers but
// those with files.
func exportAll(t *testing.T, p *serverproc.Process, token string) string {
	t.Helper()
	job := kickOff(t, p, token)
	status := poll(t, p, job, token, complete)
	said := []string{job, fmt.Sprint(status)}
	m := readManifest(t, status)
	require.Len(t, m.Output, 4)
	for _, file := range m.Output {
		plain, _, _ := strings.Cut(file.URL, "?")
		for _, got := range []answer{
			request(t, http.MethodGet, file.URL, ""), request(t, http.MethodGet, plain, token),
			request(t, http.MethodGet, file.URL, markWrong),
		} {
			require.Equal(t, http.StatusOK, got.status)
			require.Contains(t, got.body, markContent, "the mark is where it belongs")
			said = append(said, fmt.Sprint(got.header))
		}
		said = append(said, fmt.Sprint(request(t, http.MethodGet, file.URL+"x", "")),
			fmt.Sprint(request(t, http.MethodGet, plain, markWrong)))
	}
	group := request(t, http.MethodGet, p.BaseURL+"/fhir/Group/ward/$export", token)
	require.Equal(t, http.StatusAccepted, group.status, group.body)
	gone := request(t, http.MethodDelete, group.header.Get("Content-Location"), token)
	said = append(said, fmt.Sprint(group, gone, request(t, http.MethodGet, p.BaseURL+"/fhir/metadata", token)))
	return strings.Join(said, "\n")
}

// refusedRequests sends marks where they do not belong, and returns the answers.
func refusedRequests(t *testing.T, p *serverproc.Process) string {
	t.Helper()
	var said strings.Builder
	send := func(method, target, body string, headers ...string) {
		req, err := http.NewRequestWithContext(t.Context(), method, p.BaseURL+target, strings.NewReader(body))
		require.NoError(t, err)
		req.Header.Set("Content-Type", "application/fhir+json")
		for i := 0; i < len(headers); i += 2 {
			req.Header.Add(headers[i], headers[i+1])
		}
		got := send(t, req, "")
		require.GreaterOrEqual(t, got.status, 400, target)
		fmt.Fprintln(&said, got)
	}
	good := []string{"Authorization", "Bearer " + markToken}
	for _, header := range []string{
		"Bearer " + markWrong, "Basic " + markWrong, markWrong, "Bearer " + markWrong + ".a.b",
	} {
		send(http.MethodGet, "/fhir/$export", "", "Authorization", header)
		send(http.MethodGet, "/bulk-export/aaaaaaaaaaaaaaaaaaaaaaaaaa", "", "Authorization", header)
	}
	send(http.MethodGet, "/fhir/$export?access_token="+markWrong, "", "Cookie", "token="+markWrong)
	for _, name := range []string{"access_token", "client_assertion", "client_secret"} {
		lenient := append(slices.Clone(good), "Prefer", "handling=lenient")
		send(http.MethodGet, "/fhir/$export?"+name+"="+markWrong, "", lenient...)
	}
	form := []string{"Content-Type", "application/x-www-form-urlencoded"}
	send(http.MethodPost, "/auth/token", "client_assertion="+markWrong, form...)
	send(http.MethodPost, "/auth/token", "client_secret="+markWrong, append(form, "Authorization", "Basic "+markWrong)...)
	for _, query := range []string{
		"_since=", "_type=", "_typeFilter=Patient?name%3Aunknown=", "_elements=", "_outputFormat=", "unknown=",
		"patient=Patient/",
	} {
		send(http.MethodGet, "/fhir/$export?"+query+markRequest, "", good...)
	}
	parameters := `{"resourceType":"Parameters","parameter":[` +
		`{"name":"patient","valueReference":{"reference":"Patient/%s"}}]}`
	send(http.MethodPost, "/fhir/Patient/$export", fmt.Sprintf(parameters, markRequest), good...)
	send(http.MethodPost, "/fhir/Patient/$export", `{"resourceType":"`+markRequest+`"`, good...)
	send(http.MethodGet, "/bulk-export/"+markRequest, "", good...)
	send(http.MethodGet, "/bulk-export/aaaaaaaaaaaaaaaaaaaaaaaaaa/"+markRequest, "", good...)
	send(http.MethodGet, "/"+markRequest, "", good...)
	send(markRequest, "/fhir/$export", "", good...)
	return said.String()
}

// jobTables returns all that the job store holds.
func jobTables(t *testing.T, dir string) string {
	t.Helper()
	db, err := database.OpenSQLite(filepath.Join(dir, "bulkexport.db"))
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	var all strings.Builder
	for _, table := range []string{"bulkexport_jobs", "bulkexport_parts", "bulkexport_limits"} {
		var rows []map[string]any
		require.NoError(t, db.Jobs.Table(table).Find(&rows).Error)
		require.NotEmpty(t, rows, table)
		for _, row := range rows {
			for column, value := range row {
				if bytes, ok := value.([]byte); ok {
					value = string(bytes)
				}
				fmt.Fprintln(&all, table, column, value)
			}
		}
	}
	return all.String()
}

// fileNames returns all names of files and folders.
func fileNames(t *testing.T, dirs ...string) string {
	t.Helper()
	var names []string
	for _, dir := range dirs {
		require.NoError(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			names = append(names, strings.TrimPrefix(path, dir))
			return err
		}))
	}
	slices.Sort(names)
	return strings.Join(names, "\n")
}

// storedFiles returns the content of all output files, as they are stored.
func storedFiles(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	paths, err := filepath.Glob(filepath.Join(dir, "files", "*", "*"))
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	for _, path := range paths {
		require.Regexp(t, regexp.MustCompile(`\.ndjson`), path)
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		all.Write(content)
	}
	return all.String()
}
