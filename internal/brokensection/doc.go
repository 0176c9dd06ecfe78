// Package brokensection has critical sections that are wrong on purpose, and
// right ones beside them, each with its window widened by a delay loop: tests
// run both to show that they notice the difference. Nothing else may import
// it.
//
// The operations take the same handles as the root package's and add 1 to the
// word at the handle's place in the running CPU's region. They return false,
// with nothing done, where a section cannot run.
package brokensection
