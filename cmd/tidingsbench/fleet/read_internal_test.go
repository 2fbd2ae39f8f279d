//go:build linux

package fleet

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// still is a loop that does not run.
func still(tb testing.TB, d Dialect) *loop {
	tb.Helper()
	f := &Fleet{o: Options{Dialect: d, Loops: 1, Recover: true}}
	f.nearest.Store(everything)
	l, err := newLoop(f)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { closeAll(tb, l.bell, l.epoll) })
	return l
}

func closeAll(tb testing.TB, all ...int) {
	tb.Helper()
	for _, fd := range all {
		if err := unix.Close(fd); err != nil {
			tb.Error(err)
		}
	}
}

// pair is a client that has sent its request, and the server's end of its
// socket.
func pair(tb testing.TB, l *loop, recipients ...uint32) (c *Client, server int) {
	tb.Helper()
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		tb.Fatal(err)
	}
	c = &Client{loop: l, fd: ends[0], state: upgrading, tracks: make([]track, len(recipients))}
	l.underway++
	for i, r := range recipients {
		c.tracks[i].recipient = r
	}
	return c, ends[1]
}

func markText(seq uint64, size int) string {
	return string(AppendMark(nil, 7, seq, time.Now(), size))
}

func jsonRecord(seq uint64, size int) string {
	return fmt.Sprintf(`{"type":1,"target":"ReceiveNotification","arguments":[{"id":"01a221fb-fd90-7085-9ac0-3a00a1407288","position":%d,`+
		`"cursor":"cursor-%d","recipient":"user/a@b","type":"notification","title":"t","data":{"m":%q},"severity":"info","createdAt":"2026-11-28T11:48:12.304Z"}]}`+"\x1e",
		100+seq, seq, markText(seq, size))
}

func packRecord(seq uint64, size int) string {
	text := "\xda" + string([]byte{byte(size >> 8), byte(size)})
	if size <= 0xff {
		text = "\xd9" + string([]byte{byte(size)})
	}
	position := "\xcd\x40" + string([]byte{byte(seq)}) // holds an @
	cursor := fmt.Sprintf("cursor-%d", seq)
	body := "\x96\x01\x80\xc0\xb3ReceiveNotification\x91\x84\xa8position" + position +
		"\xa6cursor" + string([]byte{0xa0 | byte(len(cursor))}) + cursor +
		"\xa9recipient\xa8user/a@b\xa4data\x81\xa1m" + text + markText(seq, size) + "\x90"
	return string(appendUvarint(nil, len(body))) + body
}

func appendUvarint(dst []byte, n int) []byte {
	for ; n > 0x7f; n >>= 7 {
		dst = append(dst, byte(n)|0x80)
	}
	return append(dst, byte(n))
}

// serverFrame has the shortest length that fits, or the one asked for.
func serverFrame(payload string, bits int) string {
	n := len(payload)
	switch {
	case bits == 64 || n > 0xffff:
		return fmt.Sprintf("\x82\x7f\x00\x00\x00\x00%s%s", string([]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}), payload)
	case bits == 16 || n > 125:
		return "\x82\x7e" + string([]byte{byte(n >> 8), byte(n)}) + payload
	}
	return "\x82" + string([]byte{byte(n)}) + payload
}

const answer101 = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"

