// Package cryptsink encrypts the files of another sink, with a key for each job.
package cryptsink
