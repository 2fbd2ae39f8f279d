package notifications_test

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tidings/notifications"
)

// memory is a log of entries for one hub; it implements notifications.Reader.
type memory struct {
	state   notifications.LogState
	entries []*notifications.Entry
}

// storedAt is when the memory took the entry at a position.
func storedAt(p notifications.Position) time.Time { return now.Add(time.Duration(p) * time.Second) }

// newMemory holds the positions from first to last; those without a recipient
// have expired.
func newMemory(first, last notifications.Position, recipients map[notifications.Position]notifications.Recipient) *memory {
	m := &memory{state: notifications.LogState{Epoch: 7, First: first, Last: last, End: last}}
	for p := first; p <= last; p++ {
		if r, held := recipients[p]; held {
			e := notifications.Event{Recipient: r}
			m.entries = append(m.entries, &notifications.Entry{Position: p, Hub: hub, Event: e, Stored: storedAt(p)})
		}
	}
	return m
}

func (m *memory) of(name string, memberships []notifications.Membership) []*notifications.Entry {
	var all []*notifications.Entry
	for _, e := range m.entries {
		for _, to := range memberships {
			if e.Hub == name && e.Event.Recipient == to.Recipient && e.Position > to.Since {
				all = append(all, e)
				break
			}
		}
	}
	return all
}

func (m *memory) Read(_ context.Context, q notifications.Query) (notifications.Page, error) {
	page := notifications.Page{UpTo: m.state.Last, First: m.state.First}
	for _, e := range m.of(q.Hub, q.Memberships) {
		if e.Position > q.After {
			page.Entries = append(page.Entries, e)
		}
	}
	return page, nil
}

func (m *memory) State() notifications.LogState { return m.state }

func (m *memory) Before(t time.Time) (newest notifications.Position) {
	for _, e := range m.entries {
		if e.Stored.Before(t) {
			newest = e.Position
		}
	}
	return newest
}

func (m *memory) Recent(name string, memberships []notifications.Membership, n int) (after notifications.Position, found int) {
	all := m.of(name, memberships)
	if all = all[max(0, len(all)-n):]; len(all) == 0 {
		return m.state.Last, 0
	}
	return all[0].Position - 1, len(all)
}

func (m *memory) StoredAt(p notifications.Position) (time.Time, bool) {
	for _, e := range m.entries {
		if e.Position == p {
			return e.Stored, true
		}
	}
	return time.Time{}, false
}

// shop holds 3 to 8 of a log that began at 1; 6 has expired.
func shop() *memory {
	ann, bob := notifications.ToUser("ann"), notifications.ToUser("bob")
	return newMemory(3, 8, map[notifications.Position]notifications.Recipient{3: ann, 4: bob, 5: ann, 7: bob, 8: notifications.ToEveryone()})
}

// place is the cursor of a position of a memory.
func place(p notifications.Position) notifications.Cursor {
	return notifications.Cursor{Epoch: 7, Position: p, Stored: storedAt(p)}
}

// asAnn are the memberships of ann.
func asAnn() []notifications.Membership {
	return []notifications.Membership{{Recipient: notifications.ToUser("ann")}, {Recipient: notifications.ToEveryone()}}
}

