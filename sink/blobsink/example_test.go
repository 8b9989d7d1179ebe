package blobsink_test

import (
	"context"
	"fmt"
	"log"

	"gocloud.dev/blob/memblob"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/sink/blobsink"
)

// In place of memblob comes s3blob, or what else the host has.
func ExampleNew() {
	ctx := context.Background()
	bucket := memblob.OpenBucket(nil)
	defer bucket.Close()
	sink, err := blobsink.New(ctx, bucket, blobsink.Config{Prefix: "exports/"})
	if err != nil {
		log.Fatal(err)
	}
	config := bulkexport.Config{Sink: sink} // and the rest

	file, err := config.Sink.Create(ctx, "job1", "Patient-0-1-1.output.ndjson")
	if err != nil {
		log.Fatal(err)
	}
	defer file.Abort()
	if _, err := file.Write([]byte("{\"resourceType\":\"Patient\"}\n")); err != nil {
		log.Fatal(err)
	}
	if err := file.Commit(); err != nil {
		log.Fatal(err)
	}
	object, err := bucket.List(nil).Next(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(object.Key, object.Size)
	// Output: exports/job1/Patient-0-1-1.output.ndjson 27
}
