package persistence

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tidings/notifications"
)

// unreachable makes an error of NATS one that wraps notifications.ErrUnavailable,
// unless the server has refused or the caller has given up.
func unreachable(err error) error {
	var refused *jetstream.APIError
	switch {
	case err == nil, errors.Is(err, context.Canceled), errors.Is(err, notifications.ErrUnavailable):
		return err
	case errors.As(err, &refused) && refused.Code >= 400 && refused.Code < 500 && refused.Code != 429:
		return err
	}
	return fmt.Errorf("%w: %w", notifications.ErrUnavailable, err)
}

// again does what ends only when something breaks, again and again until ctx
// ends.
func again(ctx context.Context, logger *slog.Logger, what string, once func(context.Context) error) {
	pause := retryFirst
	for {
		began := time.Now()
		err := once(ctx)
		if ctx.Err() != nil {
			return
		}
		logger.WarnContext(ctx, "interrupted, will try again", slog.String("what", what), slog.Any("error", err))
		if time.Since(began) > retryMost {
			pause = retryFirst
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, retryMost)
	}
}

// encode is JSON that leaves the characters of HTML as they are.
func encode(v any) ([]byte, error) {
	var data bytes.Buffer
	encoder := json.NewEncoder(&data)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(data.Bytes(), []byte("\n")), nil
}

// errLast says that a subject did not end where the writer thought.
var errLast = errors.New("the subject has another last message")

// publishAfter stores a message if the last one on its subject is that of the
// sequence, 0 = there is none. The error is [errLast] if it is not: because of
// this very message, maybe, if repeated says that an earlier attempt was not
// answered. It repeats such attempts until ctx ends, and wraps
// notifications.ErrUnavailable then.
func (n *NATS) publishAfter(ctx context.Context, last uint64, msg *nats.Msg, options ...jetstream.PublishOpt) (sequence uint64, repeated bool, err error) {
	options = append(options, jetstream.WithExpectLastSequencePerSubject(last))
	for {
		attempt, cancel := context.WithTimeout(ctx, attemptTime)
		ack, err := n.js.PublishMsg(attempt, msg, options...)
		cancel()
		if err == nil {
			return ack.Sequence, repeated, nil
		}
		var refused *jetstream.APIError
		switch {
		case errors.Is(err, nats.ErrMaxPayload):
			return 0, repeated, err
		case !errors.As(err, &refused), refused.Code < 400, refused.Code >= 500, refused.Code == 429:
			repeated = true
		case refused.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence:
			return 0, repeated, errLast
		case refused.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant:
			// Another message for the subject is on its way through a cluster.
		case refused.ErrorCode == errCodeInProcess:
			repeated = true
		default:
			return 0, repeated, err
		}
		select {
		case <-ctx.Done():
			return 0, repeated, fmt.Errorf("%w: %w", notifications.ErrUnavailable, err)
		case <-time.After(attemptPause):
		}
	}
}

// errCodeInProcess is the code of the server for a message id that is on its way
// through a cluster.
const errCodeInProcess jetstream.ErrorCode = 10158

// reader reads the messages of a subject, which may hold wildcards.
type reader struct {
	nats   *NATS
	stream jetstream.Stream
}

// errNoMessage says that there is no such message.
var errNoMessage = jetstream.ErrMsgNotFound

// last is the last message of a subject. The error is [errNoMessage] or wraps
// notifications.ErrUnavailable.
func (r reader) last(ctx context.Context, subject string) (*jetstream.RawStreamMsg, error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTime)
	defer cancel()
	raw, err := r.stream.GetLastMsgForSubject(ctx, subject)
	if err != nil && !errors.Is(err, errNoMessage) {
		return nil, unreachable(err)
	}
	return raw, err
}

// get is the message of a sequence. Errors are those of last.
func (r reader) get(ctx context.Context, sequence uint64) (*jetstream.RawStreamMsg, error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTime)
	defer cancel()
	raw, err := r.stream.GetMsg(ctx, sequence)
	if err != nil && !errors.Is(err, errNoMessage) {
		return nil, unreachable(err)
	}
	return raw, err
}

// erase overwrites a message and deletes it; one that has gone is none.
func (r reader) erase(ctx context.Context, sequence uint64) error {
	return r.without(ctx, sequence, r.stream.SecureDeleteMsg)
}

// remove deletes a message; one that has gone is none.
func (r reader) remove(ctx context.Context, sequence uint64) error {
	return r.without(ctx, sequence, r.stream.DeleteMsg)
}

func (r reader) without(ctx context.Context, sequence uint64, remove func(context.Context, uint64) error) error {
	ctx, cancel := context.WithTimeout(ctx, attemptTime)
	defer cancel()
	err := remove(ctx, sequence)
	if errors.Is(err, jetstream.ErrMsgDeleteUnsuccessful) {
		// The library does not say why.
		if _, getErr := r.stream.GetMsg(ctx, sequence); errors.Is(getErr, errNoMessage) {
			return nil
		}
	}
	return unreachable(err)
}

// lasts gives yield the last message of every subject that matches, in no order.
// The server finds them by the names of the subjects.
func (r reader) lasts(ctx context.Context, subjects string, yield func(*jetstream.RawStreamMsg) error) error {
	if config := r.stream.CachedInfo().Config; config.AllowDirect {
		messages, err := r.nats.direct(ctx, config.Name, directRequest{Last: []string{subjects}})
		for _, raw := range messages {
			if err = yield(raw); err != nil {
				return err
			}
		}
		if !errors.Is(err, errTooMany) {
			return err
		}
	}
	info, err := r.stream.Info(ctx, jetstream.WithSubjectFilter(subjects))
	if err != nil {
		return unreachable(err)
	}
	for name := range info.State.Subjects {
		raw, err := r.last(ctx, name)
		if err == nil {
			err = yield(raw)
		}
		if err != nil && !errors.Is(err, errNoMessage) {
			return err
		}
	}
	return nil
}

