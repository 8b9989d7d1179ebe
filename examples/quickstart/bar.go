package main

import (
	"os"
	"strings"
)

// bar is a progress bar on a terminal; elsewhere it is silent.
type bar struct {
	out      printer
	terminal bool
}

const barWidth = 30

func (b bar) draw(fraction float64, text string) {
	if !b.terminal {
		return
	}
	full := min(max(int(fraction*barWidth), 0), barWidth)
	b.out.printf("\r   [%s%s] %3.0f %%  %s\x1b[K",
		strings.Repeat("#", full), strings.Repeat(".", barWidth-full), 100*fraction, text)
}

// end wipes the bar away.
func (b bar) end() {
	if b.terminal {
		b.out.printf("\r\x1b[K")
	}
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
