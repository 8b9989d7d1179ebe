package authserver

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/bulkexport/bulkexport/smart"
)

// Client is a client that may get tokens. All but Tenant are required, and exactly
// one of JWKS and JWKSURL.
type Client struct {
	// ID is the client id: 1 to 255 bytes of printable ASCII.
	ID string
	// Tenant is the tenant whose data the client may export: up to 255 bytes of
	// printable ASCII, empty where there is but one. It is in the claim "tenant" of
	// the client's tokens.
	Tenant string
	// Scope is what the client may have at most: scopes, with a space between two.
	Scope string
	// JWKS is its JWK Set, as JSON. It needs an RSA key or one on the curve P-384, and
	// no private key may be in it.
	JWKS []byte
	// JWKSURL is the https URL of its JWK Set. It is fetched when it is needed, so
	// that the client can change its keys by itself.
	JWKSURL string
}

// registration is a client together with where its keys are.
type registration struct {
	Client
	keys smart.KeySource
}

const (
	maxRegistration = 16 << 20 // bytes of a file
	maxName         = 255      // bytes of what names a client, a key or an assertion
)

// ReadClients reads the registration of clients from JSON: an array of objects, or
// one object.
//
//	[{"client_id": "nightly", "tenant": "north", "scope": "system/*.rs",
//	  "jwks_uri": "https://client.example.org/jwks.json"},
//	 {"client_id": "research", "tenant": "south", "scope": "system/Observation.rs",
//	  "jwks": {"keys": [{"kty": "EC", "crv": "P-384", "kid": "1", "x": "…", "y": "…"}]}}]
//
// The members are those of [Client]; "tenant" may be left out. Other members, clients
// that [New] would refuse, and more than 16 MiB are errors. The error has all that is
// wrong, and names client and member.
func ReadClients(r io.Reader) ([]Client, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxRegistration+1))
	if err != nil {
		return nil, fmt.Errorf("authserver: read clients: %w", err)
	}
	if len(text) > maxRegistration {
		return nil, fmt.Errorf("authserver: clients are more than %d bytes", maxRegistration)
	}
	text = bytes.TrimSpace(text)
	objects := []json.RawMessage{text}
	if bytes.HasPrefix(text, []byte("[")) {
		if err := json.Unmarshal(text, &objects); err != nil {
			return nil, fmt.Errorf("authserver: clients are not JSON: %w", err)
		}
	}
	if len(objects) == 0 {
		return nil, errors.New("authserver: there is no client")
	}
	clients := make([]Client, len(objects))
	faults := make([]error, 0, len(objects)+1)
	for i, object := range objects {
		client, err := readClient(object)
		if err != nil {
			faults = append(faults, fmt.Errorf("authserver: client %d (%q): %w", i+1, client.ID, err))
		}
		clients[i] = client
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	if _, err := register(clients, smart.RemoteConfig{}); err != nil {
		return nil, err
	}
	return clients, nil
}

// readClient reads the members of one client, and returns its id also where
// something else is wrong.
func readClient(object []byte) (Client, error) {
	members, err := readObject(object)
	if err != nil {
		return Client{}, err
	}
	var client Client
	var faults []error
	for name, field := range map[string]*string{
		"client_id": &client.ID, "tenant": &client.Tenant, "scope": &client.Scope, "jwks_uri": &client.JWKSURL,
	} {
		value, ok := members[name]
		delete(members, name)
		if text, isText := asText(value); isText {
			*field = text
		} else if ok {
			faults = append(faults, fmt.Errorf("%s is not a string", name))
		}
	}
	client.JWKS = members["jwks"]
	delete(members, "jwks")
	for name := range members {
		faults = append(faults, fmt.Errorf("member %q is not known", name))
	}
	return client, errors.Join(faults...)
}

// register returns clients by their ids, or all that is wrong.
func register(clients []Client, cfg smart.RemoteConfig) (map[string]registration, error) {
	registered := map[string]registration{}
	var faults []error
	for i, client := range clients {
		fail := func(field string, rule any) {
			faults = append(faults, fmt.Errorf("authserver: client %d (%q): %s %v", i+1, client.ID, field, rule))
		}
		for field, rule := range client.rules() {
			fail(field, rule)
		}
		if _, ok := registered[client.ID]; ok {
			fail("client_id", "is that of another client")
		}
		keys, field, err := client.keys(cfg)
		if err != nil {
			fail(field, err)
		}
		registered[client.ID] = registration{client, keys}
	}
	return registered, errors.Join(faults...)
}

// rules returns the rules that names and scopes break, by field.
func (c Client) rules() map[string]string {
	broken := map[string]string{}
	if c.ID == "" || !isName(c.ID) {
		broken["client_id"] = "must be 1 to 255 characters of printable ASCII"
	}
	if !isName(c.Tenant) {
		broken["tenant"] = "must be up to 255 characters of printable ASCII"
	}
	switch {
	case strings.TrimSpace(c.Scope) == "":
		broken["scope"] = "is required"
	case !isScope(c.Scope) || smart.Grant(c.Scope, c.Scope) == "":
		broken["scope"] = "has nothing that can be granted"
	}
	return broken
}

// keys returns where the keys of a client are, or which field is wrong and why.
func (c Client) keys(cfg smart.RemoteConfig) (keys smart.KeySource, field string, err error) {
	switch {
	case c.JWKSURL != "" && c.JWKS != nil:
		return nil, "jwks", errors.New("must not be there beside jwks_uri")
	case c.JWKSURL == "" && c.JWKS == nil:
		return nil, "jwks", errors.New("or jwks_uri is required")
	case c.JWKS != nil:
		keys, err = smart.ParseKeySet(c.JWKS)
		return keys, "jwks", asRule(err)
	}
	keys, err = smart.NewRemoteKeySet(c.JWKSURL, cfg)
	return keys, "jwks_uri", asRule(err)
}

func asRule(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("is wrong: %w", err)
}

// isName reports whether something is up to 255 bytes of printable ASCII.
func isName(s string) bool {
	return len(s) <= maxName && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}
