package authserver_test

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/httpadapter"
	"github.com/bulkexport/bulkexport/sink/memsink"
	"github.com/bulkexport/bulkexport/smart"
	"github.com/bulkexport/bulkexport/smart/authserver"
	"github.com/bulkexport/bulkexport/source/memsource"
	"github.com/bulkexport/bulkexport/store/memstore"
)

// mountBoth puts an authorization server and exports on one mux.
func mountBoth(mux *http.ServeMux, exporter *bulkexport.Exporter, clients []authserver.Client, base string) error {
	server, err := authserver.New(authserver.Config{BaseURL: base, Clients: clients, Limiter: exporter.Limiter()})
	if err != nil {
		return err
	}
	authorizer, err := smart.New(smart.Config{Issuers: []smart.Issuer{server.Issuer()}})
	if err != nil {
		return err
	}
	exports, err := httpadapter.New(exporter, httpadapter.Config{BaseURL: base, Authorize: authorizer.Authorize})
	if err != nil {
		return err
	}
	for _, pattern := range server.Patterns() {
		mux.Handle(pattern, server)
	}
	for _, pattern := range exports.Patterns() {
		mux.Handle(pattern, exports)
	}
	return nil
}

// A host without an authorization server of its own gets one beside its exports.
func Example() {
	clients, err := authserver.ReadClients(strings.NewReader(`{
		"client_id": "nightly", "tenant": "north", "scope": "system/*.rs",
		"jwks_uri": "https://client.example.org/jwks.json"
	}`)) // or a file
	if err != nil {
		log.Fatal(err)
	}
	exporter, err := bulkexport.New(bulkexport.Config{
		Source: memsource.New(memsource.Config{}), Store: memstore.New(), Sink: memsink.New(),
	})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	if err := mountBoth(mux, exporter, clients, "https://fhir.example.org"); err != nil {
		log.Fatal(err)
	}
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/fhir/$export", http.NoBody))
	fmt.Println("without a token:", w.Code)
	// Output: without a token: 401
}

// The registration of clients says all that is wrong with it.
func ExampleReadClients() {
	_, err := authserver.ReadClients(strings.NewReader(`[
		{"client_id": "nightly", "scope": "user/*.rs", "jwks_uri": "http://client.example.org/jwks.json"},
		{"client_id": "nightly", "scope": "system/*.rs", "jwks_uri": "https://client.example.org/jwks.json"}
	]`))
	fmt.Println(err)
	// Output:
	// authserver: client 1 ("nightly"): scope has nothing that can be granted
	// authserver: client 1 ("nightly"): jwks_uri is wrong: URL of key set: its scheme is "http", not https
	// authserver: client 2 ("nightly"): client_id is that of another client
}
