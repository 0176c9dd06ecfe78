//go:build linux

package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
)

// A kernelRow is one kernel series the runner knows how to fetch.
type kernelRow struct {
	Series string // "6.12"
	Suite  string // the Debian suite that carries it
	Prefix string // how the name of the package with the image begins
	Image  string // the image's path inside the package, as a path.Match pattern

	// Modules are the data port's drivers where they are not built in, in
	// loading order, as path.Match patterns inside the same package.
	Modules []string
}

// kernels is the one place that knows Debian's kernels. All are of the cloud
// flavour: it boots fastest, and has built in what a virtual machine needs.
var kernels = []kernelRow{
	{
		Series: "6.1", Suite: "bookworm", Prefix: "linux-image-", Image: "boot/vmlinuz-*",
		Modules: []string{
			"lib/modules/*/kernel/drivers/virtio/virtio.ko",
			"lib/modules/*/kernel/drivers/virtio/virtio_ring.ko",
			"lib/modules/*/kernel/drivers/virtio/virtio_pci_legacy_dev.ko",
			"lib/modules/*/kernel/drivers/virtio/virtio_pci_modern_dev.ko",
			"lib/modules/*/kernel/drivers/virtio/virtio_pci.ko",
			"lib/modules/*/kernel/drivers/char/virtio_console.ko",
		},
	},
	{Series: "6.12", Suite: "trixie", Prefix: "linux-image-", Image: "boot/vmlinuz-*"},
	{Series: "7.3", Suite: "trixie-backports", Prefix: "linux-binary-", Image: "usr/lib/modules/*/vmlinuz"},
}

// pattern matches the names of the series' packages: 6.1.0-50, 6.12.107+deb13;
// not their -dbg, -unsigned or -rt siblings.
func (k kernelRow) pattern(arch string) *regexp.Regexp {
	return regexp.MustCompile("^" + regexp.QuoteMeta(k.Prefix+k.Series+".") + `[0-9][0-9a-z.+~]*(-[0-9]+)?-cloud-` + arch + "$")
}

// findKernel returns the table's row of a series.
func findKernel(series string) (kernelRow, error) {
	var known []string
	for _, k := range kernels {
		if k.Series == series {
			return k, nil
		}
		known = append(known, k.Series)
	}
	return kernelRow{}, fmt.Errorf("kernel %q is neither a file (a path has a slash) nor one of the known series %s", series, strings.Join(known, ", "))
}

// A kernelImage is what QEMU and the initramfs need of a kernel.
type kernelImage struct {
	Name    string   // what to call it in messages
	Path    string   // the image
	Modules []string // the data port's modules, in loading order
	Known   bool     // it is of the table, so it has the virtio port
}

// locateKernel returns the kernel that -kernel names, fetching it if it is of
// the table and not in the cache yet.
func locateKernel(cache, name, mirror, arch string) (*kernelImage, error) {
	if strings.Contains(name, "/") {
		path, err := filepath.Abs(name)
		if err != nil {
			return nil, err
		}
		if info, err := os.Stat(path); err != nil {
			return nil, fmt.Errorf("kernel image: %w", err)
		} else if !info.Mode().IsRegular() {
			return nil, fmt.Errorf("kernel image %s is not a regular file", name)
		}
		return &kernelImage{Name: name, Path: path}, nil
	}
	row, err := findKernel(name)
	if err != nil {
		return nil, err
	}
	dir, err := cached(cache, kernelKey(row, arch), func(dir string) error {
		return fetchKernel(dir, row, mirror, arch)
	})
	if err != nil {
		return nil, fmt.Errorf("kernel %s for %s: %w", name, arch, err)
	}
	return openKernel(dir, row)
}

// kernelKey is the kernel's place in the cache. The leading word changes when
// what fetchKernel stores changes.
func kernelKey(row kernelRow, arch string) string {
	return "kernel1-" + row.Series + "-" + arch
}

// Names inside a kernel's cache folder.
const (
	imageFile  = "vmlinuz" // as packaged
	elfFile    = "vmlinux" // amd64, unpacked from it: see unpackImage
	sourceFile = "package" // the package's name and version
)

func openKernel(dir string, row kernelRow) (*kernelImage, error) {
	k := &kernelImage{Path: filepath.Join(dir, elfFile), Known: true}
	if _, err := os.Stat(k.Path); err != nil {
		k.Path = filepath.Join(dir, imageFile)
	}
	name, err := os.ReadFile(filepath.Join(dir, sourceFile))
	if err != nil {
		return nil, err
	}
	k.Name = strings.TrimSpace(string(name))
	for _, m := range row.Modules {
		k.Modules = append(k.Modules, filepath.Join(dir, path.Base(m)))
	}
	return k, nil
}

