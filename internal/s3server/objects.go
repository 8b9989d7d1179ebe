package s3server

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// uploads is the folder in a bucket where the server keeps unfinished uploads.
const uploads = ".sgwtmp"

// Objects returns the keys of all objects of a bucket, in order. It looks at the
// disk: no client of S3 is needed, and none is cheated.
func (s *Server) Objects(bucket string) ([]string, error) {
	return s.list(bucket, func(path string) bool { return !strings.HasPrefix(path, uploads+"/") })
}

// Uploads returns a path for each piece of an unfinished upload.
func (s *Server) Uploads(bucket string) ([]string, error) {
	return s.list(bucket, func(path string) bool { return strings.HasPrefix(path, uploads+"/") })
}

func (s *Server) list(bucket string, wanted func(path string) bool) ([]string, error) {
	root := filepath.Join(s.buckets(), bucket)
	var found []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case path != root && errors.Is(err, os.ErrNotExist):
			return nil // it was removed meanwhile
		case err != nil || !entry.Type().IsRegular():
			return err
		}
		path, err = filepath.Rel(root, path)
		if path = filepath.ToSlash(path); wanted(path) {
			found = append(found, path)
		}
		return err
	})
	slices.Sort(found)
	return found, err
}
