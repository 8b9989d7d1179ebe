package smart

import (
	"crypto/sha256"
	"sync"
	"time"

	"github.com/bulkexport/bulkexport"
)

type tokenSum = [sha256.Size]byte

// sumOf hashes a token; one of usual length without allocating.
func sumOf(token string) tokenSum { return sha256.Sum256(append(make([]byte, 0, 1024), token...)) }

// tokenCache remembers what verified tokens allow, by their hashes, in two
// generations: when the younger one is full or old it becomes the older one, whose
// entries are forgotten. So there is nothing to search and nothing to run.
type tokenCache struct {
	size int           // of a generation
	age  time.Duration // of an entry, at most

	mu           sync.Mutex
	young, older map[tokenSum]cachedAccess
	turn         time.Time // when the generations move on
}

type cachedAccess struct {
	access bulkexport.Access
	until  time.Time
}

const defaultCacheSize = 10_000

func newTokenCache(size int, age time.Duration) *tokenCache {
	if size <= 0 {
		size = defaultCacheSize
	}
	return &tokenCache{size: max(size/2, 1), age: age}
}

// get finds what is not over yet.
func (c *tokenCache) get(sum tokenSum, now time.Time) (bulkexport.Access, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	entry, ok := c.young[sum]
	if !ok {
		entry, ok = c.older[sum]
	}
	if !ok || !now.Before(entry.until) {
		return bulkexport.Access{}, false
	}
	return withOwnTypes(entry.access), true
}

// put remembers until the token expires, which it may not do, or is of age.
func (c *tokenCache) put(sum tokenSum, access bulkexport.Access, expires, now time.Time) {
	until := now.Add(c.age)
	if !expires.IsZero() && expires.Before(until) {
		until = expires
	}
	if !now.Before(until) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.young == nil || len(c.young) >= c.size || !now.Before(c.turn) {
		c.young, c.older = map[tokenSum]cachedAccess{}, c.young
		c.turn = now.Add(c.age)
	}
	c.young[sum] = cachedAccess{access, until}
}
