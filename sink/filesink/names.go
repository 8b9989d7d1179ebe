package filesink

import (
	"errors"
	"strings"
)

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
