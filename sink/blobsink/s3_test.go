package blobsink_test

import (
	"errors"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/require"
	"gocloud.dev/blob"
	"gocloud.dev/blob/s3blob"

	"github.com/bulkexport/bulkexport/internal/s3server"
	"github.com/bulkexport/bulkexport/sink/blobsink"
)

const bucketName = "exports"

// s3Bucket is a bucket on a server of its own.
type s3Bucket struct {
	*blob.Bucket
	server *s3server.Server
	client *s3.Client
}

func startServer(t testing.TB) *s3server.Server {
	t.Helper()
	server, err := s3server.Start(t.Context())
	if errors.Is(err, s3server.ErrNotInstalled) && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Stop()) })
	return server
}

// openS3 starts a server. Middleware may be put around its client.
func openS3(t testing.TB, middleware ...func(http.RoundTripper) http.RoundTripper) s3Bucket {
	t.Helper()
	server := startServer(t)
	require.NoError(t, server.CreateBucket(bucketName))
	return connect(t, server, bucketName, middleware...)
}

func connect(
	t testing.TB, server *s3server.Server, name string, middleware ...func(http.RoundTripper) http.RoundTripper,
) s3Bucket {
	t.Helper()
	transport := http.DefaultTransport.(*http.Transport).Clone()
	t.Cleanup(transport.CloseIdleConnections)
	var tripper http.RoundTripper = transport
	for _, wrap := range middleware {
		tripper = wrap(tripper)
	}
	access, secret := server.Credentials()
	client := newClient(server.Endpoint(), keys(access, secret), &http.Client{Transport: tripper})
	bucket, err := s3blob.OpenBucket(t.Context(), client, name, nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, bucket.Close()) })
	return s3Bucket{Bucket: bucket, server: server, client: client}
}

func keys(access, secret string) aws.CredentialsProvider {
	return credentials.NewStaticCredentialsProvider(access, secret, "")
}

func newClient(endpoint string, who aws.CredentialsProvider, client s3.HTTPClient) *s3.Client {
	return s3.New(s3.Options{
		Region: s3server.Region, BaseEndpoint: aws.String(endpoint), UsePathStyle: true,
		Credentials: who, HTTPClient: client,
		Retryer: retry.NewStandard(func(o *retry.StandardOptions) {
			o.MaxAttempts, o.MaxBackoff = 10, 10*time.Millisecond
			// What versitygw says now and then when one deletes the last object of a
			// folder and another puts one there.
			o.Retryables = append(o.Retryables, retry.RetryableErrorCode{
				Codes: map[string]struct{}{"ExistingObjectIsDirectory": {}},
			})
		}),
	})
}

func (b s3Bucket) sink(t testing.TB, cfg blobsink.Config) *blobsink.Sink {
	t.Helper()
	return newSink(t, b.Bucket, cfg)
}

// uploads returns how many multipart uploads are neither completed nor aborted.
func (b s3Bucket) uploads(t testing.TB) int {
	t.Helper()
	list, err := b.client.ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: aws.String(bucketName)})
	require.NoError(t, err)
	return len(list.Uploads)
}

// objects returns all keys.
func (b s3Bucket) objects(t testing.TB) []string {
	t.Helper()
	list, err := b.client.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String(bucketName)})
	require.NoError(t, err)
	keys := []string{}
	for _, object := range list.Contents {
		keys = append(keys, *object.Key)
	}
	return keys
}

// tripper is an http.RoundTripper.
type tripper func(*http.Request) (*http.Response, error)

func (t tripper) RoundTrip(r *http.Request) (*http.Response, error) { return t(r) }
