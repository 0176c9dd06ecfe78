package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Plain text for people, without colours.

const (
	pageWidth  = 80 // columns
	fieldStart = 20 // column of a field's value
)

// page collects headings and fields and breaks long ones between words.
type page struct{ strings.Builder }

func (p *page) line(format string, args ...any) {
	p.WriteString(strings.TrimRight(fmt.Sprintf(format, args...), " ") + "\n")
}

func (p *page) heading(text string) {
	if p.Len() > 0 {
		p.WriteByte('\n')
	}
	p.line("%s", text)
}

func (p *page) field(name, format string, args ...any) {
	p.hanging(fmt.Sprintf("  %-*s", fieldStart-2, name), fmt.Sprintf(format, args...))
}

func (p *page) bullet(text string) { p.hanging("  - ", text) }

// hanging writes text after first, later lines indented to the same column.
func (p *page) hanging(first, text string) {
	lines := wrap(text, pageWidth-len(first))
	for i, l := range lines {
		if i > 0 {
			first = strings.Repeat(" ", len(first))
		}
		p.line("%s%s", first, l)
	}
}

// wrap breaks text between words into lines of at most width bytes; longer
// words get a line of their own.
func wrap(text string, width int) []string {
	lines := []string{""}
	for _, word := range strings.Fields(text) {
		last := &lines[len(lines)-1]
		switch {
		case *last == "":
			*last = word
		case len(*last)+1+len(word) <= width:
			*last += " " + word
		default:
			lines = append(lines, word)
		}
	}
	return lines
}

// grouped formats n with commas: 1,234,567.
func grouped(n int64) string {
	digits := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// rounded shows a duration in three digits or so.
func rounded(d time.Duration) string {
	unit := time.Nanosecond
	for d/unit >= 1000 {
		unit *= 10
	}
	return d.Round(unit).String()
}

// exactness says "exact: N of N", or how many are missing or too many.
func exactness(counted, added int64) string {
	switch {
	case counted < added:
		return fmt.Sprintf("NOT EXACT: %s of %s, %s missing", grouped(counted), grouped(added), grouped(added-counted))
	case counted > added:
		return fmt.Sprintf("NOT EXACT: %s of %s, %s too many", grouped(counted), grouped(added), grouped(counted-added))
	}
	return fmt.Sprintf("exact: %s of %s", grouped(counted), grouped(added))
}
