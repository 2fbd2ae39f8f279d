//go:build unix

package main

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A relay is killed where it hurts most, and another one takes over.
func TestRelayIsKilled(t *testing.T) {
	for _, test := range []struct {
		name        string
		stored      bool // the server had the event when the relay died
		away        time.Duration
		posts, asks int64 // of both relays
	}{
		{"after it published, another comes at once", true, 0, 2, 0},
		{"after it published, another comes too late for the log to remember", true, 3 * time.Minute, 1, 1},
		{"before it published, another comes at once", false, 0, 2, 0},
		{"before it published, another comes late", false, 3 * time.Minute, 2, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			db, url := database(t)
			n := startTidings(t, t.TempDir())
			door := newDoor(t, n)
			var victim *exec.Cmd
			killed := make(chan struct{})
			kill := sync.OnceFunc(func() {
				if err := victim.Process.Kill(); err != nil {
					t.Error(err)
				}
				close(killed)
			})
			if test.stored {
				door.after = func(*http.Request) { kill() }
			} else {
				door.before = func(http.ResponseWriter, *http.Request) bool {
					first := door.posts.Load() == 1 && door.asks.Load() == 0
					kill()
					return first
				}
			}
			door.Start()
			victim = exec.CommandContext(t.Context(), program(t, "outbox"), "-database", url, "-tidings", door.URL,
				"-token-file", n.tokenFile(t, "shop", "emitter"))
			victim.Stderr = logWriter{t}
			if err := victim.Start(); err != nil {
				t.Fatal(err)
			}
			order(t, db, "ann", "1")
			<-killed
			_ = victim.Wait() // it was killed
			if got := rows(t, db)[0]; got.published != 0 {
				t.Fatalf("the relay has committed: %+v", got)
			}
			age(t, db, test.away)

			newRelay(t, db, n, door.URL).run(t)
			waitFor(t, "published", func() bool { return settled(t, db) })
			if got := rows(t, db)[0]; got.published != 1 || got.refused != "" {
				t.Errorf("got %+v, want position 1", got)
			}
			if posts, asks := door.posts.Load(), door.asks.Load(); posts != test.posts || asks != test.asks {
				t.Errorf("the relays posted %d times and asked %d times, want %d and %d", posts, asks, test.posts, test.asks)
			}
			if got := n.stored(t); got != 1 {
				t.Errorf("the log holds %d events, want 1", got)
			}
		})
	}
}

func TestTwoRelaysShareTheWork(t *testing.T) {
	db, _ := database(t)
	n := startTidings(t, t.TempDir())
	const customers, each = 8, 25
	for number := range each {
		for c := range customers {
			order(t, db, fmt.Sprint("customer", c), fmt.Sprintf("%d-%02d", c, number))
		}
	}
	// Neither begins before the other one is there.
	var both sync.WaitGroup
	both.Add(2)
	doors := []*door{newDoor(t, n), newDoor(t, n)}
	for _, d := range doors {
		var once sync.Once
		d.before = func(http.ResponseWriter, *http.Request) bool {
			once.Do(func() { both.Done(); both.Wait() })
			return false
		}
		d.Start()
		newRelay(t, db, n, d.URL).run(t)
	}
	waitFor(t, "published", func() bool { return settled(t, db) })
	last, places := map[string]int{}, map[int]bool{}
	for _, r := range rows(t, db) {
		if r.published <= last[r.recipient] || places[r.published] {
			t.Errorf("%s of %s has position %d, after %d", r.link, r.recipient, r.published, last[r.recipient])
		}
		last[r.recipient], places[r.published] = r.published, true
	}
	if a, b := doors[0].posts.Load(), doors[1].posts.Load(); a == 0 || b == 0 || a+b != customers*each {
		t.Errorf("the relays posted %d and %d times, want %d together", a, b, customers*each)
	}
	if got := n.stored(t); got != customers*each {
		t.Errorf("the log holds %d events, want %d", got, customers*each)
	}
	var want []string
	for number := range each {
		want = append(want, fmt.Sprintf("/orders/%d-%02d", 3, number))
	}
	if got := n.hear(t, "customer3", each); !slices.Equal(got, want) {
		t.Errorf("a browser hears\n%v, want\n%v", got, want)
	}
}

