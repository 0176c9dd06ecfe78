package job

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
)

func TestJobRoundTrip(t *testing.T) {
	want := &Job{
		Args:    []string{"/vmtest/prog/x", "", "a b", "new\nline", `quote"back\slash`, "\xff\x00bytes", "-test.run=^Tést$"},
		Env:     []string{"A=", "B=x=y", "C=line\none"},
		Dir:     "/build/with space",
		Ports:   []string{PortName, "/dev/ttyS1"},
		Merge:   true,
		Files:   []string{"/tmp/cover.out"},
		Modules: []string{"/vmtest/a.ko", "/vmtest/b.ko"},
	}
	got, err := Decode(want.Encode())
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("Decode(Encode(j)) = %+v, %v\nwant %+v", got, err, want)
	}
}

func TestDecodeRefuses(t *testing.T) {
	whole := string((&Job{Args: []string{"p"}, Dir: "/", Ports: []string{"x"}}).Encode())
	if _, err := Decode([]byte(whole)); err != nil {
		t.Fatalf("the minimal job does not decode: %v", err)
	}
	for name, text := range map[string]string{
		"empty":          "",
		"other version":  strings.Replace(whole, "job 1", "job 2", 1),
		"cut off":        whole[:len(whole)-1],
		"unknown key":    whole + "colour \"red\"\n",
		"unquoted":       whole + "arg red\n",
		"no program":     strings.Replace(whole, "arg \"p\"\n", "", 1),
		"no data port":   strings.Replace(whole, "port \"x\"\n", "", 1),
		"no directory":   strings.Replace(whole, "dir \"/\"\n", "", 1),
		"stray new line": whole + "\n",
	} {
		if j, err := Decode([]byte(text)); err == nil {
			t.Errorf("%s: decoded to %+v", name, j)
		}
	}
}

type frame struct {
	kind Kind
	data string
}

func readAll(r io.Reader) (got []frame, err error) {
	fr := NewReader(r)
	for {
		kind, p, err := fr.Next()
		if err != nil {
			return got, err
		}
		got = append(got, frame{kind, string(p)})
	}
}

func stream(t *testing.T, frames ...frame) *bytes.Buffer {
	t.Helper()
	b := bytes.NewBufferString(Hello)
	for _, f := range frames {
		if err := WriteFrame(b, f.kind, []byte(f.data)); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func TestFrames(t *testing.T) {
	// What looks like line ends, marks or the hello itself is only data.
	want := []frame{{Stdout, "a\r\nb\x00\xff"}, {Stderr, Hello}, {Stdout, ""}, {Exit, "7 0 \"\""}}
	for _, noise := range []string{"", "\xffnoise\r\n", Hello[:5], Hello[:1] + Hello[:1], Hello[:len(Hello)-1]} {
		b := stream(t, want...)
		got, err := readAll(iotest.OneByteReader(io.MultiReader(strings.NewReader(noise), b)))
		if err != io.EOF || !reflect.DeepEqual(got, want) {
			t.Errorf("after noise %q: %q, %v; want %q, EOF", noise, got, err, want)
		}
	}
}

func TestLargePayloadIsSplit(t *testing.T) {
	data := strings.Repeat("0123456789", MaxPayload/4)
	got, err := readAll(stream(t, frame{Stdout, data}))
	var all strings.Builder
	for _, f := range got {
		if len(f.data) > MaxPayload {
			t.Errorf("a frame of %d bytes, want at most %d", len(f.data), MaxPayload)
		}
		all.WriteString(f.data)
	}
	if err != io.EOF || len(got) < 2 || all.String() != data {
		t.Errorf("%d frames, %d bytes, %v; want at least 2 frames, %d bytes, EOF", len(got), all.Len(), err, len(data))
	}
}

func TestBrokenStreams(t *testing.T) {
	whole := stream(t, frame{Stdout, "hello"}).Bytes()
	for name, c := range map[string]struct {
		text []byte
		want error // nil: any
	}{
		"nothing":    {nil, ErrNoHello},
		"only noise": {[]byte("Kernel panic - not syncing\r\n"), ErrNoHello},
		"half hello": {whole[:7], ErrNoHello},
		"hello only": {whole[:len(Hello)], io.EOF},
		"half head":  {whole[:len(Hello)+3], io.ErrUnexpectedEOF},
		"half frame": {whole[:len(whole)-1], io.ErrUnexpectedEOF},
		"no payload": {whole[:len(whole)-5], io.ErrUnexpectedEOF},
	} {
		got, err := readAll(bytes.NewReader(c.text))
		if !errors.Is(err, c.want) || len(got) != 0 {
			t.Errorf("%s: %q, %v; want no frame, %v", name, got, err, c.want)
		}
	}
	for i := len(Hello); i < len(whole); i++ {
		damaged := bytes.Clone(whole)
		damaged[i] ^= 0x10
		if got, err := readAll(bytes.NewReader(damaged)); len(got) != 0 || err == io.EOF {
			t.Errorf("byte %d damaged: %q, %v; want no frame and an error", i, got, err)
		}
	}
}

func TestStatus(t *testing.T) {
	for _, want := range []Status{{}, {Code: 7, Bytes: 1 << 40}, {Code: 255}, {Code: 126, Error: "run \"x\": no\nsuch file"}} {
		if got, err := ParseExit(want.ExitPayload()); err != nil || got != want {
			t.Errorf("ParseExit(%q) = %+v, %v, want %+v", want.ExitPayload(), got, err, want)
		}
	}
	for _, bad := range []string{"", "7", "7 1", "x 1 \"\"", "7 x \"\"", "7 1 x", "256 0 \"\"", "-1 0 \"\""} {
		if got, err := ParseExit([]byte(bad)); err == nil {
			t.Errorf("ParseExit(%q) = %+v, want an error", bad, got)
		}
	}
}

func TestFilePiece(t *testing.T) {
	name, first, data, err := ParseFilePiece(FilePiece("/a b\n\"c", true, []byte("x\ny")))
	if err != nil || name != "/a b\n\"c" || !first || string(data) != "x\ny" {
		t.Errorf("ParseFilePiece = %q, %v, %q, %v", name, first, data, err)
	}
	if _, first, _, err := ParseFilePiece(FilePiece("/a", false, nil)); err != nil || first {
		t.Errorf("a later piece: first %v, %v", first, err)
	}
	for _, bad := range []string{"", "=\"a\"", "=a\n", "?\"a\"\n", "\n"} {
		if name, _, _, err := ParseFilePiece([]byte(bad)); err == nil {
			t.Errorf("ParseFilePiece(%q) = %q, want an error", bad, name)
		}
	}
}
