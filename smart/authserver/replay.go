package authserver

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"time"
)

// replayTime is how long an assertion is remembered. SMART refuses its id for the
// longest time that one can be valid, also in another assertion; the rest is for
// clocks of processes that differ.
const replayTime = assertionLifetime + time.Minute

// use refuses an assertion whose id has been used by the same client. Of several at
// once, one gets through. It comes after the signature: otherwise anybody could use
// up the ids of others.
func (s *Server) use(ctx context.Context, client, id string) *refusal {
	wait, err := s.replays.Take(ctx, limiterKey("assertion", client, id), replayTime, replayTime)
	switch {
	case err != nil:
		return unavailable(fmt.Errorf("remember assertion: %w", err))
	case wait > 0:
		return notAuthenticated("The claim jti of client_assertion has been used before.")
	}
	return nil
}

// limiterKey returns a key of bounded length that says nothing of what it stands for.
func limiterKey(kind string, names ...string) string {
	hash := sha256.New()
	for _, name := range names {
		_, _ = fmt.Fprintf(hash, "%d:%s", len(name), name)
	}
	return "authserver." + kind + "." + base64.RawURLEncoding.EncodeToString(hash.Sum(nil))
}
