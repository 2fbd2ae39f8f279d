package persistence

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"tidings/notifications"
)

// The index answers as a walk over all events would, whatever was trimmed and
// whichever positions are holes.
func TestIndexIsAWalkOverTheLog(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := newIndex()
		var model []*notifications.Entry
		first := notifications.Position(1)
		p := notifications.Position(0)
		recipients := []notifications.Recipient{notifications.ToUser("a"), notifications.ToUser("b"), notifications.ToGroup("g"), notifications.ToEveryone()}
		for range rapid.IntRange(1, 120).Draw(t, "steps") {
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			case 0:
				first = min(first+notifications.Position(rapid.IntRange(0, 20).Draw(t, "trim")), p+1)
				x.trim(first)
			case 1:
				p += notifications.Position(rapid.IntRange(1, 3).Draw(t, "hole"))
			default:
				p++
				e := &notifications.Entry{Position: p, Hub: "h", Stored: time.UnixMilli(int64(p) * 10), Event: notifications.Event{
					Recipient: rapid.SampledFrom(recipients).Draw(t, "to"),
					MembersAt: rapid.SampledFrom([]notifications.MembersAt{notifications.Emit, notifications.Read}).Draw(t, "members"),
				}}
				x.add(p, e.Stored, e)
				model = append(model, e)
			}
			compareWithModel(t, x, model, first)
		}
	})
}

func compareWithModel(t *rapid.T, x *index, model []*notifications.Entry, first notifications.Position) {
	var memberships []notifications.Membership
	for _, r := range []notifications.Recipient{notifications.ToUser("a"), notifications.ToGroup("g"), notifications.ToEveryone()} {
		if rapid.Bool().Draw(t, "member") {
			memberships = append(memberships, notifications.Membership{Recipient: r, Since: notifications.Position(rapid.IntRange(0, 60).Draw(t, "since"))})
		}
	}
	after := notifications.Position(rapid.IntRange(0, 100).Draw(t, "after"))
	var want []notifications.Position
	for _, e := range model {
		if e.Position > after && e.Position >= first && slices.ContainsFunc(memberships, func(m notifications.Membership) bool {
			return m.Recipient == e.Event.Recipient && (e.Position > m.Since || e.Event.MembersAt == notifications.Read)
		}) {
			want = append(want, e.Position)
		}
	}
	limit := rapid.IntRange(1, 50).Draw(t, "limit")
	got, upTo := x.find("h", memberships, after, limit)
	head := x.head()
	if len(want) > limit {
		want, head = want[:limit], want[limit-1]
	}
	if fmt.Sprint(got) != fmt.Sprint(want) || upTo != head {
		t.Fatalf("find after %d, limit %d: got %v up to %d, want %v up to %d", after, limit, got, upTo, want, head)
	}
	if other, _ := x.find("other", memberships, 0, 10); len(other) != 0 {
		t.Fatalf("another hub has %v", other)
	}
	for _, e := range model {
		if at, held := x.storedAt(e.Position); held != (e.Position >= first) || (held && !at.Equal(e.Stored)) {
			t.Fatalf("storedAt %d: got %v, %v", e.Position, at, held)
		}
		if before := x.before(e.Stored); e.Position >= first && before >= e.Position {
			t.Fatalf("before the time of %d: got %d", e.Position, before)
		}
	}
}

func BenchmarkIndexFind(b *testing.B) {
	x := newIndex()
	for p := notifications.Position(1); p <= 1_000_000; p++ {
		x.add(p, time.UnixMilli(int64(p)), &notifications.Entry{Position: p, Hub: "h", Event: notifications.Event{Recipient: notifications.ToUser(fmt.Sprint(p % 100_000))}})
	}
	m := []notifications.Membership{{Recipient: notifications.ToUser("77")}, {Recipient: notifications.ToRole("ops")}, {Recipient: notifications.ToEveryone()}}
	b.ReportAllocs()
	for b.Loop() {
		x.find("h", m, 500_000, 128)
	}
}
