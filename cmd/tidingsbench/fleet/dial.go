//go:build linux

package fleet

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// enqueue lets clients connect, each when its turn has come.
func (l *loop) enqueue(all []*Client, r *round) {
	for _, c := range all {
		switch {
		case c.state == live:
			r.settle(nil)
		case c.state != idle || c.waiting != nil:
			r.settle(fmt.Errorf("client %d is busy", c.id))
		default:
			c.waiting = r
			l.queue = append(l.queue, c)
		}
	}
}

// fill starts the connects that may be under way.
func (l *loop) fill() {
	for len(l.queue) > 0 && l.underway < max(l.fleet.o.Dialing/len(l.fleet.loops), 1) {
		c := l.queue[0]
		l.queue = l.queue[1:]
		if c.waiting == nil || c.state != idle {
			continue // has been cut, and may be further back again
		}
		l.underway++
		c.state = connecting
		c.connects++
		c.started = time.Now().UnixNano()
		if err := l.dial(c); err != nil {
			l.end(c, err)
		}
	}
}

// dial starts a TCP connection. If it is there at once, the request goes out.
func (l *loop) dial(c *Client) (err error) {
	if c.fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0); err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	// The port is chosen by connect, which looks at both addresses: another
	// socket of this source may have it, towards another server.
	if err = unix.SetsockoptInt(c.fd, unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1); err == nil {
		err = unix.Bind(c.fd, &unix.SockaddrInet4{Addr: c.source})
	}
	if err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	server := l.fleet.server
	err = unix.Connect(c.fd, &unix.SockaddrInet4{Addr: server.Addr().As4(), Port: int(server.Port())})
	there := err == nil
	if !there && !errors.Is(err, unix.EINPROGRESS) {
		return fmt.Errorf("connect: %w", err)
	}
	interest := uint32(unix.EPOLLIN)
	if !there {
		interest = unix.EPOLLOUT
	}
	if err = l.control(c, unix.EPOLL_CTL_ADD, interest); err != nil {
		return err
	}
	if there {
		l.request(c)
	}
	return nil
}

func (l *loop) control(c *Client, op int, interest uint32) error {
	err := unix.EpollCtl(l.epoll, op, c.fd, &unix.EpollEvent{Events: interest, Fd: int32(c.number)}) //nolint:gosec // small
	if err != nil {
		return fmt.Errorf("epoll: %w", err)
	}
	return nil
}

// connected is called when a TCP connection is there, or cannot be.
func (l *loop) connected(c *Client) {
	code, err := unix.GetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && code != 0 {
		err = unix.Errno(code)
	}
	if err != nil {
		l.end(c, fmt.Errorf("connect: %w", err))
		return
	}
	if err = l.control(c, unix.EPOLL_CTL_MOD, unix.EPOLLIN); err != nil {
		l.end(c, err)
		return
	}
	l.request(c)
}

// request asks for the WebSocket.
func (l *loop) request(c *Client) {
	c.state = upgrading
	l.send(c, c.spec.Request(string(c.cursor)))
}

// upgraded reads the answer to the request, and returns what follows it. As
// long as it is not whole, it returns all.
func (l *loop) upgraded(c *Client, data []byte) []byte {
	const headLargest = 64 << 10
	head, rest, whole := bytes.Cut(data, []byte("\r\n\r\n"))
	if !whole && len(data) <= headLargest {
		return data
	}
	status, _, _ := bytes.Cut(head, []byte("\r\n"))
	if !bytes.HasPrefix(status, []byte("HTTP/1.1 101 ")) {
		l.end(c, fmt.Errorf("refused: %.200s: %.200s", status, rest))
		return nil
	}
	c.state = greeting
	l.speaker.opened(l, c)
	return rest
}

// welcome is called by the dialect when the client is in.
func (l *loop) welcome(c *Client) {
	if c.state != greeting {
		return
	}
	c.state = live
	l.underway--
	l.tally.Connects++
	l.tally.Connected++
	l.ready.add(time.Now().UnixNano() - c.started)
	c.settle(nil)
}

func (c *Client) settle(err error) {
	if r := c.waiting; r != nil {
		c.waiting = nil
		r.settle(err)
	}
}

// end is called when a connection ends by itself, or cannot be.
func (l *loop) end(c *Client, reason error) {
	switch c.state {
	case idle:
		return
	case leaving:
		reason = nil
	case live:
		l.tally.Ended++
		c.blame(func(f *faults) *uint64 { return &f.ended }, "ended: %v", reason)
	case connecting, upgrading, greeting:
		l.tally.Refused++
	}
	l.drop(c, reason)
}

// cut ends a connection with RST, and whatever the client waits for.
func (l *loop) cut(c *Client, reason error) {
	if c.state == idle {
		c.settle(reason) // if it stood in the queue, nobody waits for it there
		return
	}
	// An error means that the connection is gone already.
	_ = unix.SetsockoptLinger(c.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	l.drop(c, reason)
}

// drop closes the socket, which takes it out of the epoll.
func (l *loop) drop(c *Client, reason error) {
	switch c.state {
	case connecting, upgrading, greeting:
		l.underway--
	case live, leaving:
		l.tally.Connected--
	case idle:
	}
	c.state = idle
	if c.fd >= 0 {
		_ = unix.Close(c.fd) // it is over
		c.fd = -1
	}
	l.recycle(c)
	c.settle(reason)
}

// leave lets clients end their connections. Those that have none are done.
func (l *loop) leave(all []*Client, r *round) {
	for _, c := range all {
		if c.state != live {
			l.cut(c, errCut)
			r.settle(nil)
			continue
		}
		c.state, c.waiting = leaving, r
		if err := unix.Shutdown(c.fd, unix.SHUT_WR); err != nil {
			l.end(c, err)
		}
	}
}

// abandon cuts the clients that a round still waits for.
func (l *loop) abandon(all []*Client, r *round, reason error) {
	for _, c := range all {
		if c.waiting == r {
			l.cut(c, reason)
		}
	}
}
