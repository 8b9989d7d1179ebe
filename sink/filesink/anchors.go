package filesink

import (
	"io/fs"
	"os"
	"sync"
)

// maxAnchors bounds what is remembered. To forget one costs a sync.
const maxAnchors = 1000

// anchors remember which jobs' folders survive a crash of the machine, because
// the directory that they are in was synced while they were. Folders come and go,
// also through other processes, and the next one of a job may have the number of
// the last; so a folder is known by a file in it that was committed here. It is
// safe for concurrent use.
type anchors struct {
	mu    sync.Mutex
	files map[string]fs.FileInfo // by job, whole as they were committed
}

// holds reports whether the job's folder is known to be durable.
func (a *anchors) holds(jobID string, folder *os.Root) bool {
	a.mu.Lock()
	known := a.files[jobID]
	a.mu.Unlock()
	if known == nil {
		return false
	}
	found, err := folder.Lstat(known.Name())
	return err == nil && os.SameFile(found, known) &&
		found.Size() == known.Size() && found.ModTime().Equal(known.ModTime())
}

// add notes that the folder is durable, with a file that was committed to it.
// Where that has gone already, nothing is noted.
func (a *anchors) add(jobID string, folder *os.Root, name string) {
	info, err := folder.Lstat(name)
	if err != nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.files == nil || len(a.files) >= maxAnchors {
		a.files = map[string]fs.FileInfo{}
	}
	a.files[jobID] = info
}
