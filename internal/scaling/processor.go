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
	for _, child := range children(pid) {
		sum += child.own
	}
	return sum, nil
}

// children returns those that a process has at the moment.
func children(pid int) []stat {
	names, _ := filepath.Glob("/proc/[0-9]*")
	var found []stat
	for _, name := range names {
		child, errPid := strconv.Atoi(filepath.Base(name))
		if errPid != nil || child == pid {
			continue
		}
		if s, err := readStat(child); err == nil && s.parent == pid { // it may have ended
			found = append(found, s)
		}
	}
	return found
}

// queued is how long threads have run, and how long they were able to but waited for
// a processor, in seconds.
type queued struct{ ran, waited float64 }

// queuedOf adds up those threads of a process that are there.
func queuedOf(pid int) (sum queued) {
	names, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	for _, name := range names {
		text, err := os.ReadFile(name)
		fields := strings.Fields(string(text))
		if err != nil || len(fields) < 2 {
			continue // it has ended
		}
		ran, _ := strconv.ParseFloat(fields[0], 64)
		waited, _ := strconv.ParseFloat(fields[1], 64)
		sum.ran += ran / 1e9
		sum.waited += waited / 1e9
	}
	return sum
}

func (q queued) plus(more queued) queued { return queued{q.ran + more.ran, q.waited + more.waited} }

// stretch returns how many times longer than alone it took what has run since.
func (q queued) stretch(before queued) float64 {
	ran, waited := q.ran-before.ran, q.waited-before.waited
	if ran <= 0 || waited < 0 {
		return 1
	}
	return (ran + waited) / ran
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
