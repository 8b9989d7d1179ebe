package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport/internal/loopback"
)

func TestFilesBySignedURLs(t *testing.T) {
	t.Parallel()
	key := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(key, bytes.Repeat([]byte{7}, 32), 0o600))
	dir := t.TempDir()
	args := []string{"-dir", dir, "-token", "secret=app@default", "-signed-urls", "1m", "-url-key", key, "-audit"}
	p := start(t, append(args, "-generate", generate)...)
	job := kickOff(t, p, "secret")
	m := readManifest(t, poll(t, p, job, "secret", complete))
	require.False(t, m.RequiresAccessToken)
	require.Equal(t, generated(t), download(t, m, ""))
	plain, query, _ := strings.Cut(m.Output[0].URL, "?")
	require.Equal(t, http.StatusUnauthorized, request(t, http.MethodGet, plain, "").status)
	require.Equal(t, http.StatusUnauthorized, request(t, http.MethodGet, p.BaseURL+job+"?"+query, "").status)

	// Another process with the same key takes the same signatures, of URLs that are its own.
	other := start(t, args...)
	moved := strings.Replace(m.Output[0].URL, p.BaseURL, other.BaseURL, 1)
	require.Equal(t, http.StatusUnauthorized, request(t, http.MethodGet, moved, "").status)

	log := p.Log()
	require.Contains(t, log, `msg=audit event=kick-off client=app`)
	require.Contains(t, log, `msg=audit event=completed client=app`)
	require.Contains(t, log, `whole=true signed=true`)
	require.Contains(t, log, `msg=audit event=refused remote=127.0.0.1 operation=file status=401 reason=unauthenticated`)
	require.NotContains(t, log, "signature=")
	require.NotContains(t, log, "secret")
}

// newClient registers a client named app and returns its folder, and what gets it a token.
func newClient(t *testing.T, scope string) (dir string, token func(base string) (string, error)) {
	t.Helper()
	dir = t.TempDir()
	command := filepath.Join(dir, "token")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", command, "./token")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	run := func(args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), command, args...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		return strings.TrimSpace(string(out)), err
	}
	out2, err := run("-new", "app", "-scope", scope)
	require.NoError(t, err, out2)
	return dir, func(base string) (string, error) { return run("-client", "app", "-url", base+"/fhir") }
}

func TestSMARTBackendServices(t *testing.T) {
	t.Parallel()
	folder, tokenOf := newClient(t, "system/*.rs")
	clients := filepath.Join(folder, "clients.json")
	p := start(t, "-dir", t.TempDir(), "-generate", generate, "-smart-clients", clients, "-token", "static=other@default",
		"-audit")
	token, err := tokenOf(p.BaseURL)
	require.NoError(t, err, token)
	for _, wrong := range []string{"", token[:len(token)-2] + "xx", "other"} {
		got := request(t, http.MethodGet, p.BaseURL+"/fhir/$export", wrong)
		require.Equal(t, http.StatusUnauthorized, got.status, got.body)
		require.Contains(t, got.header.Get("WWW-Authenticate"), "Bearer")
	}
	job := kickOff(t, p, token)
	renewed, err := tokenOf(p.BaseURL)
	require.NoError(t, err, renewed)
	require.NotEqual(t, token, renewed)
	m := readManifest(t, poll(t, p, job, renewed, complete))
	require.Equal(t, generated(t), download(t, m, renewed))
	require.Equal(t, http.StatusNotFound, request(t, http.MethodGet, p.BaseURL+job, "static").status)
	kickOff(t, p, "static")

	// A server elsewhere takes these tokens if they are for it, and they are not.
	other := start(t, "-dir", t.TempDir(), "-issuer", p.BaseURL, "-issuer-keys", p.BaseURL+"/auth/jwks",
		"-token-endpoint", p.BaseURL+"/auth/token")
	got := request(t, http.MethodGet, other.BaseURL+"/fhir/$export", token)
	require.Equal(t, http.StatusUnauthorized, got.status)
	got = request(t, http.MethodGet, other.BaseURL+"/fhir/.well-known/smart-configuration", "")
	require.Contains(t, got.body, p.BaseURL+"/auth/token")

	port, err := loopback.FreePort(t.Context())
	require.NoError(t, err)
	addr := "127.0.0.1:" + strconv.Itoa(port)
	start(t, "-addr", addr, "-base-url", p.BaseURL, "-dir", t.TempDir(), "-issuer", p.BaseURL,
		"-issuer-keys", p.BaseURL+"/auth/jwks")
	got = request(t, http.MethodGet, "http://"+addr+"/fhir/$export", token)
	require.Equal(t, http.StatusAccepted, got.status, got.body)

	log := p.Log()
	require.Contains(t, log, `msg=audit event=token tenant="" client=app remote=127.0.0.1 scope=system/*.rs`)
	require.NotContains(t, log, token)
	require.NotContains(t, log, strings.Split(token, ".")[2], "the signature")
}

