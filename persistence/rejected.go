package persistence

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// maxRejects is how many unreadable messages may wait to be kept. Beyond, they
// are counted and stay in the log, where the reason can be found again.
const maxRejects = 1024

// The headers of a message that was rejected: why, its place in the log, and the
// id that it seems to have.
const (
	rejectedReason   = "Tidings-Reason"
	rejectedSubject  = "Tidings-Subject"
	rejectedPosition = "Tidings-Position"
	rejectedID       = "Tidings-Id"
)

// rejected is a message that could not be read, and why.
type rejected struct {
	stored

	epoch  uint64
	reason string
}

func (l *Log) reject(s stored, reason error) {
	l.counts.rejected.Add(1)
	l.o.Logger.Warn("event rejected",
		slog.Uint64("position", uint64(s.position)), slog.String("subject", s.subject), slog.Any("reason", reason))
	select {
	case l.rejects <- rejected{stored: s, epoch: l.State().Epoch, reason: reason.Error()}:
	default:
		l.counts.rejectedLost.Add(1)
	}
}

// storeRejects keeps what could not be read, with the reason, until ctx ends.
func (l *Log) storeRejects(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case r := <-l.rejects:
			for !l.storeReject(ctx, r) {
				select {
				case <-ctx.Done():
					return
				case <-time.After(retryMost):
				}
			}
		}
	}
}

// storeReject keeps one message; true = it is over with it. One that the server
// does not take as it is – it is too long with what is added, or has headers that
// cannot be written – is kept without both: its place and the reason are what
// matters, and the log still has it.
func (l *Log) storeReject(ctx context.Context, r rejected) bool {
	err := l.putAside(ctx, r)
	if refused(err) {
		r.data, r.header = nil, nil
		r.reason += " (its payload and headers cannot be kept; the log has them)"
		err = l.putAside(ctx, r)
	}
	if refused(err) {
		l.counts.rejectedLost.Add(1)
		l.o.Logger.ErrorContext(ctx, "rejected message cannot be kept", slog.Uint64("position", uint64(r.position)), slog.Any("error", err))
	}
	return err == nil || refused(err)
}

// putAside publishes one message, which is stored once, however often the log is
// read, because its subject may have no message before it.
func (l *Log) putAside(ctx context.Context, r rejected) error {
	msg := nats.NewMsg(fmt.Sprintf("%s%016x.%d", rejectedPrefix, r.epoch, r.position))
	msg.Data = r.data
	maps.Copy(msg.Header, r.header)
	for name := range msg.Header {
		if len(name) > 5 && name[:5] == "Nats-" {
			delete(msg.Header, name) // they would be obeyed again
		}
	}
	msg.Header.Set(rejectedReason, oneLine(r.reason))
	msg.Header.Set(rejectedSubject, r.subject)
	msg.Header.Set(rejectedPosition, strconv.FormatUint(uint64(r.position), 10))
	if id := r.claimed(); id != "" {
		msg.Header.Set(rejectedID, id)
	}
	ctx, cancel := context.WithTimeout(ctx, attemptTime)
	defer cancel()
	_, err := l.nats.js.PublishMsg(ctx, msg, jetstream.WithExpectLastSequencePerSubject(0))
	if api, is := errors.AsType[*jetstream.APIError](err); is && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence {
		return nil // it is there
	}
	return err
}

// claimed is the id that an unreadable message says it has, or empty.
func (r rejected) claimed() string {
	id := r.header.Get(nats.MsgIdHdr)
	if id == "" {
		var event struct{ ID string }
		if json.Unmarshal(r.data, &event) == nil {
			id = event.ID
		}
	}
	if len(id) > maxClaimed {
		return ""
	}
	return oneLine(id)
}

// maxClaimed bounds the id of an unreadable message.
const maxClaimed = 128

// oneLine makes a text fit for a header.
func oneLine(text string) string {
	b := []byte(text)
	for i, c := range b {
		if c < ' ' {
			b[i] = ' '
		}
	}
	return string(b)
}
