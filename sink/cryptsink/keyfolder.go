package cryptsink

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/internal/durable"
)

var (
	_ Keys         = (*KeyFolder)(nil)
	_ KeyInventory = (*KeyFolder)(nil)
)

// No job id begins with a dot, so these names are free.
const (
	writingPrefix = ".writing-"
	erasingPrefix = ".erasing-"
)

const (
	// maxTries bounds what is repeated because somebody else was a moment faster.
	maxTries = 100
	// maxDurable bounds what is remembered. To forget a key costs a sync.
	maxDurable = 1000
)

var errJobID = errors.New("invalid job id")

// KeyFolder is [Keys] in a directory, one file for each job, for any number of
// processes. Files can be read by their owner only, and are synced before they count.
// The file system must have hard links, as local ones and NFS do.
//
// DeleteKey overwrites a file before it removes it. Flash storage, file systems that
// copy on write, and snapshots may keep the old bytes nevertheless: on these, put the
// directory on an encrypted volume, or implement [Keys] with a key service.
type KeyFolder struct {
	root *os.Root

	mu      sync.Mutex
	durable map[string][sha256.Size]byte // hashes of keys that survive a crash, by job
}

// NewKeyFolder returns keys in dir, which it makes if it is missing, with its parents.
// It must not be in the directory of the files. What crashes have left there is
// removed. The directory stays open until Close.
func NewKeyFolder(dir string) (*KeyFolder, error) {
	if err := durable.MakeDir(dir); err != nil {
		return nil, fmt.Errorf("cryptsink: make directory for keys: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("cryptsink: open directory of keys: %w", err)
	}
	k := &KeyFolder{root: root, durable: map[string][sha256.Size]byte{}}
	// A process that is just writing one begins again.
	if err := errors.Join(k.removeAll(writingPrefix, k.root.Remove), k.eraseAll()); err != nil {
		return nil, fmt.Errorf("cryptsink: tidy up directory of keys: %w", errors.Join(err, root.Close()))
	}
	return k, nil
}

// Close lets go of the directory. The keys are of no use afterwards.
func (k *KeyFolder) Close() error {
	if err := k.root.Close(); err != nil {
		return fmt.Errorf("cryptsink: close directory of keys: %w", err)
	}
	return nil
}

// Key implements [Keys].
func (k *KeyFolder) Key(ctx context.Context, jobID string) (Key, error) {
	key, err := k.read(ctx, jobID)
	if errors.Is(err, fs.ErrNotExist) {
		err = ErrKeyNotFound
	}
	return key, wrapKey("read", jobID, err)
}

func (k *KeyFolder) read(ctx context.Context, jobID string) (Key, error) {
	if err := cmp.Or(ctx.Err(), checkJobID(jobID)); err != nil {
		return Key{}, err
	}
	var key Key
	var err error
	for range maxTries {
		var content []byte
		if content, err = k.root.ReadFile(jobID); err != nil {
			break
		}
		// It may have been erased under our hands, and then the next try does not find it.
		if key, err = decodeKey(content); err == nil {
			break
		}
	}
	return key, err
}

// CreateKey implements [Keys].
func (k *KeyFolder) CreateKey(ctx context.Context, jobID string) (Key, error) {
	key, err := k.create(ctx, jobID)
	return key, wrapKey("create", jobID, err)
}

func (k *KeyFolder) create(ctx context.Context, jobID string) (Key, error) {
	var key Key
	var err error
	for range maxTries {
		if key, err = k.read(ctx, jobID); errors.Is(err, fs.ErrNotExist) {
			key, err = k.write(jobID)
		}
		// Somebody else has made one, or has removed what we were writing.
		if !errors.Is(err, fs.ErrExist) && !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	if err == nil {
		err = k.settle(jobID, key)
	}
	if err != nil {
		return Key{}, err
	}
	return key, nil
}

// write makes a key under its name at once: a file that is there is whole.
func (k *KeyFolder) write(jobID string) (Key, error) {
	key, temp := newKey(), writingPrefix+rand.Text()
	file, err := k.root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return Key{}, err
	}
	_, err = file.Write(encodeKey(key))
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = k.root.Link(temp, jobID)
	}
	if gone := k.root.Remove(temp); !errors.Is(gone, fs.ErrNotExist) {
		err = errors.Join(err, gone)
	}
	return key, err
}

// settle makes the name of a key durable, unless this is known to be so. The one who
// made it may not have come to it yet.
func (k *KeyFolder) settle(jobID string, key Key) error {
	sum := sha256.Sum256(key[:])
	k.mu.Lock()
	known := k.durable[jobID] == sum
	k.mu.Unlock()
	if known {
		return nil
	}
	if err := durable.SyncAndClose(k.root.Open(".")); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.durable) >= maxDurable {
		clear(k.durable)
	}
	k.durable[jobID] = sum
	return nil
}

// DeleteKey implements [Keys].
func (k *KeyFolder) DeleteKey(ctx context.Context, jobID string) error {
	err := cmp.Or(ctx.Err(), checkJobID(jobID))
	if err == nil {
		err = k.delete(jobID)
	}
	return wrapKey("delete", jobID, err)
}

func (k *KeyFolder) delete(jobID string) error {
	k.mu.Lock()
	delete(k.durable, jobID)
	k.mu.Unlock()
	err := k.root.Rename(jobID, erasingPrefix+rand.Text())
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, k.eraseAll(), durable.SyncAndClose(k.root.Open(".")))
}

// Jobs implements [KeyInventory].
func (k *KeyFolder) Jobs(ctx context.Context, before time.Time) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		entries, err := fs.ReadDir(k.root.FS(), ".")
		for _, e := range entries {
			if err = ctx.Err(); err != nil {
				break
			}
			if checkJobID(e.Name()) == nil && madeBefore(e, before) && !yield(e.Name(), nil) {
				return
			}
		}
		if err != nil {
			yield("", err)
		}
	}
}

// madeBefore is false for what has gone meanwhile.
func madeBefore(e fs.DirEntry, before time.Time) bool {
	info, err := e.Info()
	return err == nil && info.Mode().IsRegular() && info.ModTime().Before(before)
}

func (k *KeyFolder) eraseAll() error { return k.removeAll(erasingPrefix, k.erase) }

func (k *KeyFolder) removeAll(prefix string, remove func(name string) error) error {
	entries, err := fs.ReadDir(k.root.FS(), ".")
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), prefix) {
			continue
		}
		if gone := remove(e.Name()); !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
	}
	return err
}

// erase overwrites a key that has no name any more but this. What is no file is only
// removed: a link could lead to any other.
func (k *KeyFolder) erase(name string) error {
	if info, err := k.root.Lstat(name); err != nil || !info.Mode().IsRegular() {
		return errors.Join(err, k.root.Remove(name))
	}
	file, err := k.root.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = file.Write(make([]byte, encodedSize))
	return errors.Join(err, file.Sync(), file.Close(), k.root.Remove(name))
}

func checkJobID(id string) error {
	if id == "" || strings.Trim(id, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
		return errJobID
	}
	return nil
}

// wrapKey says what failed, and whether it may help to try again.
func wrapKey(op, jobID string, err error) error {
	var class error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		class = bulkexport.ErrStorageFull
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS), errors.Is(err, errKeyFile):
		class = bulkexport.ErrPermanent
	default:
		return fmt.Errorf("%s key of job %q: %w", op, jobID, err)
	}
	return fmt.Errorf("%s key of job %q: %w: %w", op, jobID, class, err)
}
