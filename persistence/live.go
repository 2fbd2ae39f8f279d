package persistence

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"unicode/utf8"

	"github.com/nats-io/nats.go"

	"tidings/notifications"
)

// liveBuffer is how many unstored messages may wait; beyond, the newest are
// dropped: their emitters asked for no more.
const liveBuffer = 64 << 10

// liveForm is the payload of an unstored message. Any other JSON is the one
// argument of the default target.
type liveForm struct {
	Target    string            `json:"target"`
	Arguments []json.RawMessage `json:"arguments"`
	Except    []string          `json:"except,omitempty"`
}

// FollowLive hands on what is published to the live subjects, in order, until
// ctx ends.
func (l *Log) FollowLive(ctx context.Context, deliver func(context.Context, notifications.Live)) error {
	incoming := make(chan *nats.Msg, liveBuffer)
	subscription, err := l.nats.conn.ChanSubscribe(livePrefix+">", incoming)
	if err != nil {
		return fmt.Errorf("follow live messages: %w", err)
	}
	defer func() { _ = subscription.Unsubscribe() }() // the connection may be gone
	for {
		select {
		case <-ctx.Done():
			return nil
		case msg := <-incoming:
			live, err := readLive(msg)
			if err != nil {
				l.o.Logger.WarnContext(ctx, "live message cannot be read", slog.String("subject", msg.Subject), slog.Any("error", err))
				continue
			}
			deliver(ctx, live)
		}
	}
}

func readLive(msg *nats.Msg) (notifications.Live, error) {
	hub, to, err := parseSubject(livePrefix, msg.Subject)
	if err != nil {
		return notifications.Live{}, err
	}
	live := notifications.Live{Hub: hub, To: to, TraceParent: stored{header: msg.Header}.find("traceparent")}
	var form liveForm
	switch {
	case !json.Valid(msg.Data) || !utf8.Valid(msg.Data): // a browser closes on text that is no UTF-8
		return notifications.Live{}, fmt.Errorf("payload of %d bytes is no JSON in UTF-8", len(msg.Data))
	case json.Unmarshal(msg.Data, &form) == nil && form.Target != "":
		live.Target, live.Arguments, live.Except = form.Target, form.Arguments, form.Except
	default:
		live.Target, live.Arguments = notifications.DefaultTarget, []json.RawMessage{msg.Data}
	}
	return live, nil
}

// PublishLive hands an unstored message to all nodes, this one included. It
// does not wait; the error wraps notifications.ErrUnavailable when there is no
// connection, because a live message that comes late is worth nothing.
func (l *Log) PublishLive(m notifications.Live) error {
	data, err := json.Marshal(liveForm{m.Target, m.Arguments, m.Except})
	if err != nil {
		return fmt.Errorf("publish live: %w", err)
	}
	if !l.nats.conn.IsConnected() {
		return fmt.Errorf("publish live: %w", notifications.ErrUnavailable)
	}
	msg := nats.NewMsg(LiveSubject(m.Hub, m.To))
	msg.Data = data
	if m.TraceParent != "" {
		msg.Header.Set("traceparent", m.TraceParent)
	}
	return l.nats.conn.PublishMsg(msg)
}
