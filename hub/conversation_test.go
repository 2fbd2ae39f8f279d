package hub_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"tidings/actors/actorstest"
	"tidings/connections"
	"tidings/hub"
	"tidings/hub/hubtest"
	"tidings/hub/protocol"
	"tidings/notifications"
)

var update = flag.Bool("update", false, "rewrite the conversations in testdata with what is heard")

// TestConversations plays testdata/*.txt against the notification hub; see
// testdata/README.md for the language.
func TestConversations(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("conversations: %d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var played string
			synctest.Test(t, func(t *testing.T) {
				played = newPlayer(t).play(string(text))
			})
			if *update {
				if err := os.WriteFile(file, []byte(played), 0o600); err != nil {
					t.Fatal(err)
				}
			} else if diff := cmp.Diff(strings.Split(string(text), "\n"), strings.Split(played, "\n")); diff != "" {
				t.Errorf("%s: -want +got:\n%s", file, diff)
			}
		})
	}
}

// way is what a browser needs to come back with another socket.
type way struct {
	token, query, id string
	codec            protocol.Codec
}

// player plays one conversation.
type player struct {
	t        *testing.T
	house    *house
	server   *hubtest.Server
	browsers map[string]*hubtest.Browser
	names    []string // in the order in which they came
	current  string
	ways     map[string]way // how to come back
	partial  bool           // a message of several fragments is under way

	mu   sync.Mutex // guards left
	left []string   // what the disconnect handler was told
}

func newPlayer(t *testing.T) *player {
	t.Helper()
	p := &player{t: t, browsers: make(map[string]*hubtest.Browser), ways: make(map[string]way)}
	p.house = newHouse(t, hub.Options{OnDisconnected: func(c *hub.Context, err error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.left = append(p.left, fmt.Sprintf("* %s has left: %v", c.UserID(), err))
	}})
	p.server = hubtest.ServePipes(t, p.house, connections.Options{StatefulReconnect: true})
	return p
}

// play repeats the text with what is heard in place of what is expected.
func (p *player) play(text string) string {
	var played []string
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case isHeard.MatchString(line):
			continue
		case line != "" && !strings.HasPrefix(line, "#"):
			p.step(p.expand(line))
			played = append(append(played, line), p.heard()...)
		default:
			played = append(played, line)
		}
	}
	return strings.Join(played, "\n") + "\n"
}

var (
	isHeard = regexp.MustCompile(`^(\* |(\w+ )?< )`)
	isSaid  = regexp.MustCompile(`^(?:(\w+) )?(>|>>|>\+) (.*)$`)
)

// step does what one line says and waits until the server has done its part.
func (p *player) step(line string) {
	if m := isSaid.FindStringSubmatch(line); m != nil {
		if m[1] != "" {
			p.current = m[1]
		}
		p.say(m[2], strings.ReplaceAll(m[3], "␞", "\x1e"))
		synctest.Wait()
		return
	}
	verb, rest, _ := strings.Cut(line, " ")
	first, rest, _ := strings.Cut(rest, " ")
	switch verb {
	case "connect", "open":
		p.connect(verb, first, strings.Fields(rest))
	case "close":
		p.browser().Close()
	case "cut":
		p.browser().Cut()
	case "return":
		p.comeBack(first)
	case "wait":
		d, err := time.ParseDuration(first)
		p.must(err)
		time.Sleep(d)
	case "emit":
		to, err := notifications.ParseRecipient(first)
		p.must(err)
		p.house.emit(p.t, to, rest)
	case "trim":
		n, err := strconv.Atoi(first)
		p.must(err)
		p.house.log.trim(notifications.Position(n))
	case "fail":
		err := errors.New(strings.TrimSpace(first + " " + rest))
		p.house.fail(map[string]error{"mended": nil, "unavailable": notifications.ErrUnavailable}[first])
		if first != "mended" && first != "unavailable" {
			p.house.fail(err)
		}
	default:
		p.t.Fatalf("conversation: unknown verb in %q", line)
	}
	synctest.Wait()
}

func (p *player) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatalf("conversation: %v", err)
	}
}

// connect lets somebody come, or come again, with a new connection.
func (p *player) connect(verb, name string, options []string) {
	user, query, version, codec := name, "", "1", protocol.JSON()
	var held []string
	for _, o := range options {
		key, value, _ := strings.Cut(o, "=")
		switch key {
		case "roles":
			held = strings.Split(value, ",")
		case "query":
			query = value
		case "user":
			user = value
		case "version":
			version = value
		case "protocol":
			codec = map[string]protocol.Codec{"json": protocol.JSON(), "messagepack": protocol.MessagePack()}[value]
		}
	}
	token := hubtest.Token(p.t, user, held...)
	id, secret := p.server.Negotiate(token, query)
	b := p.server.MustOpen(token, strings.Trim(query+"&id="+secret, "&"))
	b.ID = id
	b.Speak(codec)
	if verb == "connect" {
		b.Send(`{"protocol":"` + codec.Name() + `","version":` + version + `}`)
	}
	p.ways[name] = way{token, strings.Trim(query+"&id="+secret, "&"), id, codec}
	if p.browsers[name] == nil {
		p.names = append(p.names, name)
	}
	p.browsers[name], p.current = b, name
}

