package persistence

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tidings/notifications"
)

const statePrefix = "tidings.state."

// stateSubject is where the changes of a user are stored.
func stateSubject(hub, user string) string {
	return subject(statePrefix, hub, notifications.ToUser(user))
}

// stateForm is what is stored of a user: a change, and now and then the state
// after it, so that the changes before it need not be read. It is read for as
// long as the state is kept.
type stateForm struct {
	Change   *notifications.Change `json:"change"`
	Snapshot *notifications.State  `json:"snapshot,omitempty"`
	// Milestone is the newest milestone before this snapshot. A snapshot without
	// one is a milestone itself: history is purged up to a milestone.
	Milestone *link `json:"milestone,omitempty"`
	// Chain are the milestones before this one that are kept, oldest first.
	Chain []link `json:"chain,omitempty"`
}

// link is a milestone: the sequence of its message and when it was stored.
type link struct {
	Sequence uint64    `json:"sequence"`
	At       time.Time `json:"at"`
}

// stateMessage is one message of a user's subject.
type stateMessage struct {
	stateForm

	sequence uint64
	// after is the sequence of the message before it on the subject, when it was
	// stored; 0 = it was the first.
	after uint64
	size  int // of what is stored, in bytes
	at    time.Time
}

func readState(data []byte, header nats.Header, sequence uint64, at time.Time) (stateMessage, error) {
	m := stateMessage{sequence: sequence, size: len(data), at: at}
	if err := json.Unmarshal(data, &m.stateForm); err != nil {
		return m, fmt.Errorf("state at %d: %w", sequence, err)
	}
	if m.Change == nil {
		return m, fmt.Errorf("state at %d: no change", sequence)
	}
	// The writer has demanded it of the server, which keeps the demand.
	after, err := strconv.ParseUint(header.Get(jetstream.ExpectedLastSubjSeqHeader), 10, 64)
	if err != nil || after >= sequence {
		return m, fmt.Errorf("state at %d: %s: %q", sequence, jetstream.ExpectedLastSubjSeqHeader, header.Get(jetstream.ExpectedLastSubjSeqHeader))
	}
	m.after = after
	return m, nil
}

func readRawState(raw *jetstream.RawStreamMsg) (stateMessage, error) {
	return readState(raw.Data, raw.Header, raw.Sequence, raw.Time)
}

func (m stateMessage) changed(hub, user string) notifications.Changed {
	return notifications.Changed{Hub: hub, User: user, Version: notifications.Version(m.sequence), Change: *m.Change}
}

// folded is a state, and what its writer must know to go on.
type folded struct {
	state notifications.State
	// snapshot is the size of the newest snapshot and its change; tail and count
	// are the size and the number of the changes after it.
	snapshot, tail, count int
	milestone             link // the newest one; its sequence is 0 if there is none
}

func (f folded) version() uint64 { return uint64(f.state.Version) }

// with is the fold with one more message. A snapshot says what all messages
// before it say, without what its writer has trimmed.
func (f folded) with(hub, user string, m stateMessage) folded {
	if m.Snapshot == nil {
		f.state = f.state.Apply(m.changed(hub, user))
		f.tail += m.size
		f.count++
		return f
	}
	n := folded{state: *m.Snapshot, snapshot: m.size, milestone: link{m.sequence, m.at}}
	n.state.Version = notifications.Version(m.sequence)
	if m.Milestone != nil {
		n.milestone = *m.Milestone
	}
	return n
}

// snapshotMost is how many changes have a snapshot before them at most.
const snapshotMost = 64

// due tells whether the next change is to be stored with a snapshot: when the
// changes since the last one take as much room as it does. So most users are
// read with one or two messages, and all snapshots together take no more than
// about as much room as all changes.
func (f folded) due() bool {
	return f.version() > 0 && (f.tail >= f.snapshot || f.count+1 >= snapshotMost)
}

// The bounds of a chain: its length, and the time between its links.
const (
	chainLinks   = 64
	chainSpacing = 24 * time.Hour
)

// spacing is the time between milestones: a day, less if the log is kept for
// less, and more if the chain would become too long.
func spacing(age time.Duration) time.Duration {
	return max(min(chainSpacing, age), age/(chainLinks/2))
}

// extend is a chain with one more milestone. What came before horizon, the
// newest link that is older than the log keeps events, is left out: nothing in
// the log can be explained with it. horizon is 0 if there is none.
func extend(chain []link, next link, now time.Time, age time.Duration) (extended []link, horizon uint64) {
	extended = append(slices.Clone(chain), next)
	old, _ := slices.BinarySearchFunc(extended, now.Add(-age), func(l link, t time.Time) int {
		return cmp.Compare(l.At.UnixNano(), t.UnixNano())
	})
	if old > 0 {
		extended = extended[old-1:]
		horizon = extended[0].Sequence
	}
	return extended[max(0, len(extended)-chainLinks):], horizon
}
