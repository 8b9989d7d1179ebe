package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// ticks is how many units of processor time in /proc are a second, on every Linux.
const ticks = 100

// stat is what /proc says of a process.
type stat struct {
	pid, parent int
	// own is the processor time of the process in seconds, with what of its children
	// that have ended it has waited for.
	own float64
}

func readStat(pid int) (stat, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return stat{}, err
	}
	return parseStat(pid, string(text))
}

// parseStat reads the fields after the name, which may have blanks.
func parseStat(pid int, text string) (stat, error) {
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(fields) < 15 {
		return stat{}, errors.New("malformed /proc/…/stat")
	}
	s := stat{pid: pid}
	var err error
	s.parent, err = strconv.Atoi(fields[1])
	for _, field := range fields[11:15] { // user and system time, its own and of its children
		n, errField := strconv.ParseInt(field, 10, 64)
		err = errors.Join(err, errField)
		s.own += float64(n) / ticks
	}
	return s, err
}

// processorTime returns that of a process and all its children in seconds.
func processorTime(pid int) (float64, error) {
	s, err := readStat(pid)
	if err != nil {
		return 0, err
	}
	sum := s.own
	names, err := filepath.Glob("/proc/[0-9]*")
	for _, name := range names {
		child, errPid := strconv.Atoi(filepath.Base(name))
		if errPid != nil || child == pid {
			continue
		}
		if s, err := readStat(child); err == nil && s.parent == pid { // it may have ended
			sum += s.own
		}
	}
	return sum, err
}

// peakMemory returns the largest resident size of a process in bytes.
func peakMemory(pid int) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.ParseFloat(strings.Fields(value)[0], 64)
			return kib * 1024, err
		}
	}
	return 0, errors.New("no VmHWM in /proc/…/status")
}