// A relay that waits for an answer holds up its recipient and nobody else.
func TestNothingOvertakesARowThatIsHeld(t *testing.T) {
	db, _ := database(t)
	n := startTidings(t, t.TempDir())
	order(t, db, "ann", "1", "2")
	order(t, db, "bob", "3")
	slow, fast := newDoor(t, n), newDoor(t, n)
	held, let := make(chan struct{}), make(chan struct{})
	release := sync.OnceFunc(func() { close(let) })
	defer release()
	var once sync.Once
	slow.before = func(http.ResponseWriter, *http.Request) bool {
		once.Do(func() { close(held); <-let })
		return false
	}
	slow.Start()
	fast.Start()
	newRelay(t, db, n, slow.URL).run(t)
	<-held
	other := newRelay(t, db, n, fast.URL)
	other.steps(t)
	got := rows(t, db)
	if got[0].published != 0 || got[1].published != 0 || got[2].published != 1 || fast.posts.Load() != 1 {
		t.Errorf("the other relay has posted %d times: %+v", fast.posts.Load(), got)
	}
	release()
	waitFor(t, "published", func() bool { return settled(t, db) })
	if got := rows(t, db); got[0].published != 2 || got[1].published != 3 {
		t.Errorf("got %+v", got)
	}
}

func TestTransactionThatRollsBackEmitsNothing(t *testing.T) {
	db, _ := database(t)
	n := startTidings(t, t.TempDir())
	order(t, db, "ann", "1")
	if err := placeOrder(t.Context(), db, "1", "bob"); err == nil {
		t.Fatal("the same number twice: want an error")
	}
	order(t, db, "ann", "2")
	newRelay(t, db, n, n.url).steps(t)
	got := rows(t, db)
	if len(got) != 2 || got[0].published != 1 || got[1].published != 2 || n.stored(t) != 2 {
		t.Errorf("got %+v, want positions 1 and 2", got)
	}
}

// write commits an event as it is.
func write(t *testing.T, db *sql.DB, recipient string, event map[string]any) {
	t.Helper()
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := emit(t.Context(), tx, recipient, event); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
}

func TestRefusedEventIsSetAside(t *testing.T) {
	db, _ := database(t)
	n := startTidings(t, t.TempDir())
	write(t, db, "user/ann", map[string]any{"severity": "loud"})
	write(t, db, "user/ann", map[string]any{"body": strings.Repeat("x", 70_000)})
	write(t, db, "everyone", map[string]any{"title": "not allowed"})
	order(t, db, "ann", "1")
	newRelay(t, db, n, n.url).steps(t)
	got := rows(t, db)
	for i, want := range []string{"severity: want info, success, warning or critical", "at most 65536 are allowed", "not allowed to emit"} {
		if got[i].published != 0 || !strings.Contains(got[i].refused, want) {
			t.Errorf("got %+v, want it refused with %q", got[i], want)
		}
	}
	if got[3].published != 1 {
		t.Errorf("what is behind them: %+v, want position 1", got[3])
	}
}

// An event whose time has not come is handed over and has no position.
func TestScheduledEvent(t *testing.T) {
	db, _ := database(t)
	n := startTidings(t, t.TempDir())
	write(t, db, "user/ann", map[string]any{"notBefore": time.Now().Add(time.Hour)})
	relay := newRelay(t, db, n, n.url)
	relay.steps(t)
	const published = `SELECT published FROM outbox`
	var position sql.NullInt64
	if err := db.QueryRowContext(t.Context(), published).Scan(&position); err != nil || position != (sql.NullInt64{Valid: true}) {
		t.Errorf("got %+v, %v, want position 0", position, err)
	}
	// The same for a relay that comes late.
	if _, err := db.ExecContext(t.Context(), `UPDATE outbox SET published = NULL`); err != nil {
		t.Fatal(err)
	}
	age(t, db, 3*time.Minute)
	relay.steps(t)
	if err := db.QueryRowContext(t.Context(), published).Scan(&position); err != nil || position != (sql.NullInt64{Valid: true}) {
		t.Errorf("late: got %+v, %v, want position 0", position, err)
	}
	if got := n.stored(t); got != 0 {
		t.Errorf("the log holds %d events, want none", got)
	}
}

// What is refused now may have been stored before, as an event that is scheduled
// and whose time has come meanwhile.
func TestRefusedEventThatWasStoredIsTakenOver(t *testing.T) {
	db, _ := database(t)
	n := startTidings(t, t.TempDir())
	order(t, db, "ann", "1")
	door := newDoor(t, n)
	ctx, die := context.WithCancel(t.Context())
	door.after = func(*http.Request) { die() }
	door.before = func(w http.ResponseWriter, r *http.Request) (answered bool) {
		if answered = r.Method == http.MethodPost && door.posts.Load() > 1; answered {
			w.WriteHeader(http.StatusUnprocessableEntity)
			_, _ = w.Write([]byte(`{"status":422,"detail":"invalid event: notBefore: has passed already"}`))
		}
		return answered
	}
	door.Start()
	relay := newRelay(t, db, n, door.URL)
	for ctx.Err() == nil {
		if _, err := relay.step(ctx); (err != nil) != (ctx.Err() != nil) {
			t.Fatal(err)
		}
	}
	relay.steps(t)
	if got := rows(t, db)[0]; got.published != 1 || got.refused != "" || door.posts.Load() != 2 || door.asks.Load() != 1 {
		t.Errorf("got %+v after %d posts and %d questions, want position 1 after 2 and 1", got, door.posts.Load(), door.asks.Load())
	}
}