// fetchKernel fills dir with the newest kernel of the row.
func fetchKernel(dir string, row kernelRow, mirror, arch string) error {
	state := filepath.Join(dir, "apt")
	a, err := newApt(state, mirror, row.Suite, arch)
	if err != nil {
		return err
	}
	say("fetching the package list of %s for %s (once)", row.Suite, arch)
	if err := a.update(); err != nil {
		return err
	}
	name, version, err := a.newest(row.Prefix+row.Series+".", row.pattern(arch))
	if err != nil {
		return err
	}
	say("downloading %s %s (once)", name, version)
	deb, err := a.download(name, version, arch)
	if err != nil {
		return err
	}
	if err := unpackKernel(dir, row, deb); err != nil {
		return err
	}
	if err := unpackImage(filepath.Join(dir, imageFile), filepath.Join(dir, elfFile)); err != nil {
		say("%v; the kernel unpacks itself at every boot instead (about 2 s)", err)
	}
	// Lists and package are many times larger than what is needed of them.
	if err := os.RemoveAll(state); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, sourceFile), []byte(name+" "+version+"\n"), 0o644)
}

// unpackKernel writes the package's image and modules to dir.
func unpackKernel(dir string, row kernelRow, deb string) error {
	stream, finish, err := openPackage(deb)
	if err != nil {
		return err
	}
	err = extractKernel(dir, row, stream)
	return errors.Join(err, finish())
}

// extractKernel takes the files of row out of a package's tar stream. Each of
// them has to be there exactly once.
func extractKernel(dir string, row kernelRow, stream io.Reader) error {
	wanted := map[string]string{row.Image: imageFile}
	for _, m := range row.Modules {
		wanted[m] = path.Base(m)
	}
	for r := tar.NewReader(stream); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return fmt.Errorf("read the package: %w", err)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		for pattern, name := range wanted {
			// The stream's names begin with "./".
			if ok, err := path.Match(pattern, path.Clean(h.Name)); err != nil {
				return err
			} else if !ok {
				continue
			}
			if err := writeFrom(filepath.Join(dir, name), r); err != nil {
				return err
			}
			delete(wanted, pattern)
			break
		}
	}
	if len(wanted) > 0 {
		var missing []string
		for pattern := range wanted {
			missing = append(missing, pattern)
		}
		sort.Strings(missing)
		return fmt.Errorf("the package lacks %s", strings.Join(missing, ", "))
	}
	return nil
}

func writeFrom(name string, r io.Reader) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Close())
}

// unpackImage writes the ELF kernel inside an x86 bzImage to dst. QEMU boots
// that directly, through the kernel's PVH entry, without firmware and without
// the unpacking, which under emulation takes longer than the rest of an early
// boot. An image of another kind is left alone, without an error.
func unpackImage(src, dst string) error {
	image, err := os.ReadFile(src)
	if err != nil {
		return err
	}
	payload, ok := bzImagePayload(image)
	if !ok {
		return nil
	}
	kernel, err := decompress(payload)
	if err != nil {
		return fmt.Errorf("unpack the kernel image: %w", err)
	}
	if f, err := elf.NewFile(bytes.NewReader(kernel)); err != nil || f.Machine != elf.EM_X86_64 {
		return errors.New("unpack the kernel image: what is inside is not an x86-64 ELF kernel")
	}
	return os.WriteFile(dst, kernel, 0o644)
}

// bzImagePayload returns the compressed kernel inside a bzImage, as the Linux
// x86 boot protocol (2.08 and later) describes it.
func bzImagePayload(image []byte) ([]byte, bool) {
	if len(image) < 0x250 || string(image[0x202:0x206]) != "HdrS" || binary.LittleEndian.Uint16(image[0x206:]) < 0x208 {
		return nil, false
	}
	setup := int64(image[0x1f1])
	if setup == 0 {
		setup = 4
	}
	start := (setup+1)*512 + int64(binary.LittleEndian.Uint32(image[0x248:]))
	end := start + int64(binary.LittleEndian.Uint32(image[0x24c:]))
	// The payload ends with the unpacked size, four bytes that are not part of
	// the compressed stream.
	if start < 0 || end-4 <= start || end > int64(len(image)) {
		return nil, false
	}
	return image[start : end-4], true
}

// decompress undoes what Debian compresses kernels with. gzip is in the
// standard library; the others need the tool of the same name.
func decompress(b []byte) ([]byte, error) {
	for _, c := range []struct{ magic, tool string }{
		{"\x28\xb5\x2f\xfd", "zstd"},
		{"\x02\x21\x4c\x18", "lz4"},
		{"\xfd7zXZ\x00", "xz"},
		{"BZh", "bzip2"},
	} {
		if !bytes.HasPrefix(b, []byte(c.magic)) {
			continue
		}
		if _, err := exec.LookPath(c.tool); err != nil {
			return nil, fmt.Errorf("%s not found", c.tool)
		}
		cmd := exec.Command(c.tool, "-dc")
		cmd.Stdin = bytes.NewReader(b)
		cmd.SysProcAttr = dieWithParent()
		out, err := cmd.Output()
		if err != nil {
			return nil, fmt.Errorf("%s -dc: %w", c.tool, err)
		}
		return out, nil
	}
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("unknown compression, magic % x", b[:min(len(b), 4)])
	}
	return io.ReadAll(z)
}
