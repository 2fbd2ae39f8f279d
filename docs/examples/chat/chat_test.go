package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tidings/connections"
	"tidings/hub/hubtest"
)

// room is the chat with its time standing still, but for what a test waits.
func room(t *testing.T) *hubtest.Server {
	t.Helper()
	chat, err := newChat(slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return hubtest.ServePipes(t, chat, connections.Options{})
}

// come connects and passes over the welcome.
func come(t *testing.T, s *hubtest.Server, user string, roles ...string) *hubtest.Browser {
	t.Helper()
	b := s.Connect(user, "", roles...)
	if got, want := b.Receive(), `{"type":1,"target":"Welcome","arguments":["`+b.ID+`"]}`; got != want {
		t.Fatalf("%s is welcomed with %s, want %s", user, got, want)
	}
	return b
}

// record is a message of the hub protocol.
func record(t *testing.T, m map[string]any) string {
	t.Helper()
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// call is an invocation. Its id is the name of the method.
func call(t *testing.T, method string, arguments ...any) string {
	t.Helper()
	return record(t, map[string]any{"type": 1, "invocationId": method, "target": method, "arguments": arguments})
}

// open is an invocation that wants a stream.
func open(t *testing.T, method string, arguments ...any) string {
	t.Helper()
	return record(t, map[string]any{"type": 4, "invocationId": method, "target": method, "arguments": append([]any{}, arguments...)})
}

// with gives an invocation a stream of the client.
func with(call, streamID string) string {
	return strings.TrimSuffix(call, "}") + `,"streamIds":["` + streamID + `"]}`
}

// heard are the records that have come, when nothing more comes, without pings
// and times. Completions come first: they and what a call sends are not
// ordered between themselves.
func heard(b *hubtest.Browser) []string {
	synctest.Wait()
	at := regexp.MustCompile(`,"at":"[^"]+"`)
	var all []string
	for _, r := range b.Heard() {
		if r != `{"type":6}` {
			all = append(all, at.ReplaceAllString(r, ""))
		}
	}
	slices.SortStableFunc(all, func(a, b string) int {
		return strings.Index(b, `"type":3`) - strings.Index(a, `"type":3`)
	})
	return all
}

func expect(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got\n%s\nwant\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func done(method string) string {
	return `{"type":3,"invocationId":"` + method + `","result":null}`
}

func failed(method, text string) string {
	return `{"type":3,"invocationId":"` + method + `","error":"` + text + `"}`
}

const unexpected = "An unexpected error occurred invoking "

func TestChatInARoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := room(t)
		ann, bob := come(t, s, "ann"), come(t, s, "bob")
		ann.Send(call(t, "Say", "tea", "hello?"))
		expect(t, "outside", heard(ann), failed("Say", unexpected+"'Say' on the server. HubException: You are not in this room."))
		ann.Send(call(t, "Join", "tea"))
		expect(t, "ann joins", heard(ann), done("Join"))
		bob.Send(call(t, "Join", "tea"))
		expect(t, "bob joins", heard(ann), `{"type":1,"target":"Joined","arguments":["tea","bob"]}`)
		expect(t, "bob", heard(bob), done("Join"))

		time.Sleep(time.Second) // slow mode: ann has tried to say something
		ann.Send(call(t, "say", "tea", "hello"), call(t, "Say", "tea", "hello!"))
		const said = `{"type":1,"target":"Said","arguments":["tea",{"from":"ann","text":"hello"}]}`
		expect(t, "bob hears", heard(bob), said)
		expect(t, "ann hears", heard(ann),
			`{"type":3,"invocationId":"say","result":{"from":"ann","text":"hello"}}`,
			failed("Say", unexpected+"'Say' on the server. HubException: Not so fast."), said)

		bob.Send(open(t, "History", "tea"))
		expect(t, "history", heard(bob),
			`{"type":3,"invocationId":"History"}`,
			`{"type":2,"invocationId":"History","item":{"from":"ann","text":"hello"}}`)
		bob.Send(call(t, "Leave", "tea"), call(t, "Leave", "tea"))
		expect(t, "bob leaves, once", heard(bob), done("Leave"), done("Leave"))
		expect(t, "bob leaves", heard(ann), `{"type":1,"target":"Left","arguments":["tea","bob"]}`)
		bob.Send(open(t, "History", "tea"))
		expect(t, "outside again", heard(bob), failed("History", unexpected+"'History' on the server. HubException: You are not in this room."))
		bob.Send(call(t, "Join", ""))
		expect(t, "a room without a name", heard(bob), failed("Join", unexpected+"'Join' on the server. HubException: recipient \\\"group/\\\" has no name after the slash"))
	})
}

func TestChatDepartureIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := room(t)
		ann, bob := come(t, s, "ann"), come(t, s, "bob")
		for _, b := range []*hubtest.Browser{ann, bob} {
			b.Send(call(t, "Join", "tea"))
			heard(b)
		}
		heard(ann)
		bob.Cut()
		expect(t, "ann", heard(ann), `{"type":1,"target":"Left","arguments":["tea","bob"]}`)
	})
}

func TestChatToSomebodyAndToAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := room(t)
		ann, bob := come(t, s, "ann", "moderator"), come(t, s, "bob")
		ann.Send(call(t, "Whisper", "bob", "psst"), call(t, "Whisper", "nobody", "psst"))
		expect(t, "ann whispers", heard(ann), done("Whisper"), done("Whisper"))
		expect(t, "bob hears", heard(bob), `{"type":1,"target":"Whispered","arguments":["ann","psst"]}`)
		bob.Send(call(t, "Announce", "me"))
		expect(t, "bob announces", heard(bob), failed("Announce", "Failed to invoke 'Announce' because user is unauthorized"))
		ann.Send(call(t, "Announce", "tea is ready"))
		const announced = `{"type":1,"target":"Announced","arguments":["tea is ready"]}`
		expect(t, "ann announces", heard(ann), done("Announce"), announced)
		expect(t, "bob hears", heard(bob), announced)
	})
}

func TestChatStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ann := come(t, room(t), "ann")
		ann.Send(open(t, "Countdown", 2))
		time.Sleep(3 * time.Second)
		expect(t, "counted down", heard(ann),
			`{"type":3,"invocationId":"Countdown"}`,
			`{"type":2,"invocationId":"Countdown","item":2}`,
			`{"type":2,"invocationId":"Countdown","item":1}`,
			`{"type":2,"invocationId":"Countdown","item":0}`)
		ann.Send(open(t, "Countdown", 1000))
		time.Sleep(1500 * time.Millisecond)
		ann.Send(`{"type":5,"invocationId":"Countdown"}`)
		expect(t, "cancelled", heard(ann),
			`{"type":3,"invocationId":"Countdown"}`,
			`{"type":2,"invocationId":"Countdown","item":1000}`)

		ann.Send(call(t, "Join", "tea"))
		expect(t, "joined", heard(ann), done("Join"))
		ann.Send(with(call(t, "Dictate", "tea"), "w"),
			`{"type":2,"invocationId":"w","item":"good"}`, `{"type":2,"invocationId":"w","item":"morning"}`, `{"type":3,"invocationId":"w"}`)
		expect(t, "dictated", heard(ann),
			`{"type":3,"invocationId":"Dictate","result":{"from":"ann","text":"good morning"}}`,
			`{"type":1,"target":"Said","arguments":["tea",{"from":"ann","text":"good morning"}]}`)
		ann.Send(with(call(t, "Dictate", "tea"), "w"), `{"type":3,"invocationId":"w","error":"lost my voice"}`)
		expect(t, "failed", heard(ann), failed("Dictate", unexpected+"'Dictate' on the server. HubException: lost my voice"))

		ann.Send(with(open(t, "Shout"), "l"), `{"type":2,"invocationId":"l","item":"hey"}`)
		expect(t, "as it comes", heard(ann), `{"type":2,"invocationId":"Shout","item":"HEY"}`)
		ann.Send(`{"type":3,"invocationId":"l"}`)
		expect(t, "to the end", heard(ann), `{"type":3,"invocationId":"Shout"}`)
	})
}

func TestChatInvitation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := room(t)
		ann, bob := come(t, s, "ann"), come(t, s, "bob")
		ann.Send(call(t, "Invite", bob.ID, "tea"))
		expect(t, "bob is asked", heard(bob), `{"type":1,"invocationId":"s1","target":"Invited","arguments":["tea","ann"]}`)
		bob.Send(`{"type":3,"invocationId":"s1","result":true}`)
		expect(t, "ann is told", heard(ann), `{"type":3,"invocationId":"Invite","result":true}`)
		ann.Send(call(t, "Invite", bob.ID, "tea"))
		time.Sleep(31 * time.Second)
		expect(t, "no answer", heard(ann), failed("Invite", unexpected+"'Invite' on the server. HubException: Invocation canceled by the server."))
	})
}

func TestChatReminder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chat, err := newChat(slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		ann := come(t, hubtest.ServePipes(t, chat, connections.Options{}), "ann")
		ctx, stop := context.WithCancel(t.Context())
		over := make(chan error, 1)
		go func() { over <- remind(ctx, chat, time.Minute) }()
		time.Sleep(time.Minute)
		expect(t, "reminded", heard(ann), `{"type":1,"target":"Announced","arguments":["Be kind."]}`)
		stop()
		if err := <-over; err != nil {
			t.Error(err)
		}
	})
}

// The program serves, lets nobody in without a token, and stops.
func TestChatProgram(t *testing.T) {
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	over := make(chan error, 1)
	go func() { over <- serve(ctx, socket, []byte(hubtest.Secret)) }()
	for token, want := range map[string]int{"": http.StatusUnauthorized, hubtest.Token(t, "ann"): http.StatusOK} {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+socket.Addr().String()+"/hubs/chat/negotiate?negotiateVersion=1", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != want {
			t.Errorf("negotiate with the token %q: %s, want %d", token, answer.Status, want)
		}
	}
	stop()
	if err := <-over; err != nil {
		t.Error(err)
	}
}