// next is the first message of a subject from a sequence on. Errors are those of
// last.
func (r reader) next(ctx context.Context, subject string, from uint64) (*jetstream.RawStreamMsg, error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTime)
	defer cancel()
	raw, err := r.stream.GetMsg(ctx, max(from, 1), jetstream.WithGetMsgSubject(subject))
	if err != nil && !errors.Is(err, errNoMessage) {
		return nil, unreachable(err)
	}
	return raw, err
}

// batchMessages is how many messages are asked for at once.
const batchMessages = 512

// each gives yield the messages of a subject from a sequence on, oldest first,
// until it returns an error, at most limit of them; 0 = all there are. It is not
// for what is done often: the server looks at every message between the first
// and the last one. One request brings many, but where several replicas keep the
// stream: there each is asked for, because only the leader may be asked.
func (r reader) each(ctx context.Context, subject string, from uint64, limit int, yield func(*jetstream.RawStreamMsg) error) error {
	more := true
	for n := 0; more && (limit == 0 || n < limit); {
		size := batchMessages
		if limit > 0 {
			size = min(size, limit-n)
		}
		messages, err := r.batch(ctx, subject, from, size)
		if err != nil {
			return err
		}
		for _, raw := range messages {
			if err := yield(raw); err != nil {
				return err
			}
			from = raw.Sequence + 1
		}
		n += len(messages)
		more = len(messages) > 0
	}
	return nil
}

// batch is the next messages of a subject: none if there are none.
func (r reader) batch(ctx context.Context, subject string, from uint64, size int) ([]*jetstream.RawStreamMsg, error) {
	if r.stream.CachedInfo().Config.AllowDirect {
		return r.nats.direct(ctx, r.stream.CachedInfo().Config.Name, directRequest{
			Seq: max(from, 1), Batch: size, Next: subject,
		})
	}
	var messages []*jetstream.RawStreamMsg
	for len(messages) < size {
		raw, err := r.next(ctx, subject, from)
		if errors.Is(err, errNoMessage) {
			break
		}
		if err != nil {
			return nil, err
		}
		messages, from = append(messages, raw), raw.Sequence+1
	}
	return messages, nil
}

// directRequest asks a stream for several messages (ADR-31 of NATS), which the
// library cannot.
type directRequest struct {
	Seq   uint64   `json:"seq,omitempty"`
	Batch int      `json:"batch,omitempty"`
	Next  string   `json:"next_by_subj,omitempty"`
	Last  []string `json:"multi_last,omitempty"`
}

// The answers to a direct request that are no message.
const (
	statusEnd     = "204" // there were messages, and that was all
	statusNone    = "404"
	statusTooMany = "413"
)

// maxSubjects is how many subjects the server returns the last messages of.
const maxSubjects = 1024

// errTooMany says that more subjects match.
var errTooMany = errors.New("too many subjects")

// direct returns the messages a stream answers with, or an error that wraps
// notifications.ErrUnavailable.
func (n *NATS) direct(ctx context.Context, stream string, request directRequest) ([]*jetstream.RawStreamMsg, error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTime)
	defer cancel()
	data, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	inbox := n.conn.NewInbox()
	size := request.Batch
	if len(request.Last) > 0 {
		size = maxSubjects
	}
	answers := make(chan *nats.Msg, size+1) // and the end
	subscription, err := n.conn.ChanSubscribe(inbox, answers)
	if err != nil {
		return nil, unreachable(err)
	}
	defer func() { _ = subscription.Unsubscribe() }() // the connection may be gone
	if err = n.conn.PublishRequest("$JS.API.DIRECT.GET."+stream, inbox, data); err != nil {
		return nil, unreachable(err)
	}
	var messages []*jetstream.RawStreamMsg
	for {
		var msg *nats.Msg
		select {
		case msg = <-answers:
		case <-ctx.Done():
			return nil, unreachable(ctx.Err())
		}
		switch status := msg.Header.Get("Status"); status {
		case "":
		case statusEnd, statusNone:
			return messages, nil
		case statusTooMany:
			return nil, errTooMany
		default:
			return nil, unreachable(fmt.Errorf("direct get of %s: %s %s", stream, status, msg.Header.Get("Description")))
		}
		raw, err := rawMessage(msg)
		if err != nil {
			return nil, fmt.Errorf("direct get of %s: %w", stream, err)
		}
		messages = append(messages, raw)
	}
}

// rawMessage is a stored message as a direct answer brings it.
func rawMessage(msg *nats.Msg) (*jetstream.RawStreamMsg, error) {
	sequence, err := strconv.ParseUint(msg.Header.Get(jetstream.SequenceHeader), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("sequence: %w", err)
	}
	stored, err := time.Parse(time.RFC3339Nano, msg.Header.Get(jetstream.TimeStampHeaer))
	if err != nil {
		return nil, fmt.Errorf("time: %w", err)
	}
	return &jetstream.RawStreamMsg{
		Subject: msg.Header.Get(jetstream.SubjectHeader), Sequence: sequence, Header: msg.Header, Data: msg.Data, Time: stored,
	}, nil
}
