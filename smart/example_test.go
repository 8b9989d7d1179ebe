package smart_test

import (
	"fmt"
	"log"
	"net/http"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/httpadapter"
	"github.com/bulkexport/bulkexport/sink/memsink"
	"github.com/bulkexport/bulkexport/smart"
	"github.com/bulkexport/bulkexport/source/memsource"
	"github.com/bulkexport/bulkexport/store/memstore"
)

// protect mounts an export for clients whose tokens come from an authorization
// server elsewhere, and the document that tells them so.
func protect(mux *http.ServeMux, exporter *bulkexport.Exporter) error {
	const base, issuer = "https://fhir.example.org", "https://auth.example.org"
	keys, err := smart.NewRemoteKeySet(issuer+"/jwks", smart.RemoteConfig{})
	if err != nil {
		return err
	}
	authorizer, err := smart.New(smart.Config{
		Issuers: []smart.Issuer{{URL: issuer, Audience: base + "/fhir", Keys: keys}},
	})
	if err != nil {
		return err
	}
	discovery, err := smart.Configuration{TokenEndpoint: issuer + "/token"}.Handler()
	if err != nil {
		return err
	}
	mux.Handle("/fhir"+smart.ConfigurationPath, discovery)
	handler, err := httpadapter.New(exporter, httpadapter.Config{BaseURL: base, Authorize: authorizer.Authorize})
	if err != nil {
		return err
	}
	for _, pattern := range handler.Patterns() {
		mux.Handle(pattern, handler)
	}
	return nil
}

func Example() {
	exporter, err := bulkexport.New(bulkexport.Config{
		Source: memsource.New(memsource.Config{}), Store: memstore.New(), Sink: memsink.New(),
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := protect(http.NewServeMux(), exporter); err != nil {
		log.Fatal(err)
	}
}

func ExampleParseScopes() {
	fmt.Println(smart.ParseScopes("system/Patient.rs system/Group.read system/Task.cud").Types())
	fmt.Println(smart.ParseScopes("system/*.read").Types() == nil)
	// Output:
	// [Group Patient]
	// true
}

func ExampleGrant() {
	fmt.Println(smart.Grant("system/*.read", "system/Patient.rs system/Group.rs"))
	// Output: system/Group.read system/Patient.read
}
