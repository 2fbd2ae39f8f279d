package persistence

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tidings/notifications"
)

// Examination is what can be learnt of a NATS server without changing anything.
type Examination struct {
	// Version is that of the server.
	Version string
	// Skew is how far its clock is before that of this machine, give or take
	// Doubt. Both are 0 when there is no stream yet.
	Skew, Doubt time.Duration
	Streams     []StreamExamination
}

// StreamExamination is what can be learnt of one stream.
type StreamExamination struct {
	Name string
	// Missing: there is none yet; a node will make it.
	Missing bool
	// Differences say what a node would refuse it for.
	Differences     []string
	Messages, Bytes uint64
	// MaxBytes is its bound; 0 = none.
	MaxBytes uint64
	// Oldest and Newest are the times of the messages at its ends; zero = none.
	Oldest, Newest time.Time
}

// Examine looks at all that a node needs: its streams, and whether it may
// publish and subscribe. The error says what it may not.
func Examine(ctx context.Context, n *NATS, o Options) (Examination, error) {
	o = o.withDefaults()
	x := Examination{Version: n.conn.ConnectedServerVersion()}
	for _, want := range []jetstream.StreamConfig{
		o.logConfig(), o.rejectedConfig(), o.stateConfig(), o.scheduledConfig(), o.auditConfig(), o.visitsConfig(),
	} {
		if err := n.examine(ctx, &x, want); err != nil {
			return x, err
		}
	}
	if err := n.probeLive(ctx); err != nil || x.Streams[0].Missing {
		return x, err
	}
	return x, n.probeLog(ctx)
}

func (n *NATS) examine(ctx context.Context, x *Examination, want jetstream.StreamConfig) error {
	ctx, cancel := context.WithTimeout(ctx, attemptTime)
	defer cancel()
	began := time.Now()
	stream, err := n.js.Stream(ctx, want.Name)
	took := time.Since(began)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		x.Streams = append(x.Streams, StreamExamination{Name: want.Name, Missing: true})
		return nil
	}
	if err != nil {
		return n.denied(fmt.Errorf("stream %s: %w", want.Name, err))
	}
	info := stream.CachedInfo()
	if !info.TimeStamp.IsZero() {
		x.Skew, x.Doubt = info.TimeStamp.Sub(began.Add(took/2)), took/2
	}
	x.Streams = append(x.Streams, StreamExamination{
		Name: want.Name, Differences: compare(info.Config, want),
		Messages: info.State.Msgs, Bytes: info.State.Bytes, MaxBytes: uint64(max(info.Config.MaxBytes, 0)),
		Oldest: info.State.FirstTime, Newest: info.State.LastTime,
	})
	return nil
}

// probeLive finds out whether live messages may come and go, by one to nobody.
func (n *NATS) probeLive(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, attemptTime)
	defer cancel()
	subscription, err := n.conn.SubscribeSync(livePrefix + ">")
	if err != nil {
		return err
	}
	defer func() { _ = subscription.Unsubscribe() }() // the connection may be gone
	nobody := notifications.Recipient{Kind: notifications.Connection, Key: "doctor"}
	if err = n.conn.Publish(LiveSubject(notifications.DefaultHub, nobody), nil); err != nil {
		return err
	}
	if err = n.conn.FlushWithContext(ctx); err != nil {
		return err
	}
	return n.denied(nil)
}

// probeLog finds out whether events may be appended, by one that demands an
// impossible position: it leaves no trace.
func (n *NATS) probeLog(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, attemptTime)
	defer cancel()
	_, err := n.js.Publish(ctx, Subject(notifications.DefaultHub, notifications.ToUser("doctor")), nil, jetstream.WithExpectLastSequence(math.MaxInt64))
	if refused, is := errors.AsType[*jetstream.APIError](err); is && refused.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence {
		return nil // it may
	}
	return n.denied(fmt.Errorf("append to the log: %w", err))
}

// denied adds to an error what the server has said of permissions, which comes
// by itself, while the question is never answered.
func (n *NATS) denied(err error) error {
	if last := n.conn.LastError(); errors.Is(last, nats.ErrPermissionViolation) {
		return errors.Join(err, last)
	}
	return err
}
