//go:build !linux

package main

import (
	"errors"
	"runtime"
)

func run(denials, []string) error {
	return errors.New("seccomp filters exist on linux only; this is " + runtime.GOOS)
}
