// Package riverrunner is a bulkexport.Runner on River (riverqueue.com), a job
// engine on PostgreSQL, for any number of nodes.
package riverrunner
