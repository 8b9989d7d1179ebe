module github.com/bulkexport/bulkexport/smart

go 1.26

require (
	github.com/MicahParks/jwkset v0.11.4
	github.com/go-jose/go-jose/v4 v4.1.9
	github.com/stretchr/testify v1.12.1
)

require (
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	golang.org/x/time v0.9.0 // indirect
)

replace github.com/bulkexport/bulkexport => ..
