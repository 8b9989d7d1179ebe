module github.com/bulkexport/bulkexport/runner/riverrunner

go 1.26

// Whoever depends on this module does not see this line.
replace github.com/bulkexport/bulkexport => ../..
