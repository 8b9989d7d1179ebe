package fleet

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// Objects returns the keys of all objects in the bucket, as job/file, in order.
func (f *Fleet) Objects() ([]string, error) {
	if f.S3 != nil {
		return f.S3.Objects(Bucket)
	}
	root := filepath.Join(f.cfg.Dir, "files")
	var found []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, os.ErrNotExist):
			return nil // it was removed meanwhile
		case err != nil || !entry.Type().IsRegular():
			return err
		}
		path, err = filepath.Rel(root, path)
		found = append(found, filepath.ToSlash(path))
		return err
	})
	slices.Sort(found)
	return found, err
}

// Uploads returns a path for each piece of an unfinished upload, which no listing of
// objects shows.
func (f *Fleet) Uploads() ([]string, error) {
	if f.S3 == nil {
		return nil, nil
	}
	return f.S3.Uploads(Bucket)
}