func TestResumeStartsWhereTheClientIs(t *testing.T) {
	text := func(c notifications.Cursor) notifications.ResumeRequest {
		return notifications.ResumeRequest{Cursor: c.String()}
	}
	device := func(c notifications.Cursor) *notifications.Device { return &notifications.Device{Cursor: c} }
	bare := func(p notifications.Position) notifications.Cursor {
		return notifications.Cursor{Epoch: 7, Position: p}
	}
	last := func(n int) notifications.ResumeRequest { return notifications.ResumeRequest{Last: n} }
	since := func(p notifications.Position) notifications.ResumeRequest {
		return notifications.ResumeRequest{Since: storedAt(p)}
	}
	all := notifications.ResumeRequest{All: true}
	whole := newMemory(1, 2, map[notifications.Position]notifications.Recipient{1: notifications.ToUser("ann"), 2: notifications.ToUser("bob")})
	empty, emptied := newMemory(1, 0, nil), newMemory(9, 8, nil)
	behind := shop() // this node has not read all of the log
	behind.state.End = 10

	// want is what a client hears first; its place has a time only if the log
	// holds the position.
	type want struct {
		after                        notifications.Position
		at                           notifications.Cursor
		oldest, replaying, truncated bool
	}
	gone := want{after: 2, at: bare(2), oldest: true, replaying: true, truncated: true}
	for _, test := range []struct {
		name    string
		log     *memory
		request notifications.ResumeRequest
		device  *notifications.Device
		want    want
	}{
		{"fresh", shop(), notifications.ResumeRequest{}, nil, want{after: 8, at: place(8)}},
		{"device of nobody", shop(), notifications.ResumeRequest{Device: "d1"}, nil, want{after: 8, at: place(8)}},

		{"cursor at the end", shop(), text(place(8)), nil, want{after: 8, at: place(8)}},
		{"cursor with more behind it", shop(), text(place(5)), nil, want{after: 5, at: place(5), replaying: true}},
		{"cursor at another's event", shop(), text(place(4)), nil, want{after: 4, at: place(4), replaying: true}},
		{"cursor without a time", shop(), text(bare(7)), nil, want{after: 7, at: place(7), replaying: true}},
		{"cursor at an expired event", shop(), text(place(6)), nil, want{after: 6, at: bare(6), replaying: true}},
		{"cursor before the first, nothing between", shop(), text(place(2)), nil, want{after: 2, at: bare(2), replaying: true}},
		{"cursor before the first, something between", shop(), text(place(1)), nil, gone},
		{"cursor before all", shop(), text(bare(0)), nil, gone},
		{"cursor before all, all there", whole, text(bare(0)), nil, want{after: 0, at: bare(0), replaying: true}},
		{"cursor of another epoch", shop(), text(notifications.Cursor{Epoch: 8, Position: 5, Stored: storedAt(5)}), nil, gone},
		{"cursor beyond the end", shop(), text(place(9)), nil, gone},
		{"cursor far beyond the end", shop(), text(bare(1<<64 - 1)), nil, gone},
		{"cursor with the time of another entry", shop(), text(notifications.Cursor{Epoch: 7, Position: 5, Stored: storedAt(4)}), nil, gone},
		{"cursor that is none", shop(), notifications.ResumeRequest{Cursor: "x"}, nil, gone},
		{"cursor that this node has not read yet", behind, text(place(9)), nil, want{after: 9, at: bare(9)}},
		{"cursor at the end that is known", behind, text(place(10)), nil, want{after: 10, at: bare(10)}},
		{"cursor beyond the end that is known", behind, text(place(11)), nil, gone},
		{"fresh while this node reads", behind, notifications.ResumeRequest{}, nil, want{after: 8, at: place(8)}},

		{"device", shop(), notifications.ResumeRequest{Device: "d1"}, device(place(5)), want{after: 5, at: place(5), replaying: true}},
		{"device that has all", shop(), notifications.ResumeRequest{Device: "d1"}, device(place(8)), want{after: 8, at: place(8)}},
		{"device of another epoch", shop(), notifications.ResumeRequest{Device: "d1"}, device(notifications.Cursor{Epoch: 8, Position: 5}), gone},
		{"device before replay", shop(), notifications.ResumeRequest{All: true, Last: 3}, device(place(8)), want{after: 8, at: place(8)}},
		{"cursor before device", shop(), text(place(8)), device(place(3)), want{after: 8, at: place(8)}},
		{"cursor before replay", shop(), notifications.ResumeRequest{Cursor: place(8).String(), All: true}, nil, want{after: 8, at: place(8)}},

		{"last 1", shop(), last(1), nil, want{after: 7, at: place(7), replaying: true}},
		{"last 2", shop(), last(2), nil, want{after: 4, at: place(4), replaying: true}},
		{"last of all", shop(), last(100), nil, want{after: 2, at: bare(2), replaying: true}},
		{"last of nothing", empty, last(1), nil, want{after: 0, at: bare(0)}},

		{"since a moment", shop(), since(5), nil, want{after: 4, at: place(4), replaying: true}},
		{"since the moment of the first", shop(), since(3), nil, want{after: 2, at: bare(2), oldest: true, replaying: true}},
		{"since before the first", shop(), since(2), nil, gone},
		{"since before the first, all there", whole, since(0), nil, want{after: 0, at: bare(0), oldest: true, replaying: true}},
		{"since after the end", shop(), since(9), nil, want{after: 8, at: place(8)}},
		{"since in an empty log", empty, since(5), nil, want{after: 0, at: bare(0), oldest: true}},

		{"all", shop(), all, nil, want{after: 2, at: bare(2), oldest: true, replaying: true}},
		{"all of a whole log", whole, all, nil, want{after: 0, at: bare(0), oldest: true, replaying: true}},
		{"all of an empty log", empty, all, nil, want{after: 0, at: bare(0), oldest: true}},
		{"all of an emptied log", emptied, all, nil, want{after: 8, at: bare(8), oldest: true}},
		{"fresh in an empty log", empty, notifications.ResumeRequest{}, nil, want{after: 0, at: bare(0)}},
		{"cursor in an emptied log", emptied, text(place(5)), nil, want{after: 8, at: bare(8), oldest: true, truncated: true}},
		{"cursor at the end of an emptied log", emptied, text(place(8)), nil, want{after: 8, at: bare(8)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := test.request.Resolve(test.log, hub, asAnn(), test.device)
			want := notifications.Start{After: test.want.after, Oldest: test.want.oldest, Resumed: notifications.Resumed{
				Cursor: test.want.at.String(), Replaying: test.want.replaying, Truncated: test.want.truncated, First: test.log.state.First,
			}}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("request %+v, device %+v: start (-want +got):\n%s", test.request, test.device, diff)
			}
		})
	}
}

