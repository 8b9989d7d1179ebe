module github.com/bulkexport/bulkexport/smart

go 1.26

require github.com/bulkexport/bulkexport v0.0.0

replace github.com/bulkexport/bulkexport => ..
