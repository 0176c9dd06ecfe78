//go:build linux

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// An aptSource is one archive of the machine's apt configuration, as far as
// the runner needs it.
type aptSource struct {
	URI      string
	Suites   []string
	SignedBy string // a keyring's path; empty when apt's own keyrings apply
}

// errNoArchive says that nothing on this machine tells where Debian packages
// come from. The user's way out is in the text.
var errNoArchive = errors.New("this machine's apt configuration names no Debian archive: give its address with -mirror, or a kernel image with -kernel PATH")

// parseOneLine reads apt's one-line format (sources.list): "deb [options] uri
// suite component...". Comments, source packages and lines that are no such
// thing are passed over, as a file of somebody else's may hold anything.
func parseOneLine(text string) []aptSource {
	var out []aptSource
	for _, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), "deb")
		if !ok || rest == "" || !strings.ContainsAny(rest[:1], " \t[") {
			continue
		}
		rest = strings.TrimSpace(rest)
		var s aptSource
		if strings.HasPrefix(rest, "[") {
			var options string
			if options, rest, ok = strings.Cut(rest[1:], "]"); !ok {
				continue
			}
			for _, o := range strings.Fields(options) {
				if v, ok := strings.CutPrefix(strings.ToLower(o), "signed-by="); ok {
					s.SignedBy = keyring(o[len(o)-len(v):])
				}
			}
		}
		f := strings.Fields(rest)
		if len(f) < 3 || !contains(f[2:], "main") {
			continue
		}
		s.URI, s.Suites = f[0], f[1:2]
		out = append(out, s)
	}
	return out
}

// parseDeb822 reads apt's stanza format (*.sources).
func parseDeb822(text string) []aptSource {
	var out []aptSource
	var stanza map[string]string
	var last string
	flush := func() {
		f := stanza
		stanza, last = nil, ""
		if f == nil || !contains(strings.Fields(f["types"]), "deb") ||
			!contains(strings.Fields(f["components"]), "main") {
			return
		}
		switch strings.ToLower(strings.TrimSpace(f["enabled"])) {
		case "no", "false", "without", "off", "disable":
			return
		}
		for _, uri := range strings.Fields(f["uris"]) {
			out = append(out, aptSource{URI: uri, Suites: strings.Fields(f["suites"]), SignedBy: keyring(f["signed-by"])})
		}
	}
	for _, line := range strings.Split(text, "\n") {
		switch {
		case strings.HasPrefix(line, "#"):
		case strings.TrimSpace(line) == "":
			flush()
		case line[0] == ' ' || line[0] == '\t':
			if last != "" {
				stanza[last] += "\n" + line
			}
		default:
			key, value, ok := strings.Cut(line, ":")
			if !ok {
				continue
			}
			if stanza == nil {
				stanza = make(map[string]string)
			}
			last = strings.ToLower(strings.TrimSpace(key))
			stanza[last] = strings.TrimSpace(value)
		}
	}
	flush()
	return out
}

// keyring returns a Signed-By value that is a file; the option may also hold
// fingerprints or a whole key, which say nothing about other suites.
func keyring(v string) string {
	if v = strings.TrimSpace(v); strings.HasPrefix(v, "/") && len(strings.Fields(v)) == 1 {
		return v
	}
	return ""
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}

// debianSuite matches the suites that only Debian's main archive has. The
// security archive is another place, with other suites and no backports.
var debianSuite = regexp.MustCompile(`^(stretch|buster|bullseye|bookworm|trixie|forky|duke|sid|oldoldstable|oldstable|stable|testing|unstable)(-updates|-backports)?$`)

// debianArchive returns the first of sources that is Debian's main archive.
func debianArchive(sources []aptSource) (aptSource, error) {
	for _, s := range sources {
		if strings.HasPrefix(s.URI, "cdrom:") || strings.HasSuffix(strings.TrimRight(s.URI, "/"), "-security") {
			continue
		}
		for _, suite := range s.Suites {
			if debianSuite.MatchString(suite) {
				return s, nil
			}
		}
	}
	return aptSource{}, errNoArchive
}

