package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
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
