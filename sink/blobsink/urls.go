package blobsink

import (
	"cmp"
	"context"
	"net/http"
	"time"

	"gocloud.dev/blob"
)

// FileURL implements [bulkexport.SinkURLs]. Without [Config.URLLifetime], and when
// until is less than two seconds ahead, it returns no URL. It does not ask the
// storage.
func (s *Sink) FileURL(
	ctx context.Context, jobID, name string, until time.Time,
) (url string, expires time.Time, err error) {
	key, err := s.key(jobID, name)
	if err = cmp.Or(ctx.Err(), err); err != nil {
		return "", time.Time{}, wrap("sign URL of", jobID, name, err)
	}
	now := time.Now().UTC()
	lifetime := urlLifetime(s.cfg.URLLifetime, until.Sub(now))
	if lifetime == 0 {
		return "", time.Time{}, nil
	}
	if url, err = s.sign(ctx, key, lifetime); err != nil {
		return "", time.Time{}, wrap("sign URL of", jobID, name, err)
	}
	return url, now.Truncate(time.Second).Add(lifetime), nil
}

// urlLifetime is in whole seconds, as storages count. One is left for the signing,
// which may begin in the next second.
func urlLifetime(configured, left time.Duration) time.Duration {
	return max(0, min(configured, max(0, left)-time.Second).Truncate(time.Second))
}

func (s *Sink) sign(ctx context.Context, key string, lifetime time.Duration) (string, error) {
	return s.bucket.SignedURL(ctx, key, &blob.SignedURLOptions{Method: http.MethodGet, Expiry: lifetime})
}
