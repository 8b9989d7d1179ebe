package filesink

import (
	"crypto/rand"
	"errors"
	"strings"
)

// No job id and no file name begins with a dot, so these names are free.
const (
	trashPrefix = ".deleted-"
	tempPrefix  = ".writing-"
)

// randomLen is the length of the random text in a temporary name.
const randomLen = 26

// tempName returns a new name for a file in the making, in which its own can be
// read.
func tempName(name string) string { return tempPrefix + rand.Text() + "-" + name }

// finalName returns the name that a file in the making is to have.
func finalName(temp string) (name string, ok bool) {
	rest, ok := strings.CutPrefix(temp, tempPrefix)
	if !ok || len(rest) <= randomLen+1 {
		return "", false
	}
	return rest[randomLen+1:], true
}

// What the contract of bulkexport.OutputSink allows.
const (
	jobIDChars = "abcdefghijklmnopqrstuvwxyz0123456789"
	nameChars  = "ABCDEFGHIJKLMNOPQRSTUVWXYZ" + jobIDChars + ".-_"
	maxName    = 128
)

var (
	errJobID = errors.New("invalid job id")
	errName  = errors.New("invalid file name")
)

func checkJobID(id string) error {
	if id == "" || strings.Trim(id, jobIDChars) != "" {
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
