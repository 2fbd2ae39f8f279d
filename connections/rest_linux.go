package connections

import (
	"errors"
	"os"
	"sync"
	"syscall"
)

const canRest = true

// poller waits for all sockets at rest with one goroutine, which is there while
// there are any.
type poller struct {
	once sync.Once
	fd   int // of the epoll; -1 = there is none
	file *os.File
	wait syscall.RawConn

	mu      sync.Mutex // guards all below
	sockets []*socket  // by place; none has place 0
	free    []uint32
	resting int
	running bool
}

// sleepers are the sockets of the process that rest.
var sleepers poller //nolint:gochecknoglobals // like the poller of the runtime: one for all

// open makes the epoll, which the poller of the runtime waits for in turn, so
// that no thread is blocked.
func (p *poller) open() {
	p.fd = -1
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return
	}
	if err = syscall.SetNonblock(fd, true); err == nil {
		p.file = os.NewFile(uintptr(fd), "epoll")
		p.wait, err = p.file.SyscallConn()
	}
	if err == nil {
		p.fd = fd
	}
}

// add gives a socket a place; 0 = it cannot rest.
func (p *poller) add(s *socket) uint32 {
	p.once.Do(p.open)
	if p.fd < 0 {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var place uint32
	if n := len(p.free); n > 0 {
		place, p.free = p.free[n-1], p.free[:n-1]
		p.sockets[place] = s
	} else {
		if len(p.sockets) == 0 {
			p.sockets = append(p.sockets, nil)
		}
		place = uint32(len(p.sockets)) //nolint:gosec // there are not that many sockets
		p.sockets = append(p.sockets, s)
	}
	p.resting++
	if !p.running {
		p.running = true
		go p.run() // ends when nobody rests any more
	}
	return place
}

func (p *poller) remove(place uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sockets[place] = nil
	p.free = append(p.free, place)
	p.resting--
	if p.resting == 0 {
		p.sockets, p.free = nil, nil
		_ = p.file.SetReadDeadline(past()) // wakes run, which looks
	}
}

func (p *poller) at(place uint32) *socket {
	p.mu.Lock()
	defer p.mu.Unlock()
	if int(place) >= len(p.sockets) {
		return nil
	}
	return p.sockets[place]
}

// run rouses the sockets that have something to read.
func (p *poller) run() {
	events := make([]syscall.EpollEvent, 128)
	for {
		n := 0
		err := p.wait.Read(func(uintptr) bool {
			n, _ = syscall.EpollWait(p.fd, events, 0) // without an event it is waited for
			return n > 0
		})
		for _, e := range events[:max(n, 0)] {
			// A place that has changed hands meanwhile rouses somebody who goes
			// back to rest.
			if s := p.at(uint32(e.Fd)); s != nil { //nolint:gosec // as it was made
				s.rouse()
			}
		}
		if errors.Is(err, os.ErrDeadlineExceeded) && p.over() {
			return
		}
	}
}

func (p *poller) over() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.file.SetReadDeadline(never())
	p.running = p.resting > 0
	return !p.running
}

// lieDown hands the socket to the poller. It returns false when that is not
// possible.
func (s *socket) lieDown() bool {
	place := sleepers.add(s)
	if place == 0 {
		return false
	}
	s.rest.place.Store(place)
	if !s.watch(place) || s.finished.Load() != nil {
		s.rouse() // closed or finished: its reader finds out
	}
	return true
}

// watch asks for one event.
func (s *socket) watch(place uint32) bool {
	event := syscall.EpollEvent{Events: syscall.EPOLLIN | syscall.EPOLLRDHUP | syscall.EPOLLONESHOT, Fd: int32(place)} //nolint:gosec // as it is read
	var failed error
	err := s.raw.Control(func(fd uintptr) {
		failed = syscall.EpollCtl(sleepers.fd, syscall.EPOLL_CTL_ADD, int(fd), &event)
		if errors.Is(failed, syscall.EEXIST) { // it was roused before it was watched
			failed = syscall.EpollCtl(sleepers.fd, syscall.EPOLL_CTL_MOD, int(fd), &event)
		}
	})
	return err == nil && failed == nil
}

// rouse gives a socket at rest a goroutine again. It does nothing to one that
// does not rest.
func (s *socket) rouse() {
	place := s.rest.place.Load()
	if place == 0 || !s.rest.place.CompareAndSwap(place, 0) {
		return
	}
	_ = s.raw.Control(func(fd uintptr) {
		_ = syscall.EpollCtl(sleepers.fd, syscall.EPOLL_CTL_DEL, int(fd), nil)
	}) // a socket that is closed is not watched
	sleepers.remove(place)
	go s.server.wake(s.rest.conn)
}
