// Package job is what the runner and the guest's init process say to each
// other: the description of one run, which travels into the guest as a file in
// the initramfs, and the frames that come back over a serial port.
//
// The guest's init is built from a copy of this package outside the module, so
// the package imports the standard library only, and of it only what is small.
package job

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Places inside the guest.
const (
	Path       = "/vmtest/job"  // the encoded Job
	ProgramDir = "/vmtest/prog" // the program's folder
)

// Job describes one run of a program in the guest.
type Job struct {
	Args  []string // Args[0] is the program's path in the guest
	Env   []string // "NAME=value", complete
	Dir   string   // working directory, absolute
	Ports []string // where the data port may be, the best first: see PortName
	Merge bool     // stdout and stderr are one stream, in the order written
	Files []string // files or folders whose contents come back after the run

	// Modules are kernel modules in the guest to load before the data port is
	// looked for, in this order.
	Modules []string
}

// PortName is the virtio port's name. An element of Job.Ports is either this
// name, for the virtio port that has it, or the path of a serial device.
const PortName = "vmtest"

// header names the format; a guest built from other sources refuses the job
// instead of running half of it.
const header = "vmtest job 1"

// Encode returns j as text: a header, then one "key value" line for each
// field element, the value quoted as a Go string, so that any byte survives.
func (j *Job) Encode() []byte {
	var b bytes.Buffer
	line := func(key, value string) {
		b.WriteString(key)
		b.WriteByte(' ')
		b.WriteString(strconv.Quote(value))
		b.WriteByte('\n')
	}
	b.WriteString(header + "\n")
	for _, s := range j.Args {
		line("arg", s)
	}
	for _, s := range j.Env {
		line("env", s)
	}
	line("dir", j.Dir)
	for _, s := range j.Ports {
		line("port", s)
	}
	for _, s := range j.Modules {
		line("module", s)
	}
	if j.Merge {
		line("merge", "yes")
	}
	for _, s := range j.Files {
		line("file", s)
	}
	return b.Bytes()
}

// Decode reads what Encode wrote. It refuses unknown keys, and a job without
// a program, a directory or a data port.
func Decode(text []byte) (*Job, error) {
	rest, ok := strings.CutPrefix(string(text), header+"\n")
	if !ok {
		return nil, fmt.Errorf("job does not begin with %q", header)
	}
	j := new(Job)
	for n := 2; rest != ""; n++ {
		var l string
		l, rest, ok = strings.Cut(rest, "\n")
		if !ok {
			return nil, fmt.Errorf("job line %d is cut off", n)
		}
		key, quoted, _ := strings.Cut(l, " ")
		value, err := strconv.Unquote(quoted)
		if err != nil {
			return nil, fmt.Errorf("job line %d: %q is not a quoted value", n, quoted)
		}
		switch key {
		case "arg":
			j.Args = append(j.Args, value)
		case "env":
			j.Env = append(j.Env, value)
		case "dir":
			j.Dir = value
		case "port":
			j.Ports = append(j.Ports, value)
		case "module":
			j.Modules = append(j.Modules, value)
		case "merge":
			j.Merge = true
		case "file":
			j.Files = append(j.Files, value)
		default:
			return nil, fmt.Errorf("job line %d: unknown key %q", n, key)
		}
	}
	if len(j.Args) == 0 || j.Dir == "" || len(j.Ports) == 0 {
		return nil, errors.New("job lacks a program, a directory or a data port")
	}
	return j, nil
}
