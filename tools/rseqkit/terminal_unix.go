//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// terminalSize returns the size of the terminal that file is, in characters,
// or false if it is none that can redraw.
func terminalSize(file *os.File) (columns, rows int, ok bool) {
	size, err := unix.IoctlGetWinsize(int(file.Fd()), unix.TIOCGWINSZ)
	if err != nil || os.Getenv("TERM") == "dumb" {
		return 0, 0, false
	}
	if size.Col == 0 || size.Row == 0 { // a terminal that was not told
		return 80, 24, true
	}
	return int(size.Col), int(size.Row), true
}