// readAptSources reads the apt configuration below etc ("/etc/apt"). What
// cannot be read is as if it were not there.
func readAptSources(etc string) []aptSource {
	var out []aptSource
	if b, err := os.ReadFile(filepath.Join(etc, "sources.list")); err == nil {
		out = append(out, parseOneLine(string(b))...)
	}
	entries, _ := os.ReadDir(filepath.Join(etc, "sources.list.d"))
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(etc, "sources.list.d", e.Name()))
		switch {
		case err != nil:
		case strings.HasSuffix(e.Name(), ".list"):
			out = append(out, parseOneLine(string(b))...)
		case strings.HasSuffix(e.Name(), ".sources"):
			out = append(out, parseDeb822(string(b))...)
		}
	}
	return out
}

// debianKeyring is where package debian-archive-keyring puts Debian's keys.
const debianKeyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// An apt is a private apt: its own source, lists, package cache and state, all
// below one folder, for one suite and architecture that need not be the
// machine's. The machine's apt state is neither read nor written.
type apt struct {
	dir  string
	conf string
}

// newApt prepares a private apt below dir, which must be absolute. mirror
// replaces the machine's archive when it is not empty.
func newApt(dir, mirror, suite, arch string) (*apt, error) {
	for _, tool := range []string{"apt-get", "apt-cache", "dpkg-deb"} {
		if _, err := exec.LookPath(tool); err != nil {
			return nil, fmt.Errorf("%s not found: kernels are fetched as Debian packages; on a machine without apt, give a kernel image with -kernel PATH", tool)
		}
	}
	src := aptSource{URI: mirror}
	if mirror == "" {
		var err error
		if src, err = debianArchive(readAptSources("/etc/apt")); err != nil {
			return nil, err
		}
	}
	if src.SignedBy == "" {
		if _, err := os.Stat(debianKeyring); err == nil {
			src.SignedBy = debianKeyring
		}
	}
	a := &apt{dir: dir, conf: filepath.Join(dir, "apt.conf")}
	for _, d := range []string{"empty", "lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return nil, err
		}
	}
	for name, text := range map[string]string{
		"apt.conf":     aptConf(dir, arch, transport()),
		"sources.list": sourceLine(src, suite, arch),
		"status":       "",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	return a, nil
}

func sourceLine(src aptSource, suite, arch string) string {
	options := "arch=" + arch
	if src.SignedBy != "" {
		options += " signed-by=" + src.SignedBy
	}
	return fmt.Sprintf("deb [%s] %s %s main\n", options, src.URI, suite)
}

// aptConf is the private apt's configuration. It is handed over by APT_CONFIG,
// which apt reads before everything else, so that it can keep apt from the
// machine's configuration, whose hooks act on the machine's state.
func aptConf(dir, arch, transport string) string {
	return fmt.Sprintf(`Dir::Etc::main "/dev/null";
Dir::Etc::parts "%[1]s/empty";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "%[1]s/empty";
Dir::Etc::sourcelist "%[1]s/sources.list";
Dir::Etc::sourceparts "%[1]s/empty";
Dir::State "%[1]s";
Dir::State::status "%[1]s/status";
Dir::State::lists "%[1]s/lists";
Dir::Cache "%[1]s/cache";
Dir::Log "%[1]s";
APT::Architecture "%[2]s";
APT::Architectures { "%[2]s"; };
// The download helper's own user could not write to a cache in a home folder.
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::GzipIndexes "true";
%[3]s`, dir, arch, transport)
}

// transport returns the machine's settings on how to reach an archive
// (proxies, retries, date checks), as configuration text: these the private
// apt needs too.
func transport() string {
	out, err := exec.Command("apt-config", "dump").Output()
	if err != nil {
		return ""
	}
	return transportLines(string(out))
}

func transportLines(dump string) string {
	var b strings.Builder
	for _, line := range strings.Split(dump, "\n") {
		rest, ok := strings.CutPrefix(line, "Acquire::")
		if !ok {
			continue
		}
		name, _, _ := strings.Cut(rest, " ")
		name, _, _ = strings.Cut(strings.ToLower(name), "::")
		switch name {
		case "http", "https", "ftp", "tor", "retries", "queue-mode", "forceipv4", "forceipv6",
			"check-valid-until", "check-date", "max-validtime", "min-validtime":
			b.WriteString(line + "\n")
		}
	}
	return b.String()
}