// comeBack opens another socket of a connection.
func (p *player) comeBack(name string) {
	w := p.ways[name]
	b := p.server.ComeBack(w.codec, w.token, w.query)
	b.ID = w.id
	if p.browsers[name] == nil {
		p.names = append(p.names, name)
	}
	p.browsers[name], p.current = b, name
}

// browser is the current one.
func (p *player) browser() *hubtest.Browser {
	b := p.browsers[p.current]
	if b == nil {
		p.t.Fatalf("conversation: %q is not connected", p.current)
	}
	return b
}

// say sends a record, the rest of a message, or a part of one.
func (p *player) say(how, text string) {
	if how == ">" {
		p.browser().Send(text)
		return
	}
	f := hubtest.Frame{Opcode: hubtest.Text, Final: how == ">>", Payload: []byte(text)}
	if p.partial {
		f.Opcode = hubtest.Continuation
	}
	p.partial = !f.Final
	p.browser().SendFrame(f)
}

// heard is what has come of a step: for every browser its completions, then
// the rest in its order, then the end of its connection.
func (p *player) heard() []string {
	var all []string
	for _, name := range p.names {
		prefix := name + " < "
		if name == p.current {
			prefix = "< "
		}
		b := p.browsers[name]
		records := b.Heard()
		slices.SortStableFunc(records, func(a, b string) int { return place(a) - place(b) })
		for _, r := range records {
			all = append(all, prefix+p.normal(r))
		}
		if code := b.Code(); code != hubtest.CodeOpen {
			all = append(all, prefix+"the end: "+strconv.Itoa(code))
			p.names = slices.DeleteFunc(slices.Clone(p.names), func(n string) bool { return n == name })
			p.browsers[name] = nil
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	slices.Sort(p.left)
	all = append(all, p.left...)
	p.left = nil
	return all
}

// place puts what begins a connection before completions, and these before the
// rest: a completion and the echo of its event are unordered.
func place(r string) int {
	switch {
	case strings.HasPrefix(r, `{"type":9,`):
		return -1
	case strings.HasPrefix(r, `{"type":3,`):
		return 1
	case !strings.Contains(r, `"type"`), strings.Contains(r, `"target":"Connected"`), strings.Contains(r, `"target":"Resumed"`):
		return 0
	default:
		return 2
	}
}

var (
	opaque     = regexp.MustCompile(`[A-Za-z0-9_-]{22,}`)
	isCursor   = regexp.MustCompile(`<cursor (\d+)( of another log)?>`)
	isRepeated = regexp.MustCompile(`<(.)\*(\d+)>`)
)

// normal puts names in the place of connection ids and cursors. A cursor must
// be the very one of its position in the log.
func (p *player) normal(text string) string {
	for name, b := range p.browsers {
		if b != nil {
			text = strings.ReplaceAll(text, b.ID, "<"+name+">")
		}
	}
	return opaque.ReplaceAllStringFunc(text, func(s string) string {
		c, err := notifications.ParseCursor(s)
		switch {
		case err != nil:
			return s
		case c == notifications.CursorAt(p.house.log.Log, c.Position):
			return fmt.Sprintf("<cursor %d>", c.Position)
		case c == notifications.Cursor{Epoch: actorstest.Epoch, Position: c.Position}:
			return fmt.Sprintf("<cursor %d, of no entry>", c.Position)
		}
		return s
	})
}

// expand is the reverse; <x*100> stands for x a hundred times.
func (p *player) expand(line string) string {
	for name, b := range p.browsers {
		if b != nil {
			line = strings.ReplaceAll(line, "<"+name+">", b.ID)
		}
	}
	line = isCursor.ReplaceAllStringFunc(line, func(s string) string {
		m := isCursor.FindStringSubmatch(s)
		n, err := strconv.Atoi(m[1])
		p.must(err)
		c := notifications.CursorAt(p.house.log.Log, notifications.Position(n))
		if m[2] != "" {
			c.Epoch++
		}
		return c.String()
	})
	return isRepeated.ReplaceAllStringFunc(line, func(s string) string {
		m := isRepeated.FindStringSubmatch(s)
		n, err := strconv.Atoi(m[2])
		p.must(err)
		return strings.Repeat(m[1], n)
	})
}