func TestTidingsIsAway(t *testing.T) {
	db, _ := database(t)
	n := startTidings(t, t.TempDir())
	order(t, db, "ann", "1", "2")
	door := newDoor(t, n)
	address := door.Listener.Addr().String()
	relay := newRelay(t, db, n, "http://"+address)
	if worked, err := relay.step(t.Context()); !worked || err != nil { // the attempt is noted
		t.Fatal(worked, err)
	}
	if err := door.Listener.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := relay.step(t.Context()); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("nobody listens: got %v", err)
	}
	var err error
	if door.Listener, err = net.Listen("tcp", address); err != nil {
		t.Fatal(err)
	}
	spoilt := []struct {
		want string
		with func(http.ResponseWriter)
	}{
		{"EOF", func(http.ResponseWriter) { panic(http.ErrAbortHandler) }},
		{"500", func(w http.ResponseWriter) { w.WriteHeader(http.StatusInternalServerError) }},
		{"401", func(w http.ResponseWriter) { w.WriteHeader(http.StatusUnauthorized) }},
		{"403", func(w http.ResponseWriter) { w.WriteHeader(http.StatusForbidden) }},       // what a proxy says is no refusal
		{"200", func(w http.ResponseWriter) { _, _ = w.Write([]byte("<!doctype html>")) }}, // some proxies answer so
	}
	door.before = func(w http.ResponseWriter, _ *http.Request) (answered bool) {
		i := int(door.posts.Load()) - 1
		if answered = i < len(spoilt); answered {
			spoilt[i].with(w)
		}
		return answered
	}
	door.Start()
	for _, test := range spoilt {
		if _, err := relay.step(t.Context()); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("got %v, want %s", err, test.want)
		}
	}
	if got := rows(t, db); got[0].published != 0 || got[0].refused != "" || n.stored(t) != 0 {
		t.Errorf("got %+v, want that it waits", got)
	}
	relay.steps(t)
	if got := rows(t, db); got[0].published != 2 || got[1].published != 3 { // stored has taken one
		t.Errorf("got %+v, want positions 2 and 3", got)
	}
}

func TestRelayWaitsAndTriesAgain(t *testing.T) {
	db, _ := database(t)
	data := t.TempDir()
	n := startTidings(t, data)
	door := newDoor(t, n)
	var asked []time.Time // one at a time
	door.before = func(w http.ResponseWriter, _ *http.Request) bool {
		asked = append(asked, time.Now())
		busy := []int{http.StatusServiceUnavailable, http.StatusTooManyRequests}
		if len(asked) > len(busy) {
			return false
		}
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(busy[len(asked)-1])
		return true
	}
	door.Start()
	newRelay(t, db, n, door.URL).run(t)
	order(t, db, "ann", "1")
	waitFor(t, "published", func() bool { return settled(t, db) })
	for i := range 2 {
		if waited := asked[i+1].Sub(asked[i]); waited < time.Second {
			t.Errorf("request %d came after %v, the server had said 1 s", i+1, waited)
		}
	}

	// The server dies, with its port, and comes back with its log.
	if err := n.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = n.Wait() // it was killed
	order(t, db, "ann", "2", "3")
	tried := door.posts.Load()
	waitFor(t, "tried", func() bool { return door.posts.Load() > tried })
	n = startTidings(t, data)
	door.leadTo(t, n)
	waitFor(t, "published", func() bool { return settled(t, db) })
	if got := rows(t, db); got[0].published != 1 || got[1].published != 2 || got[2].published != 3 || n.stored(t) != 3 {
		t.Errorf("got %+v, want positions 1 to 3", got)
	}
}

// What the guide shows of this example is in it, word for word.
func TestGuideShowsThisExample(t *testing.T) {
	guide, err := os.ReadFile("../../guides/emitting.md")
	if err != nil {
		t.Fatal(err)
	}
	var code string
	for _, name := range []string{"schema.sql", "relay.go"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		code += string(text)
	}
	shown := regexp.MustCompile("(?s)```(?:go|sql)\n(.*?\n)```").FindAllStringSubmatch(string(guide), -1)
	if len(shown) != 3 {
		t.Errorf("the guide shows %d blocks, want 3", len(shown))
	}
	for _, block := range shown {
		if !strings.Contains(code, block[1]) {
			t.Errorf("this is not in the example:\n%s", block[1])
		}
	}
}
