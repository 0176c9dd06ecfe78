//go:build linux

package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestKernelTable(t *testing.T) {
	packages := []string{
		"linux-image-6.1.0-50-cloud-amd64", "linux-image-6.12.107+deb13-cloud-amd64", "linux-binary-7.3.4+deb13-cloud-amd64",
		// What must match nothing:
		"linux-image-6.1.0-50-cloud-amd64-dbg", "linux-image-6.1.0-50-cloud-amd64-unsigned", "linux-image-6.1.0-50-rt-amd64",
		"linux-image-6.12.107+deb13-amd64", "linux-image-cloud-amd64", "linux-binary-unsigned-7.3.4+deb13-cloud-amd64",
		"linux-image-7.3.4+deb13-cloud-amd64", "linux-binary-7.30.1+deb13-cloud-amd64", "linux-image-6.1.0-50-cloud-arm64",
	}
	seen := map[string]bool{}
	for i, k := range kernels {
		if seen[k.Series] {
			t.Errorf("series %s occurs twice", k.Series)
		}
		seen[k.Series] = true
		if got, err := findKernel(k.Series); err != nil || got.Suite != k.Suite {
			t.Errorf("findKernel(%s) = %+v, %v", k.Series, got, err)
		}
		for j, p := range packages {
			if got, want := k.pattern("amd64").MatchString(p), i == j; got != want {
				t.Errorf("series %s matches %s: %v, want %v", k.Series, p, got, want)
			}
		}
	}
	for _, bad := range []string{"", "6", "6.13", "bookworm"} {
		if _, err := findKernel(bad); err == nil || !strings.Contains(err.Error(), "6.12") {
			t.Errorf("findKernel(%q): %v, want an error that lists the known series", bad, err)
		}
	}
}

func tarOf(t *testing.T, files map[string]string) *bytes.Buffer {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for name, data := range files {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(data)), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(data)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &b
}

func TestExtractKernel(t *testing.T) {
	row := kernelRow{Image: "boot/vmlinuz-*", Modules: []string{"lib/modules/*/kernel/a.ko"}}
	files := map[string]string{
		"./boot/vmlinuz-1.2":            "image",
		"./boot/config-1.2":             "config",
		"./lib/modules/1.2/kernel/a.ko": "module",
	}
	dir := t.TempDir()
	if err := extractKernel(dir, row, tarOf(t, files)); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{imageFile: "image", "a.ko": "module"} {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != want {
			t.Errorf("%s holds %q, %v, want %q", name, got, err, want)
		}
	}
	if left, _ := os.ReadDir(dir); len(left) != 2 {
		t.Errorf("%d files came out, want 2", len(left))
	}
	whole := tarOf(t, files).Bytes()
	if err := extractKernel(t.TempDir(), row, bytes.NewReader(whole[:700])); err == nil {
		t.Error("a package that is cut off was accepted")
	}
	delete(files, "./lib/modules/1.2/kernel/a.ko")
	if err := extractKernel(t.TempDir(), row, tarOf(t, files)); err == nil || !strings.Contains(err.Error(), "a.ko") {
		t.Errorf("without the module: %v, want an error that names it", err)
	}
}

// bzImage builds the least that is one, around payload.
func bzImage(payload []byte) []byte {
	const setup = 3
	b := make([]byte, (setup+1)*512+16)
	b[0x1f1] = setup
	copy(b[0x202:], "HdrS")
	binary.LittleEndian.PutUint16(b[0x206:], 0x20f)
	binary.LittleEndian.PutUint32(b[0x248:], 16)
	binary.LittleEndian.PutUint32(b[0x24c:], uint32(len(payload)+4))
	return append(append(b, payload...), "size"...)
}

func TestUnpackImage(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	compress := func(b []byte) []byte {
		var z bytes.Buffer
		w := gzip.NewWriter(&z)
		w.Write(b)
		w.Close()
		return z.Bytes()
	}
	dir := t.TempDir()
	src, dst := filepath.Join(dir, "src"), filepath.Join(dir, "dst")
	unpack := func(image []byte) ([]byte, error) {
		os.Remove(dst)
		if err := os.WriteFile(src, image, 0o644); err != nil {
			t.Fatal(err)
		}
		err := unpackImage(src, dst)
		got, _ := os.ReadFile(dst)
		return got, err
	}
	if p, err := inspect(self); err == nil && p.Arch == "amd64" {
		if got, err := unpack(bzImage(compress(program))); err != nil || !bytes.Equal(got, program) {
			t.Errorf("unpacked %d bytes, %v, want %d", len(got), err, len(program))
		}
	}
	for name, image := range map[string][]byte{
		"not a kernel inside": bzImage(compress([]byte("text"))),
		"unknown compression": bzImage([]byte("plain bytes")),
		"damaged":             bzImage(compress(program)[:1000]),
	} {
		if got, err := unpack(image); err == nil || got != nil {
			t.Errorf("%s: %d bytes, %v, want an error", name, len(got), err)
		}
	}
	cut := bzImage([]byte("payload"))
	for name, image := range map[string][]byte{"another kind": make([]byte, 4096), "short": []byte("x"), "cut": cut[:len(cut)-5]} {
		if got, err := unpack(image); err != nil || got != nil {
			t.Errorf("%s: %d bytes, %v, want neither", name, len(got), err)
		}
	}
}

func TestLocateKernelByPath(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "vmlinuz")
	if _, err := locateKernel(dir, file, "", "arm64"); err == nil {
		t.Error("a missing image was accepted")
	}
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if k, err := locateKernel(dir, file, "", "arm64"); err != nil || k.Path != file || k.Known {
		t.Errorf("locateKernel = %+v, %v", k, err)
	}
	if _, err := locateKernel(dir, dir+"/", "", "arm64"); err == nil {
		t.Error("a folder was accepted")
	}
}
