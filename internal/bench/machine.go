package main

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// machine says what figures depend on, without names of hosts or folders.
func machine(ctx context.Context, dir string) string {
	return strings.Join([]string{
		field("/proc/cpuinfo", "model name") + ", " + strconv.Itoa(runtime.NumCPU()) + " cores, " + memory(),
		runtime.GOOS + "/" + runtime.GOARCH + ", files on " + fileSystem(dir),
		runtime.Version() + ", SQLite " + libraryVersion(ctx) + " (shell " + version(ctx, "sqlite3", 0) + ")" +
			", PostgreSQL " + version(ctx, "psql", 2),
	}, "; ")
}

// field returns a value of a file of "name : value" lines.
func field(file, name string) string {
	text, _ := os.ReadFile(file)
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return "unknown processor"
}

func memory() string {
	kib, err := strconv.Atoi(strings.TrimSuffix(field("/proc/meminfo", "MemTotal"), " kB"))
	if err != nil {
		return "unknown memory"
	}
	return strconv.Itoa((kib+1<<19)>>20) + " GiB"
}

// fileSystem returns the type of the file system that the folder is on.
func fileSystem(dir string) string {
	dir, err := filepath.Abs(dir)
	mounts, errOpen := os.Open("/proc/mounts")
	if err != nil || errOpen != nil {
		return "unknown file system"
	}
	defer mounts.Close()
	longest, kind := -1, "unknown file system"
	for lines := bufio.NewScanner(mounts); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 3 || len(fields[1]) < longest {
			continue
		}
		if inside, err := filepath.Rel(fields[1], dir); err == nil && filepath.IsLocal(inside) {
			longest, kind = len(fields[1]), fields[2]
		}
	}
	return kind
}

// libraryVersion returns the version of SQLite that exports use.
func libraryVersion(ctx context.Context) (version string) {
	db, err := openSQLite(":memory:", "")
	if err != nil {
		return "unknown"
	}
	defer closeDatabase(db, &err)
	if err := db.WithContext(ctx).Raw("SELECT sqlite_version()").Scan(&version).Error; err != nil {
		return "unknown"
	}
	return version
}

// version returns a word of what a program says of its version.
func version(ctx context.Context, program string, word int) string {
	text, err := exec.CommandContext(ctx, program, "--version").Output()
	words := strings.Fields(string(text))
	if err != nil || len(words) <= word {
		return "not installed"
	}
	return words[word]
}
