module github.com/bulkexport/bulkexport/sink/blobsink

go 1.26.0

// Whoever depends on this module does not see this line.
replace github.com/bulkexport/bulkexport => ../..
