package actors_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"tidings/actors"
)

// Somebody is traced from the moment operators say so until the time is over, on
// connections that are there and on those that come.
func TestTraceList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, actors.Options{Shards: 2})
		traced := func(id string) bool {
			t.Helper()
			synctest.Wait()
			info, known, err := n.system.Connection(t.Context(), id)
			if err != nil || !known {
				t.Fatalf("connection %s: known %v, %v", id, known, err)
			}
			return info.Traced
		}
		n.connect(actors.Member{ID: "a1", User: "ann"})
		n.connect(actors.Member{ID: "b1", User: "bob"})
		until := time.Now().Add(10 * time.Second)
		if err := n.system.Trace("ann", until); err != nil {
			t.Fatal(err)
		}
		n.connect(actors.Member{ID: "a2", User: "ann"})
		if a1, a2, b1 := traced("a1"), traced("a2"), traced("b1"); !a1 || !a2 || b1 {
			t.Errorf("traced: ann %v and %v, bob %v, want ann alone", a1, a2, b1)
		}
		if got := n.system.Traced(); len(got) != 1 || !got["ann"].Equal(until) {
			t.Errorf("Traced: got %v, want ann until %v", got, until)
		}
		time.Sleep(9 * time.Second) // bubble time
		if !traced("a1") {
			t.Error("after 9 of 10 seconds nobody traces ann")
		}
		time.Sleep(2 * time.Second)
		if traced("a1") || len(n.system.Traced()) != 0 {
			t.Errorf("after 11 of 10 seconds ann is traced: %v", n.system.Traced())
		}
		n.connect(actors.Member{ID: "a3", User: "ann"})
		if traced("a3") {
			t.Error("ann is traced again when she comes back")
		}
		if err := n.system.Trace("bob", time.Now().Add(time.Hour)); err != nil || !traced("b1") {
			t.Errorf("bob is not traced: %v", err)
		}
		n.system.Untrace("bob")
		n.system.Untrace("zoe")
		if traced("b1") {
			t.Error("bob is traced though nobody wants that any more")
		}
	})
}

// Only so many are traced at the same time, and nobody without a name.
func TestTraceListIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, actors.Options{})
		until := time.Now().Add(time.Minute)
		for i := range 100 {
			if err := n.system.Trace(fmt.Sprint("u", i), until); err != nil {
				t.Fatal(err)
			}
		}
		if err := n.system.Trace("ann", until); !errors.Is(err, actors.ErrTooManyTraced) {
			t.Errorf("the 101st: got %v, want ErrTooManyTraced", err)
		}
		if err := n.system.Trace("u7", until.Add(time.Minute)); err != nil {
			t.Errorf("one who is traced already: %v", err)
		}
		if err := n.system.Trace("", until); !errors.Is(err, actors.ErrNoUser) {
			t.Errorf("nobody: got %v, want ErrNoUser", err)
		}
		time.Sleep(time.Minute) // bubble time
		if err := n.system.Trace("ann", until.Add(time.Minute)); err != nil {
			t.Errorf("when the others' time is over: %v", err)
		}
		if got := len(n.system.Traced()); got != 2 {
			t.Errorf("%d are traced, want ann and u7", got)
		}
	})
}
