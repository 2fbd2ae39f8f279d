//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
)

// exchange is a connection whose transport is made of requests. One of them
// has a socket of its own: the event stream, or the polls; the others go
// through the door.
type exchange struct {
	net.Conn

	door   door
	id     string
	reader *bufio.Reader
}

func newExchange(ctx context.Context, d door) (exchange, error) {
	n, err := d.negotiate(ctx, "")
	if err != nil {
		return exchange{}, err
	}
	conn, err := d.dial(ctx)
	if err != nil {
		return exchange{}, err
	}
	return exchange{conn, d, "id=" + n.ConnectionToken, bufio.NewReaderSize(conn, socketBuffer)}, nil
}

// say implements wire.
func (e *exchange) say(ctx context.Context, records []byte) error {
	_, err := e.door.post(ctx, "?"+e.id, records)
	return err
}

// ask sends a request over the socket and reads the head of the answer.
func (e *exchange) ask(request []byte) (*http.Response, error) {
	if _, err := e.Write(request); err != nil {
		return nil, err
	}
	return http.ReadResponse(e.reader, nil)
}

// events is a stream of Server-Sent Events. It implements wire.
type events struct {
	exchange

	lines *bufio.Reader
}

func openEvents(ctx context.Context, d door) (*events, error) {
	e, err := newExchange(ctx, d)
	if err != nil {
		return nil, err
	}
	s := &events{exchange: e}
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return s, nil
}

func (e *events) open(ctx context.Context) error {
	request, err := e.door.raw(ctx, e.id, map[string]string{"Accept": "text/event-stream"})
	if err != nil {
		return err
	}
	answer, err := e.ask(request) //nolint:bodyclose // it ends with the socket
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("event stream: %s", answer.Status)
	}
	e.lines = bufio.NewReaderSize(answer.Body, socketBuffer)
	return nil
}

// next implements wire. The server puts no line feed into its records, so an
// event is one line; the others are comments and ends of events.
func (e *events) next() ([]byte, error) {
	for {
		line, err := e.lines.ReadBytes('\n')
		if err != nil {
			return nil, err
		}
		if data, ok := bytes.CutPrefix(line, []byte("data: ")); ok {
			return bytes.TrimRight(data, "\r\n"), nil
		}
	}
}

// polls is long polling. It implements wire.
type polls struct {
	exchange

	poll []byte // as it stands on the wire, again and again
}

func openPolls(ctx context.Context, d door) (*polls, error) {
	e, err := newExchange(ctx, d)
	if err != nil {
		return nil, err
	}
	p := &polls{exchange: e}
	if p.poll, err = d.raw(ctx, p.id, nil); err == nil {
		_, err = p.fetch() // the first one marks the beginning, and is answered at once
	}
	if err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return p, nil
}

// next implements wire.
func (p *polls) next() ([]byte, error) {
	for {
		if records, err := p.fetch(); err != nil || len(records) > 0 {
			return records, err
		}
	}
}

func (p *polls) fetch() ([]byte, error) {
	answer, err := p.ask(p.poll)
	if err != nil {
		return nil, err
	}
	records, err := io.ReadAll(answer.Body)
	if err = errors.Join(err, answer.Body.Close()); err != nil {
		return nil, err
	}
	switch answer.StatusCode {
	case http.StatusOK:
		return records, nil
	case http.StatusNoContent:
		return nil, io.EOF
	}
	return nil, fmt.Errorf("poll: %s: %s", answer.Status, records)
}
