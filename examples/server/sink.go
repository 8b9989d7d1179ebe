package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"

	"gocloud.dev/blob"
	_ "gocloud.dev/blob/s3blob" // s3://

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/sink/blobsink"
	"github.com/bulkexport/bulkexport/sink/cryptsink"
	"github.com/bulkexport/bulkexport/sink/filesink"
)

// openSink returns what keeps the files, encrypted if there is a folder for keys, and a
// function that closes it.
func openSink(ctx context.Context, opts options) (bulkexport.OutputSink, func() error, error) {
	sink, closeSink, err := openPlainSink(ctx, opts)
	if err != nil || opts.keyFolder == "" {
		return sink, closeSink, err
	}
	keys, err := cryptsink.NewKeyFolder(opts.keyFolder)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("-encrypt: %w", err), closeSink())
	}
	return cryptsink.New(sink, keys), func() error { return errors.Join(closeSink(), keys.Close()) }, nil
}

func openPlainSink(ctx context.Context, opts options) (bulkexport.OutputSink, func() error, error) {
	target, err := url.Parse(opts.sink)
	switch {
	case err != nil:
		return nil, nil, fmt.Errorf("-sink: %w", err)
	case target.Scheme == "file":
		return openFolder(target.Path)
	case target.Scheme == "":
		return openFolder(filepath.Join(opts.dir, "files"))
	}
	bucket, err := blob.OpenBucket(ctx, opts.sink)
	if err != nil {
		return nil, nil, fmt.Errorf("-sink: %w", err)
	}
	sink, err := blobsink.New(ctx, bucket, blobsink.Config{URLLifetime: opts.signedURLs})
	if err != nil {
		return nil, nil, errors.Join(err, bucket.Close())
	}
	return sink, bucket.Close, nil
}

func openFolder(dir string) (bulkexport.OutputSink, func() error, error) {
	sink, err := filesink.New(dir)
	if err != nil {
		return nil, nil, err
	}
	return sink, sink.Close, nil
}
