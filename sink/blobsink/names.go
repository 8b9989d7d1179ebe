package blobsink

import (
	"cmp"
	"errors"
	"regexp"
	"strings"
)

// What the contract of bulkexport.OutputSink allows.
const (
	jobIDChars = "abcdefghijklmnopqrstuvwxyz0123456789"
	maxJobID   = 64
	nameChars  = "ABCDEFGHIJKLMNOPQRSTUVWXYZ" + jobIDChars + ".-_"
	maxName    = 128
)

var (
	errJobID = errors.New("invalid job id")
	errName  = errors.New("invalid file name")
)

func checkJobID(id string) error {
	if id == "" || len(id) > maxJobID || strings.Trim(id, jobIDChars) != "" {
		return errJobID
	}
	return nil
}

func checkName(name string) error {
	if name == "" || name[0] == '.' || len(name) > maxName || strings.Trim(name, nameChars) != "" {
		return errName
	}
	return nil
}

// jobPrefix begins the keys of the job's files, and no other.
func (s *Sink) jobPrefix(jobID string) string { return s.cfg.Prefix + jobID + "/" }

func (s *Sink) key(jobID, name string) (string, error) {
	if err := cmp.Or(checkJobID(jobID), checkName(name)); err != nil {
		return "", err
	}
	return s.jobPrefix(jobID) + name, nil
}

// unfinished are the names that fileblob gives to files in the making. It lists
// them as objects.
var unfinished = regexp.MustCompile(`^(.+)\.[0-9a-f]{16}\.tmp$`)

// finalName returns the name that an object has, or is to have.
func finalName(name string) (final string, committed bool) {
	if found := unfinished.FindStringSubmatch(name); found != nil {
		return found[1], false
	}
	return name, true
}