// run runs one of apt's tools and returns its standard output.
func (a *apt) run(dir, tool string, args ...string) ([]byte, error) {
	cmd := exec.Command(tool, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "APT_CONFIG="+a.conf, "LC_ALL=C")
	cmd.SysProcAttr = dieWithParent()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w\n%s", tool, strings.Join(args, " "), err, lastLines(stderr.String(), 10))
	}
	return out, nil
}

// update fetches the suite's package list.
func (a *apt) update() error {
	_, err := a.run(a.dir, "apt-get", "-q", "update", "-o", "APT::Update::Error-Mode=any")
	return err
}

// newest returns the name of the suite's package that matches pattern, with
// its version; the one with the highest number where there are several.
func (a *apt) newest(prefix string, pattern *regexp.Regexp) (name, version string, err error) {
	out, err := a.run(a.dir, "apt-cache", "pkgnames", prefix)
	if err != nil {
		return "", "", err
	}
	var names []string
	for _, n := range strings.Fields(string(out)) {
		if pattern.MatchString(n) {
			names = append(names, n)
		}
	}
	if len(names) > 0 {
		// pkgnames also lists names that only occur in dependencies.
		if out, err = a.run(a.dir, "apt-cache", append([]string{"madison"}, names...)...); err != nil {
			return "", "", err
		}
		name, version = highest(parseMadison(string(out)))
	}
	if name == "" {
		return "", "", fmt.Errorf("the suite has no package that matches %v: it may have moved on to another series", pattern)
	}
	return name, version, nil
}

// parseMadison reads the "name | version | source" lines of apt-cache madison.
func parseMadison(text string) [][2]string {
	var out [][2]string
	for _, line := range strings.Split(text, "\n") {
		if f := strings.Split(line, "|"); len(f) == 3 {
			out = append(out, [2]string{strings.TrimSpace(f[0]), strings.TrimSpace(f[1])})
		}
	}
	return out
}

func highest(list [][2]string) (name, version string) {
	for _, l := range list {
		if name == "" || lessNumbers(name, l[0]) || name == l[0] && lessNumbers(version, l[1]) {
			name, version = l[0], l[1]
		}
	}
	return name, version
}

// lessNumbers compares two names of one pattern, runs of digits as numbers.
func lessNumbers(a, b string) bool {
	digits := func(s string) int {
		n := 0
		for n < len(s) && s[n] >= '0' && s[n] <= '9' {
			n++
		}
		return n
	}
	for a != "" && b != "" {
		na, nb := digits(a), digits(b)
		if na > 0 && nb > 0 {
			x, y := strings.TrimLeft(a[:na], "0"), strings.TrimLeft(b[:nb], "0")
			if len(x) != len(y) {
				return len(x) < len(y)
			}
			if x != y {
				return x < y
			}
			a, b = a[na:], b[nb:]
			continue
		}
		if a[0] != b[0] {
			return a[0] < b[0]
		}
		a, b = a[1:], b[1:]
	}
	return a == "" && b != ""
}

// download fetches a package, checked against the signed lists by apt, and
// returns the file's path.
func (a *apt) download(name, version, arch string) (string, error) {
	dir := filepath.Join(a.dir, "deb")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	if _, err := a.run(dir, "apt-get", "-q", "download", name+":"+arch+"="+version); err != nil {
		return "", err
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err != nil || len(files) != 1 {
		return "", fmt.Errorf("apt-get download %s left %d files, want 1", name, len(files))
	}
	return files[0], nil
}

// openPackage returns the package's files as a tar stream; the function it
// returns ends it and says whether the stream was whole.
func openPackage(deb string) (io.Reader, func() error, error) {
	cmd := exec.Command("dpkg-deb", "--fsys-tarfile", deb)
	cmd.SysProcAttr = dieWithParent()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	r := bufio.NewReaderSize(out, 1<<20)
	return r, func() error {
		io.Copy(io.Discard, r)
		if err := cmd.Wait(); err != nil {
			return fmt.Errorf("dpkg-deb --fsys-tarfile %s: %w\n%s", filepath.Base(deb), err, lastLines(stderr.String(), 5))
		}
		return nil
	}, nil
}

// lastLines returns the last n lines of text.
func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
