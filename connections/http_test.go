package connections_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"tidings/connections"
)

// request makes a request over the network; headers come in pairs.
func (s *site) request(ctx context.Context, method, suffix string, body io.Reader, headers ...string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, s.url+suffix, body)
	if err != nil {
		return nil, err
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return s.client.Do(r)
}

// ask makes a request over the network and reads the answer.
func (s *site) ask(method, suffix, body string, headers ...string) answer {
	s.t.Helper()
	response, err := s.request(s.t.Context(), method, suffix, strings.NewReader(body), headers...)
	if err != nil {
		s.t.Fatalf("%s: %v", method, err)
	}
	return s.read(response)
}

func (s *site) read(response *http.Response) answer {
	s.t.Helper()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatalf("read the answer: %v", err)
	}
	_ = response.Body.Close() // it has been read to its end
	return answer{response.StatusCode, response.Header, string(text)}
}

// later is ask that does not wait.
func (s *site) later(method, suffix, body string, headers ...string) <-chan answer {
	answers := make(chan answer, 1)
	go func() {
		response, err := s.request(s.t.Context(), method, suffix, strings.NewReader(body), headers...)
		if err != nil {
			answers <- answer{body: err.Error()}
			return
		}
		text, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil {
			text = []byte(err.Error())
		}
		answers <- answer{response.StatusCode, response.Header, string(text)}
	}()
	return answers
}

// token negotiates.
func (s *site) token() string {
	s.t.Helper()
	_, token := negotiated(s.t, s.do(http.MethodPost, "/negotiate?negotiateVersion=1"))
	return token
}

// polled begins a long-polling connection and returns its suffix.
func (s *site) polled() string {
	s.t.Helper()
	suffix := "?id=" + s.token()
	s.t.Cleanup(func() { s.do(http.MethodDelete, suffix) })
	s.want(s.ask(http.MethodGet, suffix, ""), http.StatusOK, "")
	return suffix
}

// want compares the status and the body of an answer.
func (s *site) want(a answer, status int, body string) {
	s.t.Helper()
	if a.status != status || a.body != body {
		s.t.Errorf("got %d %.100q, want %d %.100q", a.status, a.body, status, body)
	}
}

// stream is a stream of events, as a client reads it.
type stream struct {
	s        *site
	response *http.Response
	reader   *bufio.Reader
	cancel   context.CancelFunc
}

// events opens a stream.
func (s *site) events(suffix string, headers ...string) *stream {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.t.Context())
	response, err := s.request(ctx, http.MethodGet, suffix, nil, append([]string{"Accept", "text/event-stream"}, headers...)...) //nolint:bodyclose // close does
	if err != nil {
		cancel()
		s.t.Fatalf("open a stream: %v", err)
	}
	e := &stream{s, response, bufio.NewReader(response.Body), cancel}
	s.t.Cleanup(e.close)
	return e
}

// close is what a client does that leaves.
func (e *stream) close() {
	e.cancel()
	_ = e.response.Body.Close()
}

// line reads a line, without its end.
func (e *stream) line() (string, error) {
	line, err := e.reader.ReadString('\n')
	return strings.TrimRight(line, "\r\n"), err
}

// next reads one event, as HTML ("Server-sent events") has it.
func (e *stream) next() (string, error) {
	var data []string
	for {
		line, err := e.line()
		if err != nil {
			return "", err
		}
		if text, ok := strings.CutPrefix(line, "data: "); ok {
			data = append(data, text)
		}
		if line == "" && data != nil {
			return strings.Join(data, "\n"), nil
		}
	}
}

// hear wants the next event.
func (e *stream) hear(want string) {
	e.s.t.Helper()
	if got, err := e.next(); err != nil || got != want {
		e.s.t.Errorf("event: got %.100q, %v, want %.100q", got, err, want)
	}
}

// over wants the end of the stream.
func (e *stream) over() {
	e.s.t.Helper()
	if got, err := e.next(); !errors.Is(err, io.EOF) {
		e.s.t.Errorf("event: got %.100q, %v, want the end", got, err)
	}
}

// served is a connection that the test reads and writes itself.
type served struct {
	*connections.Conn

	t     *testing.T
	leave func() // what ServeConn returns for
	rest  []byte // was received and not wanted yet
}

// openServed opens a site whose connections come to the test. tune is as in
// open.
func openServed(t *testing.T, o connections.Options, tune ...func(*http.Server)) (*site, <-chan *served) {
	t.Helper()
	h, conns, leave := handOver(t)
	s := open(t, h, o, tune...)
	t.Cleanup(leave)
	return s, conns
}

// openServedPipes is openServed on pipes.
func openServedPipes(t *testing.T, o connections.Options) (*site, <-chan *served) {
	t.Helper()
	h, conns, leave := handOver(t)
	s := openPipes(t, h, o)
	t.Cleanup(leave)
	return s, conns
}

func handOver(t *testing.T) (h handler, conns <-chan *served, leaveAll func()) {
	t.Helper()
	over := make(chan struct{})
	all := make(chan *served, 100)
	return func(_ context.Context, c *connections.Conn) {
		done := make(chan struct{})
		all <- &served{Conn: c, t: t, leave: sync.OnceFunc(func() { close(done) })}
		select {
		case <-done:
		case <-over:
			c.Abort() // does not wait for a client that is no longer there
		}
	}, all, func() { close(over) }
}

// hear reads until it has all of want.
func (c *served) hear(want string) {
	c.t.Helper()
	got := c.rest
	for len(got) < len(want) {
		data, err := c.Receive()
		if err != nil {
			c.t.Errorf("Receive: got %.100q, then %v, want %.100q", got, err, want)
			return
		}
		got = append(got, data...)
	}
	if n := len(want); string(got[:n]) != want {
		c.t.Errorf("Receive: got %.100q, want %.100q", got, want)
	}
	c.rest = slices.Clone(got[len(want):])
}

// ends wants Receive to fail with an error.
func (c *served) ends(want error) {
	c.t.Helper()
	if data, err := c.Receive(); !errors.Is(err, want) || len(c.rest) > 0 {
		c.t.Errorf("Receive: got %.100q, %v after %q, want %v", data, err, c.rest, want)
	}
}

// say writes records as one frame.
func (c *served) say(records string) {
	c.t.Helper()
	sink := c.Sink()
	if err := write(c.Conn, sink.Frame(nil, []byte(records))); err != nil {
		c.t.Errorf("write %.100q: %v", records, err)
	}
}

// accepts tells how much of a frame is taken at once.
func (c *served) accepts(p string) int {
	c.t.Helper()
	n, err := c.Sink().TryWrite([]byte(p))
	if err != nil {
		c.t.Errorf("TryWrite %.100q: %v", p, err)
	}
	return n
}
