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

// draw shows a text, after a bar if the fraction is known: not negative.
func (b bar) draw(fraction float64, text string) {
	if !b.terminal {
		return
	}
	b.out.printf("\r   ")
	if fraction >= 0 {
		full := min(int(fraction*barWidth), barWidth)
		b.out.printf("[%s%s] ", strings.Repeat("#", full), strings.Repeat(".", barWidth-full))
	}
	b.out.printf("%s\x1b[K", printable(text))
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