// TestTokensOfSeveralServers has two servers behind one URL, with one database: an
// assertion is good once for both, a token for either.
func TestTokensOfSeveralServers(t *testing.T) {
	t.Parallel()
	folder, _ := newClient(t, "system/*.rs")
	client, err := os.ReadFile(filepath.Join(folder, "app.pem"))
	require.NoError(t, err)
	private, err := jwt.ParseECPrivateKeyFromPEM(client)
	require.NoError(t, err)
	var registered []struct {
		JWKS struct{ Keys []struct{ Kid string } }
	}
	text, err := os.ReadFile(filepath.Join(folder, "clients.json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &registered))
	_, signing, _ := certificate(t)

	const base = "http://127.0.0.1"
	assertion := jwt.NewWithClaims(jwt.SigningMethodES384, jwt.RegisteredClaims{
		Issuer: "app", Subject: "app", Audience: jwt.ClaimStrings{base + "/auth/token"},
		ExpiresAt: jwt.NewNumericDate(time.Now().Add(time.Minute)), ID: "once",
	})
	assertion.Header["kid"] = registered[0].JWKS.Keys[0].Kid
	signed, err := assertion.SignedString(private)
	require.NoError(t, err)
	form := url.Values{
		"grant_type": {"client_credentials"}, "scope": {"system/*.rs"}, "client_assertion": {signed},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
	}
	dir := t.TempDir()
	var answers []answer
	var addresses []string
	for range 2 {
		port, err := loopback.FreePort(t.Context())
		require.NoError(t, err)
		addr := "127.0.0.1:" + strconv.Itoa(port)
		start(t, "-addr", addr, "-base-url", base, "-dir", dir, "-token-key", signing,
			"-smart-clients", filepath.Join(folder, "clients.json"))
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+addr+"/auth/token",
			strings.NewReader(form.Encode()))
		require.NoError(t, err)
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		answers, addresses = append(answers, send(t, req, "")), append(addresses, addr)
	}
	require.Equal(t, http.StatusOK, answers[0].status, answers[0].body)
	require.Equal(t, http.StatusUnauthorized, answers[1].status, answers[1].body)
	require.Contains(t, answers[1].body, "invalid_client")
	var granted struct {
		AccessToken string `json:"access_token"`
	}
	require.NoError(t, json.Unmarshal([]byte(answers[0].body), &granted))
	for _, addr := range addresses {
		got := request(t, http.MethodGet, "http://"+addr+"/fhir/$export", granted.AccessToken)
		require.Equal(t, http.StatusAccepted, got.status, got.body)
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	cert, key, pool := certificate(t)
	p := start(t, "-dir", t.TempDir(), "-tls-cert", cert, "-tls-key", key)
	require.True(t, strings.HasPrefix(p.BaseURL, "https://"), p.BaseURL)
	get := func(cfg *tls.Config) (*http.Response, error) {
		client := http.Client{Transport: &http.Transport{TLSClientConfig: cfg}}
		defer client.CloseIdleConnections()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.BaseURL+"/fhir/$export", nil)
		require.NoError(t, err)
		return client.Do(req)
	}
	res, err := get(&tls.Config{RootCAs: pool})
	require.NoError(t, err)
	require.Equal(t, http.StatusAccepted, res.StatusCode)
	require.True(t, strings.HasPrefix(res.Header.Get("Content-Location"), p.BaseURL))
	_, err = get(&tls.Config{RootCAs: pool, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10})
	require.ErrorContains(t, err, "protocol version")
	plain := request(t, http.MethodGet, strings.Replace(p.BaseURL, "https", "http", 1)+"/fhir/$export", "")
	require.Equal(t, http.StatusBadRequest, plain.status)
}

// certificate makes one for 127.0.0.1 and returns its files.
func certificate(t *testing.T) (cert, key string, pool *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	require.NoError(t, err)
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	require.NoError(t, os.WriteFile(cert, certPEM, 0o600))
	block := &pem.Block{Type: "PRIVATE KEY", Bytes: encoded}
	require.NoError(t, os.WriteFile(key, pem.EncodeToMemory(block), 0o600))
	pool = x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(certPEM))
	return cert, key, pool
}

func TestEncryptedFiles(t *testing.T) {
	t.Parallel()
	dir, keys := t.TempDir(), filepath.Join(t.TempDir(), "keys")
	p := start(t, "-dir", dir, "-generate", generate, "-encrypt", keys)
	job := kickOff(t, p, "")
	m := readManifest(t, poll(t, p, job, "", complete))
	require.Equal(t, generated(t), download(t, m, ""))
	stored, err := filepath.Glob(filepath.Join(dir, "files", "*", "*"))
	require.NoError(t, err)
	require.Len(t, stored, len(m.Output))
	for _, name := range stored {
		content, err := os.ReadFile(name)
		require.NoError(t, err)
		require.NotContains(t, string(content), "resourceType")
	}
	require.NoError(t, os.RemoveAll(keys))
	require.Equal(t, http.StatusNotFound, request(t, http.MethodGet, m.Output[0].URL, "").status)
}