func TestReplayIsOnlyAnnouncedToWhomItIsFor(t *testing.T) {
	request := notifications.ResumeRequest{Cursor: place(5).String()}
	for _, test := range []struct {
		name        string
		hub         string
		memberships []notifications.Membership
		want        bool
	}{
		{"everyone", hub, []notifications.Membership{{Recipient: notifications.ToEveryone()}}, true},
		{"bob", hub, []notifications.Membership{{Recipient: notifications.ToUser("bob")}}, true},
		{"ann", hub, []notifications.Membership{{Recipient: notifications.ToUser("ann")}}, false},
		{"joined before", hub, []notifications.Membership{{Recipient: notifications.ToUser("bob"), Since: 6}}, true},
		{"joined after", hub, []notifications.Membership{{Recipient: notifications.ToUser("bob"), Since: 7}}, false},
		{"nobody", hub, nil, false},
		{"another hub", "chat", asAnn(), false},
	} {
		if got := request.Resolve(shop(), test.hub, test.memberships, nil); got.Resumed.Replaying != test.want || got.After != 5 {
			t.Errorf("%s: got %+v, want replaying %v after 5", test.name, got, test.want)
		}
	}
}

func TestClientMayBeAheadOfThisNode(t *testing.T) {
	state := notifications.LogState{Epoch: 7, First: 3, Last: 8, End: 10}
	other := notifications.Cursor{Epoch: 8, Position: 11}
	for _, test := range []struct {
		name    string
		request notifications.ResumeRequest
		device  *notifications.Device
		want    bool
	}{
		{"fresh", notifications.ResumeRequest{All: true}, nil, false},
		{"cursor at the end", notifications.ResumeRequest{Cursor: place(10).String()}, nil, false},
		{"cursor beyond the end", notifications.ResumeRequest{Cursor: place(11).String()}, nil, true},
		{"cursor of another log", notifications.ResumeRequest{Cursor: other.String()}, nil, false},
		{"cursor that is none", notifications.ResumeRequest{Cursor: "x"}, nil, false},
		{"cursor that is none, with a device", notifications.ResumeRequest{Cursor: "x"}, &notifications.Device{Cursor: place(11)}, true},
		{"device beyond the end", notifications.ResumeRequest{Device: "d1"}, &notifications.Device{Cursor: place(11)}, true},
		{"device at the end", notifications.ResumeRequest{Device: "d1"}, &notifications.Device{Cursor: place(10)}, false},
	} {
		if got := test.request.Ahead(state, test.device); got != test.want {
			t.Errorf("%s: %+v with device %+v: got %v, want %v", test.name, test.request, test.device, got, test.want)
		}
	}
}

func TestCursorOfAPositionHasItsTimeIfTheLogHoldsIt(t *testing.T) {
	for p, want := range map[notifications.Position]notifications.Cursor{5: place(5), 6: {Epoch: 7, Position: 6}, 1: {Epoch: 7, Position: 1}} {
		if got := notifications.CursorAt(shop(), p); got != want {
			t.Errorf("position %d: got %+v, want %+v", p, got, want)
		}
	}
}

