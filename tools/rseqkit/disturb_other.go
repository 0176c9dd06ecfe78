//go:build !linux

package main

// moveThreads does nothing: only Linux lets a process move its threads.
func moveThreads() (stop func(), what string) { return func() {}, "" }
