package job

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strconv"
)

// Kind tells what a frame carries.
type Kind byte

const (
	Stdout Kind = 'o' // bytes the program wrote to its standard output
	Stderr Kind = 'e' // bytes the program wrote to its standard error
	Note   Kind = 'n' // a remark of the guest's init, one line, for people
	File   Kind = 'f' // a piece of a result file: see FilePiece
	Exit   Kind = 'x' // the end: see ExitPayload; nothing follows
)

// Hello is the first thing the guest writes to the data port. What stands
// before it (a serial driver may try its port out) is not ours.
const Hello = "\x02vmtest hello\x03\n"

// MaxPayload bounds one frame, so that a reader never trusts a damaged length.
const MaxPayload = 1 << 16

// frame layout: kind, payload length, CRC-32 of kind and payload, payload.
const headLen = 1 + 4 + 4

func sum(kind Kind, payload []byte) uint32 {
	return crc32.Update(crc32.ChecksumIEEE([]byte{byte(kind)}), crc32.IEEETable, payload)
}

// WriteFrame writes payload, in as many frames of the kind as it needs, each
// with one Write, so that frames of several goroutines do not mix when w's
// Write is serialised. An empty payload is one empty frame.
func WriteFrame(w io.Writer, kind Kind, payload []byte) error {
	for {
		p := payload[:min(len(payload), MaxPayload)]
		payload = payload[len(p):]
		b := make([]byte, headLen, headLen+len(p))
		b[0] = byte(kind)
		binary.LittleEndian.PutUint32(b[1:], uint32(len(p)))
		binary.LittleEndian.PutUint32(b[5:], sum(kind, p))
		if _, err := w.Write(append(b, p...)); err != nil {
			return err
		}
		if len(payload) == 0 {
			return nil
		}
	}
}

// ErrNoHello says that the stream ended before the guest's init said hello.
var ErrNoHello = errors.New("the guest's init never spoke on the data port")

// Reader takes frames out of the data port's byte stream.
type Reader struct {
	r      io.Reader
	synced bool
}

// NewReader returns a Reader of r, which should be buffered.
func NewReader(r io.Reader) *Reader { return &Reader{r: r} }

// Next returns the next frame. At the end of the stream the error is ErrNoHello
// before the first frame, io.EOF between two frames and io.ErrUnexpectedEOF
// inside one; a frame that arrived damaged is an error too, and the stream is
// of no use after it.
func (r *Reader) Next() (Kind, []byte, error) {
	if err := r.Hello(); err != nil {
		return 0, nil, err
	}
	var head [headLen]byte
	if _, err := io.ReadFull(r.r, head[:]); err != nil {
		return 0, nil, err
	}
	kind, n := Kind(head[0]), binary.LittleEndian.Uint32(head[1:])
	if n > MaxPayload {
		return 0, nil, fmt.Errorf("damaged frame: kind %q, length %d", byte(kind), n)
	}
	p := make([]byte, n)
	if _, err := io.ReadFull(r.r, p); err != nil {
		return 0, nil, noEOF(err)
	}
	if got, want := sum(kind, p), binary.LittleEndian.Uint32(head[5:]); got != want {
		return 0, nil, fmt.Errorf("damaged frame: kind %q, length %d, checksum %08x, want %08x", byte(kind), n, got, want)
	}
	return kind, p, nil
}

func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Hello returns when the guest's init has said hello. Next does the same first;
// calling it is of use to who wants to know when. A sliding window is exact
// here where restarting after a mismatch would miss a hello that begins inside
// a false start.
func (r *Reader) Hello() error {
	if r.synced {
		return nil
	}
	var window []byte
	var b [1]byte
	for {
		if _, err := io.ReadFull(r.r, b[:]); err != nil {
			if err == io.EOF {
				return ErrNoHello
			}
			return err
		}
		if len(window) == len(Hello) {
			window = append(window[:0], window[1:]...)
		}
		window = append(window, b[0])
		if bytes.Equal(window, []byte(Hello)) {
			r.synced = true
			return nil
		}
	}
}

// Status is how a run ended.
type Status struct {
	Code  int    // the program's exit code, or 128 + the signal that ended it
	Bytes int64  // what the guest sent in Stdout and Stderr frames
	Error string // why the program could not be run at all; empty otherwise
}

// ExitPayload encodes s for the Exit frame.
func (s Status) ExitPayload() []byte {
	return []byte(strconv.Itoa(s.Code) + " " + strconv.FormatInt(s.Bytes, 10) + " " + strconv.Quote(s.Error))
}

// ParseExit decodes an Exit frame's payload.
func ParseExit(p []byte) (Status, error) {
	var s Status
	f := bytes.SplitN(p, []byte(" "), 3)
	if len(f) != 3 {
		return s, fmt.Errorf("exit frame %q has %d fields, want 3", p, len(f))
	}
	var e1, e2, e3 error
	s.Code, e1 = strconv.Atoi(string(f[0]))
	s.Bytes, e2 = strconv.ParseInt(string(f[1]), 10, 64)
	s.Error, e3 = strconv.Unquote(string(f[2]))
	if err := errors.Join(e1, e2, e3); err != nil {
		return s, fmt.Errorf("exit frame %q: %w", p, err)
	}
	if s.Code < 0 || s.Code > 255 {
		return s, fmt.Errorf("exit frame %q: code %d is outside 0..255", p, s.Code)
	}
	return s, nil
}

// FilePiece encodes a piece of the result file name: pieces of one file come
// in order, the first with first set.
func FilePiece(name string, first bool, data []byte) []byte {
	flag := "+"
	if first {
		flag = "="
	}
	return append([]byte(flag+strconv.Quote(name)+"\n"), data...)
}

// ParseFilePiece decodes what FilePiece encoded.
func ParseFilePiece(p []byte) (name string, first bool, data []byte, err error) {
	head, data, ok := bytes.Cut(p, []byte("\n"))
	if !ok || len(head) < 1 || (head[0] != '=' && head[0] != '+') {
		return "", false, nil, fmt.Errorf("file frame of %d bytes has no head", len(p))
	}
	name, err = strconv.Unquote(string(head[1:]))
	if err != nil {
		return "", false, nil, fmt.Errorf("file frame's name %q: %w", head[1:], err)
	}
	return name, head[0] == '=', data, nil
}
