package hubtest

import (
	"bytes"
	"encoding/binary"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"tidings/hub/protocol"
)

// separator ends every record of the JSON encoding.
const separator = "\x1e"

// Browser is the client's end of one WebSocket. It reads all the time, answers
// a close frame and does nothing else by itself: it never pings. Its methods
// fail the test; they belong to the goroutine of the test, but for Send.
type Browser struct {
	// ID is the public id of the connection, if it was negotiated.
	ID string

	t      testing.TB
	codec  protocol.Codec // what is spoken after the handshake
	wire   io.ReadWriteCloser
	write  chan struct{} // full: somebody writes a frame; a mutex would not wait durably
	pumped chan struct{}

	mu      sync.Mutex // guards all below
	changed chan struct{}
	records []string
	pongs   []string
	code    int
	greeted bool // the handshake has been said
	shaken  bool // and answered
}

// What Code says of an end without a close frame, and of none.
const (
	CodeAbnormal = 1006
	CodeOpen     = 0
)

// Open asks for a WebSocket. A refusal is an HTTP answer and no browser.
func (s *Server) Open(token, query string) (*Browser, Answer) {
	s.t.Helper()
	return s.open(token, query, nil)
}

// open lets somebody prepare the browser before it hears anything.
func (s *Server) open(token, query string, prepare func(*Browser)) (*Browser, Answer) {
	s.t.Helper()
	r := s.request(http.MethodGet, "?"+join(query, "access_token="+token))
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", "websocket")
	r.Header.Set("Sec-Websocket-Version", "13")
	r.Header.Set("Sec-Websocket-Key", "dGhlIHNhbXBsZSBub25jZQ==") // RFC 6455 §1.3
	response, err := s.client.Do(r)
	if err != nil {
		s.t.Fatalf("hubtest: open a WebSocket: %v", err)
	}
	wire, upgraded := response.Body.(io.ReadWriteCloser)
	if !upgraded {
		return nil, read(s.t, response)
	}
	b := &Browser{t: s.t, codec: protocol.JSON(), wire: wire, write: make(chan struct{}, 1), pumped: make(chan struct{}), changed: make(chan struct{})}
	if prepare != nil {
		prepare(b)
	}
	go b.pump()
	s.t.Cleanup(b.Cut)
	return b, Answer{Response: response}
}

// ComeBack opens another socket of a connection that has shaken hands in that
// encoding. The server may speak on it at once.
func (s *Server) ComeBack(codec protocol.Codec, token, query string) *Browser {
	s.t.Helper()
	b, answer := s.open(token, query, func(b *Browser) { b.codec, b.greeted, b.shaken = codec, true, true })
	if b == nil {
		s.t.Fatalf("hubtest: come back: got %s %q, want 101", answer.Status, answer.Text)
	}
	return b
}

// MustOpen is Open that must succeed.
func (s *Server) MustOpen(token, query string) *Browser {
	s.t.Helper()
	b, answer := s.Open(token, query)
	if b == nil {
		s.t.Fatalf("hubtest: open a WebSocket: got %s %q, want 101", answer.Status, answer.Text)
	}
	return b
}

// Speak makes the browser speak an encoding. Its records stay JSON texts for the
// test. It comes before the handshake.
func (b *Browser) Speak(codec protocol.Codec) { b.codec = codec }

// ShakeHands asks for the encoding, version 1, and wants to be accepted before
// anything else is heard.
func (b *Browser) ShakeHands() {
	b.t.Helper()
	b.Send(`{"protocol":"` + b.codec.Name() + `","version":1}`)
	if got := b.Receive(); got != "{}" {
		b.t.Fatalf("hubtest: handshake: got %s, want {}", got)
	}
}

// Send sends records in one frame. It is safe for concurrent use.
func (b *Browser) Send(records ...string) {
	b.t.Helper()
	b.SendFrame(Frame{b.kind(), true, b.encode(records)})
}

// kind is that of the browser's messages.
func (b *Browser) kind() byte {
	if b.codec.Binary() {
		return Binary
	}
	return Text
}

// SendFrame sends one frame, masked as a client must. A connection that has
// ended takes it, too.
func (b *Browser) SendFrame(f Frame) {
	b.write <- struct{}{}
	defer func() { <-b.write }()
	_, _ = b.wire.Write(f.masked()) // whether it is still there is told by Code
}

// Receive waits for the next record.
func (b *Browser) Receive() string {
	b.t.Helper()
	var next string
	b.wait("a record", func() bool {
		if len(b.records) == 0 {
			return false
		}
		next, b.records = b.records[0], b.records[1:]
		return true
	})
	return next
}

// Heard takes the records that have come and not been received. In a bubble,
// wait for the server before.
func (b *Browser) Heard() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := b.records
	b.records = nil
	return all
}

