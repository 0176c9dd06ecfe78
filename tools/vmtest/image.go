//go:build linux

package main

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/cavaliergopher/cpio"
)

// An image is the guest's root file system in the making: a cpio archive in
// the kernel's "newc" format, uncompressed, because under emulation unpacking
// costs more than copying.
type image struct {
	buf  bytes.Buffer
	w    *cpio.Writer
	dirs map[string]bool
}

func newImage() *image {
	m := &image{dirs: map[string]bool{"/": true}}
	m.w = cpio.NewWriter(&m.buf)
	return m
}

// mkdir adds the guest folder name and those above it, once each: the kernel
// takes the archive in order and does not make missing folders.
func (m *image) mkdir(name string) error {
	name = path.Clean("/" + name)
	if m.dirs[name] {
		return nil
	}
	if err := m.mkdir(path.Dir(name)); err != nil {
		return err
	}
	m.dirs[name] = true
	return m.w.WriteHeader(&cpio.Header{Name: name[1:], Mode: cpio.TypeDir | 0o755, Links: 2})
}

// file adds a regular file.
func (m *image) file(name string, perm fs.FileMode, data []byte) error {
	return m.entry(name, cpio.TypeReg|cpio.FileMode(perm.Perm()), data)
}

// entry adds anything that has contents; a symbolic link's are its target.
func (m *image) entry(name string, mode cpio.FileMode, data []byte) error {
	name = path.Clean("/" + name)
	if err := m.mkdir(path.Dir(name)); err != nil {
		return err
	}
	h := &cpio.Header{Name: name[1:], Mode: mode, Links: 1, Size: int64(len(data))}
	if err := m.w.WriteHeader(h); err != nil {
		return err
	}
	_, err := m.w.Write(data)
	return err
}

// hostFile adds a copy of the host's file or, with all that is below it, folder.
func (m *image) hostFile(host, guest string) error {
	return filepath.WalkDir(host, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(host, p)
		if err != nil {
			return err
		}
		name := path.Join("/", guest, filepath.ToSlash(rel))
		t := d.Type()
		if p == host && t&fs.ModeSymlink != 0 {
			// The thing asked for, not the link the user has it behind.
			info, err := os.Stat(p)
			if err != nil {
				return err
			}
			if info.IsDir() {
				real, err := filepath.EvalSymlinks(p)
				if err != nil {
					return err
				}
				return m.hostFile(real, guest)
			}
			t = info.Mode().Type()
		}
		switch {
		case t.IsDir():
			return m.mkdir(name)
		case t&fs.ModeSymlink != 0:
			target, err := os.Readlink(p)
			if err != nil {
				return err
			}
			return m.entry(name, cpio.TypeSymlink|0o777, []byte(target))
		case t.IsRegular():
			info, err := os.Stat(p)
			if err != nil {
				return err
			}
			data, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			return m.file(name, info.Mode(), data)
		}
		return nil // sockets, pipes and devices mean nothing in the guest
	})
}

// bytes ends the archive and returns it.
func (m *image) bytes() ([]byte, error) {
	if err := m.w.Close(); err != nil {
		return nil, err
	}
	return m.buf.Bytes(), nil
}

// A program is what the runner has to know of the program it is to run.
type program struct {
	Path   string
	Arch   string // as GOARCH names it
	Loader string // the dynamic loader it asks for; empty for a static one
}

// inspect reads the program's ELF header.
func inspect(name string) (*program, error) {
	f, err := elf.Open(name)
	if err != nil {
		var format *elf.FormatError
		if errors.As(err, &format) || errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("%s is not an ELF program: build it for Linux (GOOS=linux)", name)
		}
		return nil, err
	}
	defer f.Close()
	p := &program{Path: name}
	switch {
	case f.Machine == elf.EM_X86_64 && f.Class == elf.ELFCLASS64:
		p.Arch = "amd64"
	case f.Machine == elf.EM_AARCH64 && f.Data == elf.ELFDATA2LSB:
		p.Arch = "arm64"
	default:
		return nil, fmt.Errorf("%s is for %v, %v; want amd64 or arm64", name, f.Machine, f.Class)
	}
	for _, s := range f.Progs {
		if s.Type == elf.PT_INTERP && s.Filesz < 4096 {
			b, err := io.ReadAll(s.Open())
			if err != nil {
				return nil, err
			}
			p.Loader = strings.TrimRight(string(b), "\x00")
		}
	}
	return p, nil
}
