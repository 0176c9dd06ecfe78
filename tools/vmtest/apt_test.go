//go:build linux

package main

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestParseOneLine(t *testing.T) {
	got := parseOneLine(`# deb http://commented.example.org/debian bookworm main
deb http://a.example.org/debian bookworm main contrib # a remark
  deb	[ arch=amd64 Signed-By=/keys/K.gpg ]	https://b.example.org/debian/ trixie main
deb-src http://c.example.org/debian bookworm main
deb http://d.example.org/other stable contrib
deb [broken http://e.example.org/debian bookworm main
debris http://f.example.org/debian bookworm main
deb [signed-by=0123456789ABCDEF] http://g.example.org/debian sid main
`)
	want := []aptSource{
		{URI: "http://a.example.org/debian", Suites: []string{"bookworm"}},
		{URI: "https://b.example.org/debian/", Suites: []string{"trixie"}, SignedBy: "/keys/K.gpg"},
		{URI: "http://g.example.org/debian", Suites: []string{"sid"}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestParseDeb822(t *testing.T) {
	got := parseDeb822(`# a remark
Types: deb deb-src
# inside a stanza
URIs: http://a.example.org/debian
 http://b.example.org/debian
Suites: bookworm
 bookworm-updates
Components: main
signed-by: /keys/k.gpg

Types: deb-src
URIs: http://c.example.org/debian
Suites: bookworm
Components: main

Types: deb
Enabled: no
URIs: http://d.example.org/debian
Suites: bookworm
Components: main


Types: deb
URIs: http://e.example.org/debian
Suites: trixie
Components: contrib main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc
 -----END PGP PUBLIC KEY BLOCK-----`)
	suites := []string{"bookworm", "bookworm-updates"}
	want := []aptSource{
		{URI: "http://a.example.org/debian", Suites: suites, SignedBy: "/keys/k.gpg"},
		{URI: "http://b.example.org/debian", Suites: suites, SignedBy: "/keys/k.gpg"},
		{URI: "http://e.example.org/debian", Suites: []string{"trixie"}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	// A continuation line without a field must not be taken for one.
	if got := parseDeb822(" stray\n\n stray again"); got != nil {
		t.Errorf("stray lines gave %+v", got)
	}
}

func TestDebianArchive(t *testing.T) {
	good := aptSource{URI: "http://mirror.example.org/pub", Suites: []string{"x", "bookworm-updates"}}
	for _, not := range []aptSource{
		{URI: "http://x.example.org/debian-security/", Suites: []string{"bookworm"}},
		{URI: "http://x.example.org/debian", Suites: []string{"bookworm-security"}},
		{URI: "http://x.example.org/ubuntu", Suites: []string{"noble"}},
		{URI: "cdrom:[Debian]/", Suites: []string{"bookworm"}},
	} {
		if got, err := debianArchive([]aptSource{not, good}); err != nil || got.URI != good.URI {
			t.Errorf("behind %+v: %+v, %v, want %+v", not, got, err, good)
		}
		if got, err := debianArchive([]aptSource{not}); !errors.Is(err, errNoArchive) {
			t.Errorf("%+v alone: %+v, %v, want errNoArchive", not, got, err)
		}
	}
}

func TestReadAptSources(t *testing.T) {
	etc := t.TempDir()
	write := func(name, text string) {
		name = filepath.Join(etc, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got := readAptSources(etc); got != nil {
		t.Errorf("an empty folder gave %+v", got)
	}
	write("sources.list", "deb http://a.example.org/debian sid main\n")
	write("sources.list.d/b.sources", "Types: deb\nURIs: http://b.example.org/debian\nSuites: sid\nComponents: main\n")
	write("sources.list.d/c.list", "deb http://c.example.org/debian sid main\n")
	write("sources.list.d/d.list.disabled", "deb http://d.example.org/debian sid main\n")
	var got []string
	for _, s := range readAptSources(etc) {
		got = append(got, s.URI)
	}
	want := []string{"http://a.example.org/debian", "http://b.example.org/debian", "http://c.example.org/debian"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAptConfIsPrivate(t *testing.T) {
	conf := aptConf("/private", "arm64", transportLines(`Acquire "";
Acquire::http::Proxy "http://proxy.example.org:3128/";
Acquire::Check-Valid-Until "false";
Acquire::IndexTargets::deb::X "";
APT::Update::Post-Invoke:: "rm -rf /";
`))
	for _, want := range []string{`Dir::Etc::parts "/private/empty";`, `Dir::State "/private";`, `APT::Architecture "arm64";`,
		`Acquire::http::Proxy "http://proxy.example.org:3128/";`, `Acquire::Check-Valid-Until "false";`} {
		if !strings.Contains(conf, want+"\n") {
			t.Errorf("lacks %s", want)
		}
	}
	for _, not := range []string{"Post-Invoke", "IndexTargets"} {
		if strings.Contains(conf, not) {
			t.Errorf("holds the machine's %s", not)
		}
	}
	got := sourceLine(aptSource{URI: "http://a.example.org/debian", SignedBy: "/keys/k.gpg"}, "trixie-backports", "arm64")
	if want := "deb [arch=arm64 signed-by=/keys/k.gpg] http://a.example.org/debian trixie-backports main\n"; got != want {
		t.Errorf("source line %q, want %q", got, want)
	}
}

func TestNewest(t *testing.T) {
	name, version := highest(parseMadison(
		"linux-image-6.1.0-9-cloud-amd64 | 6.1.9-1 | http://a.example.org/debian bookworm/main amd64 Packages\n" +
			" linux-image-6.1.0-50-cloud-amd64 |  6.1.170-1 | http://a.example.org/debian bookworm/main amd64 Packages\n" +
			" linux-image-6.1.0-50-cloud-amd64 |  6.1.176-1 | http://a.example.org/debian bookworm/main amd64 Packages\n" +
			"linux-image-6.1.0-47-cloud-amd64 | 6.1.180-1 | http://a.example.org/debian bookworm/main amd64 Packages\n\n"))
	if name != "linux-image-6.1.0-50-cloud-amd64" || version != "6.1.176-1" {
		t.Errorf("newest is %s %s", name, version)
	}
	if name, _ := highest(nil); name != "" {
		t.Errorf("of nothing, %q is the newest", name)
	}
	for _, c := range [][2]string{{"6.12.9", "6.12.10"}, {"a", "a1"}, {"7.3.4+deb13", "7.3.10+deb13"}, {"1.009", "1.10"}} {
		if !lessNumbers(c[0], c[1]) || lessNumbers(c[1], c[0]) {
			t.Errorf("order of %q and %q is wrong", c[0], c[1])
		}
	}
	if lessNumbers("6.1", "6.1") {
		t.Error("a name is less than itself")
	}
}
