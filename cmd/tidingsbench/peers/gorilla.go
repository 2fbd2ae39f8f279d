package main

import (
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

const (
	queue      = 256              // messages a client may lag behind before its sender waits
	writeWait  = 5 * time.Second  // for one message, and for room in the queue
	pongWait   = 60 * time.Second // the longest silence of a client
	pingPeriod = pongWait * 9 / 10
)

// hub is the broadcaster that gorilla's chat example grew into in many
// programs: the clients of each channel in a map, and two goroutines and a
// queue per client. A message is framed once, for all who hear it.
type hub struct {
	upgrader websocket.Upgrader

	mu      sync.RWMutex
	clients map[string]map[*client]struct{} // by channel
}

type client struct {
	conn *websocket.Conn
	send chan *websocket.PreparedMessage
	done chan struct{} // closed when the client has gone
}

func newHub() *hub {
	return &hub{
		upgrader: websocket.Upgrader{ReadBufferSize: 512, WriteBufferPool: new(sync.Pool)},
		clients:  make(map[string]map[*client]struct{}),
	}
}

func (h *hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, channels, err := listener(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	c := &client{send: make(chan *websocket.PreparedMessage, queue), done: make(chan struct{})}
	// Before the upgrade is answered: who has the answer must miss nothing.
	h.join(c, channels)
	c.conn, err = h.upgrader.Upgrade(w, r, nil)
	if err != nil {
		h.leave(c, channels)
		return // Upgrade has answered
	}
	go c.write()
	go func() {
		c.read()
		h.leave(c, channels)
	}()
}

func (h *hub) join(c *client, channels []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, channel := range channels {
		if h.clients[channel] == nil {
			h.clients[channel] = make(map[*client]struct{})
		}
		h.clients[channel][c] = struct{}{}
	}
}

// leave closes done first: a sender that waits for the client holds the lock.
func (h *hub) leave(c *client, channels []string) {
	close(c.done)
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, channel := range channels {
		delete(h.clients[channel], c)
		if len(h.clients[channel]) == 0 {
			delete(h.clients, channel)
		}
	}
}

func (h *hub) publish(channel string, data []byte) error {
	message, err := websocket.NewPreparedMessage(websocket.TextMessage, data)
	if err != nil {
		return err
	}
	h.mu.RLock()
	defer h.mu.RUnlock()
	for c := range h.clients[channel] {
		select {
		case c.send <- message:
		default:
			c.sendLate(message)
		}
	}
	return nil
}

// sendLate waits for a client whose queue is full, and then drops it.
func (c *client) sendLate(message *websocket.PreparedMessage) {
	timer := time.NewTimer(writeWait)
	defer timer.Stop()
	select {
	case c.send <- message:
	case <-c.done:
	case <-timer.C:
		_ = c.conn.Close() // read and write notice
	}
}

func (c *client) write() {
	defer func() { _ = c.conn.Close() }()
	ping := time.NewTicker(pingPeriod)
	defer ping.Stop()
	for {
		select {
		case message := <-c.send:
			_ = c.conn.SetWriteDeadline(time.Now().Add(writeWait)) // never fails
			if c.conn.WritePreparedMessage(message) != nil {
				return
			}
		case <-ping.C:
			if c.conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(writeWait)) != nil {
				return
			}
		case <-c.done:
			return
		}
	}
}

// read answers pings and notices the end; clients say nothing else.
func (c *client) read() {
	c.conn.SetReadLimit(512)
	alive := func(string) error { return c.conn.SetReadDeadline(time.Now().Add(pongWait)) }
	c.conn.SetPongHandler(alive)
	if alive("") != nil {
		return
	}
	for {
		if _, _, err := c.conn.NextReader(); err != nil {
			return
		}
	}
}