// Pong waits for the answer to a ping of the transport.
func (b *Browser) Pong() string {
	b.t.Helper()
	var next string
	b.wait("a pong", func() bool {
		if len(b.pongs) == 0 {
			return false
		}
		next, b.pongs = b.pongs[0], b.pongs[1:]
		return true
	})
	return next
}

// Code is the code of the server's close frame, or CodeAbnormal or CodeOpen.
func (b *Browser) Code() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.code
}

// End waits for the end of the connection and returns its Code.
func (b *Browser) End() int {
	b.t.Helper()
	b.wait("the end", func() bool { return b.code != CodeOpen })
	return b.Code()
}

// Close closes the WebSocket as a browser does and waits for the server.
func (b *Browser) Close() {
	b.t.Helper()
	b.SendFrame(closeFrame())
	b.End()
}

// Cut closes the connection without a word.
func (b *Browser) Cut() {
	_ = b.wire.Close() // it may have been closed by the server
	<-b.pumped
}

// wait returns when ok does; ok is called with mu held.
func (b *Browser) wait(what string, ok func() bool) {
	b.t.Helper()
	var late <-chan time.Time
	for {
		b.mu.Lock()
		done, changed, code, heard := ok(), b.changed, b.code, len(b.records)
		b.mu.Unlock()
		switch {
		case done:
			return
		case code != CodeOpen:
			b.t.Fatalf("hubtest: waiting for %s: the connection has ended with %d", what, code)
		case late == nil:
			late = time.After(Patience)
		}
		select {
		case <-changed:
		case <-late:
			b.t.Fatalf("hubtest: waiting for %s: nothing after %v; %d records are not read", what, Patience, heard)
		}
	}
}

// pump takes what the server sends until it ends.
func (b *Browser) pump() {
	defer close(b.pumped)
	for {
		f, err := readFrame(b.wire)
		b.mu.Lock()
		switch {
		case err != nil:
			b.code = CodeAbnormal
		case f.Opcode == Close:
			b.code = CodeAbnormal
			if len(f.Payload) >= 2 {
				b.code = int(binary.BigEndian.Uint16(f.Payload))
			}
		case f.Opcode == Pong:
			b.pongs = append(b.pongs, string(f.Payload))
		default:
			b.hear(f)
		}
		over := b.code != CodeOpen
		close(b.changed)
		b.changed = make(chan struct{})
		b.mu.Unlock()
		if over {
			b.SendFrame(closeFrame()) // refused where the client was the first
			_ = b.wire.Close()        // likewise
			return
		}
	}
}

// hear cuts a message into records. A message of the server must hold whole
// ones: the official client does not put them together (signalr.md §4).
func (b *Browser) hear(f Frame) {
	refused := !b.shaken && f.Opcode == Text // may be said as text to anybody
	if !f.Final || f.Opcode != b.kind() && !refused {
		b.t.Errorf("hubtest: the server sent %+v, want a whole message of the encoding's kind", f)
	}
	records, err := b.decode(f.Payload)
	if err != nil {
		b.t.Errorf("hubtest: the server sent a message that holds no whole records: %v: %q", err, f.Payload[:min(len(f.Payload), 200)])
	}
	b.records = append(b.records, records...)
}

// Frame is one frame of a WebSocket (RFC 6455 §5.2).
type Frame struct {
	Opcode  byte
	Final   bool
	Payload []byte
}

// The opcodes.
const (
	Continuation = 0
	Text         = 1
	Binary       = 2
	Close        = 8
	Ping         = 9
	Pong         = 10
)

// closeFrame is a normal closure: code 1000.
func closeFrame() Frame { return Frame{Close, true, []byte{1000 >> 8, 1000 & 0xff}} }

// mask is what a client must scramble its bytes with; any will do.
const mask = "\x1e\x00\xa5\x5a"

func (f Frame) masked() []byte {
	first := f.Opcode
	if f.Final {
		first |= 0x80
	}
	b := []byte{first}
	switch n := len(f.Payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	b = append(b, mask...)
	for i, c := range f.Payload {
		b = append(b, c^mask[i%len(mask)])
	}
	return b
}

// readFrame reads a frame of a server, which must not be masked. Bits that
// nobody asked for are left in the opcode, so that nobody takes it for one.
func readFrame(r io.Reader) (Frame, error) {
	var head [10]byte
	if _, err := io.ReadFull(r, head[:2]); err != nil {
		return Frame{}, err
	}
	f := Frame{Opcode: head[0] &^ 0x80, Final: head[0]&0x80 != 0}
	n := uint64(head[1])
	switch n {
	case 126:
		if _, err := io.ReadFull(r, head[:2]); err != nil {
			return f, err
		}
		n = uint64(binary.BigEndian.Uint16(head[:2]))
	case 127:
		if _, err := io.ReadFull(r, head[:8]); err != nil {
			return f, err
		}
		n = binary.BigEndian.Uint64(head[:8])
	}
	var payload bytes.Buffer
	_, err := io.CopyN(&payload, r, int64(n))
	f.Payload = payload.Bytes()
	return f, err
}