// conversations are all that a server says until a client has heard the
// numbers 1 to 5 of recipient 7.
func conversations() map[string]conversation {
	publication := func(seq uint64) string {
		return fmt.Sprintf(`{"data":{"m":%q},"offset":%d}`, markText(seq, 60), seq)
	}
	push := func(seq uint64) string {
		return `{"push":{"channel":"user/a@b","pub":` + publication(seq) + `}}`
	}
	ping := "\x89\x04ping"
	return map[string]conversation{
		"SignalR JSON": {SignalRJSON(), serverFrame("{}\x1e", 0) + ping +
			serverFrame(`{"type":1,"target":"Connected","arguments":["a@b"]}`+"\x1e"+`{"type":1,"target":"Resumed","arguments":[{"cursor":"start","first":1}]}`+"\x1e"+jsonRecord(1, 192), 64) +
			serverFrame(`{"type":6}`+"\x1e", 16) + serverFrame(jsonRecord(2, 60)+jsonRecord(3, 60), 0) + serverFrame(jsonRecord(4, 1016), 0) + serverFrame(jsonRecord(5, 43), 64)},
		"SignalR MessagePack": {SignalRMessagePack(), serverFrame("{}\x1e", 0) + ping + serverFrame("\x27\x96\x01\x80\xc0\xa9Connected\x91\xb6ctrt80ty683hKbq0HbkwQ@\x90", 0) +
			serverFrame("\x4a\x96\x01\x80\xc0\xa7Resumed\x91\x84\xa6cursor\xb6AWmzmw1_VSG5AQAA2uXtQA\xa9replaying\xc2\xa9truncated\xc2\xa5first\x01\x90"+packRecord(1, 192), 64) +
			serverFrame("\x02\x91\x06", 0) + serverFrame(packRecord(2, 60)+packRecord(3, 60), 0) + serverFrame(packRecord(4, 1016), 0) + serverFrame(packRecord(5, 43), 64)},
		"Raw": {Raw(), serverFrame(`{"m":"`+markText(1, 192)+`"}`, 64) + ping + serverFrame(`{"m":"`+markText(2, 43)+`"}`, 0) +
			serverFrame(`{"m":"`+markText(3, 1016)+`"}`, 0) + serverFrame(`{"m":"`+markText(4, 192)+`"}`, 16) + serverFrame(`{"m":"`+markText(5, 192)+`"}`, 0)},
		"Centrifuge": {Centrifuge(), serverFrame(`{"id":1,"connect":{"client":"e5c3","subs":{"everyone":{},"user/a@b":{"recoverable":true,"epoch":"x","publications":[`+publication(1)+","+publication(2)+
			`],"recovered":true,"offset":0,"positioned":true}},"ping":25,"pong":true}}`+"\n"+push(3), 0) + ping + serverFrame("{}", 0) + serverFrame(push(4)+"\n"+push(5), 64)},
		"Socket.IO": {SocketIO(), serverFrame(`0{"sid":"fi","upgrades":[],"pingInterval":25000}`, 0) + serverFrame(`42["n",{"m":"`+markText(1, 60)+`"},"o1"]`, 0) + ping +
			serverFrame(`40{"sid":"s","pid":"p"}`, 0) + serverFrame("2", 0) + serverFrame(`42["n",{"m":"`+markText(2, 60)+`"},"o2"]`, 16) + serverFrame(`42["n",{"m":"`+markText(3, 192)+`"},"o3"]`, 0) +
			serverFrame(`42["n",{"m":"`+markText(4, 1016)+`"},"o4"]`, 0) + serverFrame(`42["n",{"m":"`+markText(5, 43)+`"},"o5"]`, 64)},
	}
}

type conversation struct {
	dialect Dialect
	said    string
}

// Whatever is read at once, the same is heard: conversations are split at every
// byte, and come byte by byte.
func TestSplitAtEveryByte(t *testing.T) {
	for name, talk := range conversations() {
		t.Run(name, func(t *testing.T) {
			said := answer101 + talk.said
			l := still(t, talk.dialect)
			for at := range len(said) {
				hearParts(t, l, said[:at], said[at:])
			}
			hearParts(t, l, strings.Split(said, "")...)
		})
	}
}

func hearParts(t *testing.T, l *loop, parts ...string) {
	t.Helper()
	c, server := pair(t, l, 7)
	defer closeAll(t, server)
	defer l.cut(c, nil)
	l.tally, l.new = Stats{}, 0
	for _, part := range parts {
		if part == "" {
			continue
		}
		if _, err := unix.Write(server, []byte(part)); err != nil {
			t.Fatal(err)
		}
		l.read(c)
	}
	if c.state != live || c.tracks[0].last != 5 || l.new != 5 || c.rest != nil {
		t.Fatalf("state %d after %d of 5: %+v", c.state, c.tracks[0].last, l.tally)
	}
	if text := c.wrong(map[uint32]uint64{7: 5}); text != "" || l.tally.Connects != 1 {
		t.Fatalf("%s: %+v", text, l.tally)
	}
}

// hearAll lets a client hear what a server says at once.
func hearAll(t *testing.T, d Dialect, said string) (l *loop, c *Client, server int) {
	t.Helper()
	l = still(t, d)
	c, server = pair(t, l, 7)
	t.Cleanup(func() {
		l.cut(c, nil)
		closeAll(t, server)
	})
	if _, err := unix.Write(server, []byte(answer101+said)); err != nil {
		t.Fatal(err)
	}
	l.read(c)
	return l, c, server
}

