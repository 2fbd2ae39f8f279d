package main

import (
	"bufio"
	"crypto/sha1" //nolint:gosec // RFC 6455 wants it
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// loop is the bound of the kernel: a list of sockets per channel, and write(2)
// for one after the other. Between events it has one goroutine, whatever the
// number of connections.
type loop struct {
	epoll int // tells of sockets that have something to read

	mu       sync.Mutex
	sockets  map[string][]int // by channel
	channels map[int][]string // by socket
	frame    []byte           // of the event that is being written
}

func newLoop() (*loop, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	l := &loop{epoll: epoll, sockets: make(map[string][]int), channels: make(map[int][]string)}
	go l.watch()
	return l, nil
}

func (l *loop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, channels, err := listener(r)
	key := r.Header.Get("Sec-WebSocket-Key")
	if err != nil || key == "" || !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		http.Error(w, "want a WebSocket with ?user=", http.StatusBadRequest)
		return
	}
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	// The socket lives on as a descriptor of our own, out of the runtime's sight.
	defer func() { _ = conn.Close() }()
	socket, err := descriptor(conn, buffered.Reader)
	if err != nil {
		return
	}
	accept := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) //nolint:gosec // RFC 6455 wants it
	l.join(socket, channels, fmt.Appendf(nil, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"+
		"Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", base64.StdEncoding.EncodeToString(accept[:])))
}

// descriptor duplicates that of conn. A client that speaks before it has the
// answer is refused.
func descriptor(conn net.Conn, buffered *bufio.Reader) (int, error) {
	tcp, ok := conn.(*net.TCPConn)
	if !ok || buffered.Buffered() > 0 {
		return 0, errors.New("unexpected connection")
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return 0, err
	}
	var socket int
	var failed error
	err = raw.Control(func(fd uintptr) { socket, failed = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) })
	return socket, errors.Join(err, failed)
}

// join answers the upgrade when the socket is in its lists: who has the answer
// must miss nothing.
func (l *loop) join(socket int, channels []string, answer []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.channels[socket] = channels
	for _, channel := range channels {
		l.sockets[channel] = append(l.sockets[channel], socket)
	}
	interest := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(socket)} //nolint:gosec // descriptors are small
	if unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, socket, &interest) != nil || send(socket, answer) != nil {
		l.drop(socket)
	}
}

// drop wants mu: the number of a closed socket is soon another's.
func (l *loop) drop(socket int) {
	channels, known := l.channels[socket]
	if !known {
		return
	}
	delete(l.channels, socket)
	for _, channel := range channels {
		list := l.sockets[channel]
		at, last := slices.Index(list, socket), len(list)-1
		list[at] = list[last]
		l.sockets[channel] = list[:last]
		if last == 0 {
			delete(l.sockets, channel)
		}
	}
	_ = unix.Close(socket) // leaves the epoll as well
}

func (l *loop) publish(channel string, data []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.frame = appendFrame(l.frame[:0], data)
	var gone []int
	for _, socket := range l.sockets[channel] {
		if send(socket, l.frame) != nil {
			gone = append(gone, socket)
		}
	}
	for _, socket := range gone {
		l.drop(socket)
	}
	return nil
}

// appendFrame appends data as one text message from a server.
func appendFrame(dst, data []byte) []byte {
	const text = 0x81 // FIN and the opcode
	switch n := len(data); {
	case n < 126:
		dst = append(dst, text, byte(n))
	case n <= 0xffff:
		dst = binary.BigEndian.AppendUint16(append(dst, text, 126), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, text, 127), uint64(n))
	}
	return append(dst, data...)
}

// send writes all of frame. A socket whose buffer is full is waited for, 5 s
// at most.
func send(socket int, frame []byte) error {
	for len(frame) > 0 {
		n, err := syscall.Write(socket, frame)
		switch {
		case err == nil:
			frame = frame[n:]
		case errors.Is(err, syscall.EAGAIN):
			if late := waitWritable(socket); late != nil {
				return late
			}
		case !errors.Is(err, syscall.EINTR):
			return err
		}
	}
	return nil
}

func waitWritable(socket int) error {
	deadline := time.Now().Add(5 * time.Second)
	for {
		fds := []unix.PollFd{{Fd: int32(socket), Events: unix.POLLOUT}} //nolint:gosec // descriptors are small
		n, err := unix.Poll(fds, int(time.Until(deadline).Milliseconds()))
		switch {
		case err == nil && n > 0:
			return nil
		case err == nil || time.Now().After(deadline):
			return errors.New("too slow")
		case !errors.Is(err, unix.EINTR):
			return err
		}
	}
}

// watch drops the sockets that end. It runs as long as the process.
func (l *loop) watch() {
	events := make([]unix.EpollEvent, 256)
	scratch := make([]byte, 4096)
	for {
		n, err := unix.EpollWait(l.epoll, events, -1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			panic(fmt.Sprintf("epoll: %v", err)) // of our own making: nothing from outside leads here
		}
		for _, e := range events[:max(n, 0)] {
			l.read(int(e.Fd), scratch)
		}
	}
}

// read takes what a client says: nothing but its close, to us.
func (l *loop) read(socket int, scratch []byte) {
	const opcode, closing = 0x0f, 0x08
	l.mu.Lock()
	defer l.mu.Unlock()
	n, err := unix.Read(socket, scratch)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
		return
	}
	if err != nil || n == 0 || scratch[0]&opcode == closing {
		l.drop(socket)
	}
}
