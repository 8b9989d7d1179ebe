// Package smart lets only those export who may, by SMART Backend Services: it turns
// the bearer token of a request into the caller and what its scopes allow.
//
// Tokens come from an authorization server of the host, wherever that is; package
// authserver has a small one for hosts without. JWTs are verified here, with the
// keys of their issuer; of other tokens the server is asked:
//
//	keys, err := smart.NewRemoteKeySet("https://auth.example.org/jwks", smart.RemoteConfig{})
//	...
//	authorizer, err := smart.New(smart.Config{Issuers: []smart.Issuer{{
//		URL:      "https://auth.example.org",
//		Audience: "https://fhir.example.org/fhir",
//		Keys:     keys,
//	}}})
//	...
//	handler, err := httpadapter.New(exporter, httpadapter.Config{
//		BaseURL:   "https://fhir.example.org",
//		Authorize: authorizer.Authorize,
//	})
//
// Each request is authorized by the token it has: a kick-off is narrowed to the
// types that its scopes allow, or refused if it names others; status, files and
// DELETE need a token of the same client that covers what is exported. Tokens may
// end long before an export does.
//
// It takes both read and search for a type to be exported: system/Patient.rs, or
// system/Patient.read in the older notation. Scopes with a query allow nothing,
// since exports are not filtered by them.
//
// [Configuration] is the document by which clients find the authorization server.
package smart
