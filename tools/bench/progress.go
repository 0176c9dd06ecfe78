package main

import (
	"fmt"
	"io"
	"os"
	"time"
)

// progress tells a person who waits what is going on.
type progress interface {
	begin(what string, duration time.Duration) // 0: unknown
	step()                                     // still going on
	end()
}

// silent is the progress of a child.
type silent struct{}

func (silent) begin(string, time.Duration) {}
func (silent) step()                       {}
func (silent) end()                        {}

// lines writes to w: over and over the same line on a terminal, elsewhere a
// line when something begins and every ten seconds. It writes between slices
// (step) and so does not disturb any.
type lines struct {
	w        io.Writer
	terminal bool

	what string
	over time.Time
	next time.Time // of the next line
}

func newProgress(w io.Writer) progress {
	l := &lines{w: w}
	if file, ok := w.(*os.File); ok {
		if info, err := file.Stat(); err == nil {
			l.terminal = info.Mode()&os.ModeCharDevice != 0
		}
	}
	return l
}

func (l *lines) begin(what string, duration time.Duration) {
	l.what, l.over, l.next = what, time.Time{}, time.Time{}
	if duration > 0 {
		l.over = time.Now().Add(duration)
	}
	l.write()
}

func (l *lines) step() {
	l.write()
}

func (l *lines) end() {
	if l.terminal {
		fmt.Fprint(l.w, "\r\x1b[K")
	}
}

func (l *lines) write() {
	now := time.Now()
	if now.Before(l.next) {
		return
	}
	text := "bench: " + l.what
	if !l.over.IsZero() {
		text += fmt.Sprintf(", %v left", max(0, l.over.Sub(now)).Round(time.Second))
	}
	if l.terminal {
		l.next = now.Add(250 * time.Millisecond)
		fmt.Fprintf(l.w, "\r\x1b[K%s", text)
		return
	}
	l.next = now.Add(10 * time.Second)
	fmt.Fprintln(l.w, text)
}
