package smart_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/httpadapter"
	"github.com/bulkexport/bulkexport/sink/filesink"
	"github.com/bulkexport/bulkexport/smart"
	"github.com/bulkexport/bulkexport/source/memsource"
	"github.com/bulkexport/bulkexport/store/memstore"
)

// door is one way in to the same exporter.
type door struct {
	client http.Client
	base   string
	token  string
}

// newDoor has a server of its own, open without an authorizer.
func newDoor(b *testing.B, exporter *bulkexport.Exporter, authorizer *smart.Authorizer, token string) *door {
	b.Helper()
	d := &door{token: token, client: http.Client{Transport: &http.Transport{DisableCompression: true}}}
	server := httptest.NewUnstartedServer(nil)
	d.base = "http://" + server.Listener.Addr().String()
	cfg := httpadapter.Config{BaseURL: d.base, PollLimit: -1, Open: authorizer == nil}
	if authorizer != nil {
		cfg.Authorize = authorizer.Authorize
		cfg.FailedLogins = httpadapter.Rate{Burst: 60, Every: time.Second}
	}
	var err error
	server.Config.Handler, err = httpadapter.New(exporter, cfg)
	require.NoError(b, err)
	server.Start()
	b.Cleanup(server.Close)
	b.Cleanup(d.client.CloseIdleConnections)
	return d
}

// get returns the header of an answer with this status, and the length of its body.
func (d *door) get(b *testing.B, url string, status int) (http.Header, int64) {
	b.Helper()
	req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, url, http.NoBody)
	require.NoError(b, err)
	if d.token != "" {
		req.Header.Set("Authorization", "Bearer "+d.token)
	}
	res, err := d.client.Do(req)
	require.NoError(b, err)
	defer res.Body.Close()
	n, err := io.Copy(io.Discard, res.Body)
	require.NoError(b, err)
	require.Equal(b, status, res.StatusCode)
	return res.Header, n
}

// poller asks for the same again and again, over one connection, and spends next to
// nothing on it, as if it were another machine.
type poller struct {
	conn    net.Conn
	reader  *bufio.Reader
	request []byte
}

func (d *door) poller(b *testing.B, url string) *poller {
	b.Helper()
	conn, err := new(net.Dialer).DialContext(b.Context(), "tcp", strings.TrimPrefix(d.base, "http://"))
	require.NoError(b, err)
	b.Cleanup(func() { _ = conn.Close() })
	text := "GET " + strings.TrimPrefix(url, d.base) + " HTTP/1.1\r\nHost: h\r\n"
	if d.token != "" {
		text += "Authorization: Bearer " + d.token + "\r\n"
	}
	return &poller{conn, bufio.NewReader(conn), []byte(text + "\r\n")}
}

func (p *poller) poll(b *testing.B, status int) {
	if _, err := p.conn.Write(p.request); err != nil {
		b.Fatal(err)
	}
	res, err := http.ReadResponse(p.reader, nil)
	if err != nil || res.StatusCode != status {
		b.Fatal(err, res)
	}
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
}

func (d *door) kickOff(b *testing.B) string {
	b.Helper()
	header, _ := d.get(b, d.base+"/fhir/$export", http.StatusAccepted)
	return header.Get("Content-Location")
}

// BenchmarkAccess compares requests with a token with those of a client where access is
// open, in turns: "ratio" is the median over rounds. With "ignored" the client sends the
// token there too, so that what is left is the cost of looking at it. Polls are sent by
// next to nothing, so that what is compared is the server.
func BenchmarkAccess(b *testing.B) {
	source := memsource.New(memsource.Config{})
	var records strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&records, `{"resourceType":"Patient","id":"%d","name":[{"text":"%0500d"}]}`+"\n", i, i)
	}
	_, err := source.Load(b.Context(), "", strings.NewReader(records.String()))
	require.NoError(b, err)
	sink, err := filesink.New(b.TempDir())
	require.NoError(b, err)
	ended := make(chan string, 10)
	cfg := bulkexport.Config{
		Source: source, Store: memstore.New(), Sink: sink, Logger: slog.New(slog.DiscardHandler),
		Observer: bulkexport.Observer{JobEnded: func(_ context.Context, job bulkexport.Job) { ended <- job.ID }},
	}
	exporter, err := bulkexport.New(cfg)
	require.NoError(b, err)
	authorizer, err := smart.New(smart.Config{Issuers: []smart.Issuer{{
		URL: issuerURL, Audience: audience, Keys: issuerKeys(b),
	}}})
	require.NoError(b, err)
	token := scoped("system/Patient.rs system/Observation.rs")
	open, ignored := newDoor(b, exporter, nil, ""), newDoor(b, exporter, nil, token)
	locked := newDoor(b, exporter, authorizer, token)
	jobs := map[*door]string{open: open.kickOff(b), ignored: ignored.kickOff(b), locked: locked.kickOff(b)}
	run := func(name string, times int, do func(*door)) {
		b.Run(name, func(b *testing.B) { compare(b, times, open, locked, do) })
		b.Run(name+"-ignored", func(b *testing.B) { compare(b, times, ignored, locked, do) })
	}

	pollers := map[*door]*poller{}
	for d, job := range jobs {
		pollers[d] = d.poller(b, job)
	}
	run("status-running", 200, func(d *door) { pollers[d].poll(b, http.StatusAccepted) })
	require.NoError(b, exporter.Start(b.Context()))
	defer func() { require.NoError(b, exporter.Stop(context.Background())) }()
	for range jobs {
		<-ended
	}
	run("status-completed", 200, func(d *door) { pollers[d].poll(b, http.StatusOK) })
	run("download", 5, func(d *door) { d.get(b, jobs[d]+"/Patient.ndjson", http.StatusOK) })
}

// compare does the same at two doors in turns, so many times each per round.
func compare(b *testing.B, times int, open, locked *door, do func(*door)) {
	b.Helper()
	took := func(d *door) time.Duration {
		began := time.Now()
		for range times {
			do(d)
		}
		return time.Since(began)
	}
	took(open)
	took(locked)
	var ratios []float64
	for b.Loop() {
		first, second := open, locked
		if len(ratios)%2 == 1 {
			first, second = locked, open
		}
		measured := map[*door]time.Duration{first: took(first), second: took(second)}
		ratios = append(ratios, measured[locked].Seconds()/measured[open].Seconds())
	}
	slices.Sort(ratios)
	b.ReportMetric(ratios[len(ratios)/2], "ratio")
	b.ReportMetric(0, "ns/op")
}