func TestResumeIsReadFromTheQuery(t *testing.T) {
	moment := time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)
	for _, test := range []struct {
		query string
		want  notifications.ResumeRequest
	}{
		{"", notifications.ResumeRequest{}},
		{"id=x&access_token=y", notifications.ResumeRequest{}},
		{"cursor=abc", notifications.ResumeRequest{Cursor: "abc"}},
		{"Cursor=abc", notifications.ResumeRequest{Cursor: "abc"}},
		{"cursor=not%20a%20cursor", notifications.ResumeRequest{Cursor: "not a cursor"}},
		{"cursor=a&cursor=b", notifications.ResumeRequest{Cursor: "a"}},
		{"cursor=&device=&replay=", notifications.ResumeRequest{}},
		{"device=d1", notifications.ResumeRequest{Device: "d1"}},
		{"DEVICE=" + strings.Repeat("d", 128), notifications.ResumeRequest{Device: strings.Repeat("d", 128)}},
		{"replay=all", notifications.ResumeRequest{All: true}},
		{"replay=last:1", notifications.ResumeRequest{Last: 1}},
		{"Replay=last:10000", notifications.ResumeRequest{Last: 10000}},
		{"replay=since:2026-01-02T15:04:05Z", notifications.ResumeRequest{Since: moment}},
		{"replay=since:2026-01-02T16:04:05%2B01:00", notifications.ResumeRequest{Since: moment}},
		{"replay=since:2026-01-02T16:04:05+01:00", notifications.ResumeRequest{Since: moment}}, // a plus that was not escaped
		{"replay=since:2026-01-02T15:04:05.000Z", notifications.ResumeRequest{Since: moment}},
		{"cursor=abc&device=d1&replay=last:5", notifications.ResumeRequest{Cursor: "abc", Device: "d1", Last: 5}},
	} {
		query, err := url.ParseQuery(test.query)
		if err != nil {
			t.Fatal(err)
		}
		got, err := notifications.ParseResume(query)
		if diff := cmp.Diff(test.want, got); diff != "" || err != nil {
			t.Errorf("%s: error %v, request (-want +got):\n%s", test.query, err, diff)
		}
	}
	if got, err := notifications.ParseResume(url.Values{"cursor": nil}); err != nil || got.Cursor != "" {
		t.Errorf("a parameter without a value: got %+v, error %v", got, err)
	}
}

func TestResumeNamesTheParameterThatIsWrong(t *testing.T) {
	for _, test := range []struct{ query, want string }{
		{"device=" + strings.Repeat("d", 129), "device: want 1 to 128 bytes of text"},
		{"device=a%0Ab", "device: want 1 to 128 bytes of text"},
		{"device=%FF", "device: want 1 to 128 bytes of text"},
		{"replay=ALL", `replay: want last:N, since:TIME or all, got "ALL"`},
		{"replay=all:1", `replay: want last:N, since:TIME or all, got "all:1"`},
		{"replay=5", `replay: want last:N, since:TIME or all, got "5"`},
		{"replay=" + strings.Repeat("x", 100), `replay: want last:N, since:TIME or all, got "` + strings.Repeat("x", 64) + `…"`},
		{"replay=last", `replay: want last:1 to last:10000, got "last"`},
		{"replay=last:", `replay: want last:1 to last:10000, got "last:"`},
		{"replay=last:0", `replay: want last:1 to last:10000, got "last:0"`},
		{"replay=last:-1", `replay: want last:1 to last:10000, got "last:-1"`},
		{"replay=last:10001", `replay: want last:1 to last:10000, got "last:10001"`},
		{"replay=last:99999999999999999999", `replay: want last:1 to last:10000, got "last:99999999999999999999"`},
		{"replay=last:1.5", `replay: want last:1 to last:10000, got "last:1.5"`},
		{"replay=since", `replay: want since:<RFC 3339 time>, got "since"`},
		{"replay=since:yesterday", `replay: want since:<RFC 3339 time>, got "since:yesterday"`},
		{"replay=since:2026-01-02", `replay: want since:<RFC 3339 time>, got "since:2026-01-02"`},
	} {
		query, err := url.ParseQuery(test.query)
		if err != nil {
			t.Fatal(err)
		}
		got, err := notifications.ParseResume(query)
		if err == nil || err.Error() != test.want || got != (notifications.ResumeRequest{}) {
			t.Errorf("%s: got %+v, error %v, want %s", test.query, got, err, test.want)
		}
	}
}
