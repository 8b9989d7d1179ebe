// Package blobsink keeps the files of exports in object storage: a bucket of
// gocloud.dev/blob.
package blobsink