// What a client says when it comes back tells where it stands.
func TestCursors(t *testing.T) {
	want := map[string]string{
		"SignalR JSON":        "cursor-5 []",
		"SignalR MessagePack": "cursor-5 []",
		"Raw":                 " []",
		"Centrifuge":          ` [{user/a@b x 5}]`,
		"Socket.IO":           "o5 [{p  0}]",
	}
	for name, talk := range conversations() {
		t.Run(name, func(t *testing.T) {
			_, c, _ := hearAll(t, talk.dialect, talk.said)
			if got := fmt.Sprintf("%s %v", c.cursor, c.channels); got != want[name] {
				t.Errorf("got %q, want %q", got, want[name])
			}
		})
	}
	l, c, server := hearAll(t, Centrifuge(), "")
	if _, err := unix.Read(server, make([]byte, 200)); err != nil { // the first hello
		t.Fatal(err)
	}
	c.channels = []channel{{"user/7", "GY", 1}}
	l.speaker.opened(l, c)
	hello := make([]byte, 200)
	n, err := unix.Read(server, hello)
	if got, want := string(hello[6:n]), `{"id":1,"connect":{"subs":{"user/7":{"recover":true,"offset":1,"epoch":"GY"}}}}`; err != nil || got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestPositionsGrow(t *testing.T) {
	l, c, _ := hearAll(t, SignalRJSON(), serverFrame("{}\x1e", 0)+
		serverFrame(`{"type":1,"target":"Resumed","arguments":[{"cursor":"start"}]}`+"\x1e", 0)+
		serverFrame(jsonRecord(1, 60)+strings.Replace(jsonRecord(2, 60), "102", "101", 1), 0)+
		serverFrame(`{"type":7,"error":"enough"}`+"\x1e", 0))
	if l.tally.Backwards != 1 || l.tally.Ended != 1 || c.faults.first != "position 101 after 101" {
		t.Errorf("%+v, %+v", l.tally, c.faults)
	}
}

func TestMarks(t *testing.T) {
	for _, size := range []int{43, 44, 192, 1016, 1024 + 43, 5000, 0xffff} {
		emitted := time.Now()
		text := AppendMark(nil, 0xdeadbeef, 0x123456789abc, emitted, size)
		got, err := parseMark(append(text, "f~"...))
		if want := (mark{0xdeadbeef, 0x123456789abc, emitted.UnixNano(), size}); err != nil || got != want || len(text) != size {
			t.Errorf("size %d: got %+v, want %+v, %v", size, got, want, err)
		}
		if _, err = parseMark(text[:size-1]); err != errTruncated { //nolint:errorlint // as it is
			t.Errorf("size %d: cut: %v", size, err)
		}
	}
	digits := []byte("00000000")
	for b := range 256 {
		digits[3] = byte(b)
		n, ok := eightDigits(digits)
		i := strings.IndexByte("0123456789abcdef", byte(b))
		if ok != (i >= 0) || ok && n != uint64(i)<<16 {
			t.Errorf("%q: %x, %t", digits, n, ok)
		}
	}
}

// steady returns a function that lets a client hear one more event.
func steady(tb testing.TB, d Dialect, event func(seq uint64) string) func() {
	tb.Helper()
	l := still(tb, d)
	c := &Client{loop: l, fd: -1, tracks: []track{{recipient: 7}}}
	c.state, c.greeted, c.connects = live, true, 1
	frame := []byte(serverFrame(event(1), 0))
	at := strings.Index(string(frame), "@00000007")
	l.live.add(0) // the first piece of many
	seq := uint64(0)
	return func() {
		seq++
		appendHex(frame[:at+9], seq, 12)
		c.position = 0
		if l.take(c, frame); c.tracks[0].last != seq || c.faults != nil {
			tb.Fatalf("number %d was not heard: %+v", seq, c.faults)
		}
	}
}

func BenchmarkHear(b *testing.B) {
	for name, hear := range steadyOnes(b) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				hear()
			}
		})
	}
}

func steadyOnes(tb testing.TB) map[string]func() {
	tb.Helper()
	payload := func(seq uint64) string { return `{"m":"` + markText(seq, 192) + `"}` }
	return map[string]func(){
		"SignalR JSON":        steady(tb, SignalRJSON(), func(seq uint64) string { return jsonRecord(seq, 192) }),
		"SignalR MessagePack": steady(tb, SignalRMessagePack(), func(seq uint64) string { return packRecord(seq, 192) }),
		"Raw":                 steady(tb, Raw(), payload),
		"Centrifuge": steady(tb, Centrifuge(), func(seq uint64) string {
			return `{"push":{"channel":"user/7","pub":{"data":` + payload(seq) + `,"offset":4}}}`
		}),
		"Socket.IO": steady(tb, SocketIO(), func(seq uint64) string { return `42["n",` + payload(seq) + `]` }),
	}
}

func TestHearingAllocatesNothing(t *testing.T) {
	for name, hear := range steadyOnes(t) {
		hear() // the cursor finds its room
		if n := testing.AllocsPerRun(1000, hear); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
