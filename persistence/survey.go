package persistence

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
)

// Where nodes are asked about themselves, and where they answer. Who may act as a
// node may use both.
const (
	nodesSubject  = "tidings.control.nodes"
	answersPrefix = "tidings.control.answer."
)

// maxAnswers bounds the nodes that are listened to.
const maxAnswers = 1024

// AnswerSurvey tells whoever asks what answer returns, until ctx ends.
func (n *NATS) AnswerSurvey(ctx context.Context, answer func() ([]byte, error)) error {
	questions := make(chan *nats.Msg, 16) // who asks when so many wait asks again
	subscription, err := n.conn.ChanSubscribe(nodesSubject, questions)
	if err != nil {
		return fmt.Errorf("answer other nodes: %w", err)
	}
	defer func() { _ = subscription.Unsubscribe() }() // the connection may be gone
	for {
		select {
		case <-ctx.Done():
			return nil
		case question := <-questions:
			data, err := answer()
			if err == nil && question.Reply != "" {
				_ = n.conn.Publish(question.Reply, data) // who asked does not wait for long
			}
		}
	}
}

// Survey asks all nodes, this one included, and returns what they have answered
// in that time.
func (n *NATS) Survey(ctx context.Context, within time.Duration) ([][]byte, error) {
	reply := answersPrefix + nats.NewInbox()[len(nats.InboxPrefix):]
	subscription, err := n.conn.SubscribeSync(reply)
	if err != nil {
		return nil, fmt.Errorf("ask other nodes: %w", err)
	}
	defer func() { _ = subscription.Unsubscribe() }() // the connection may be gone
	if err := n.conn.PublishRequest(nodesSubject, reply, nil); err != nil {
		return nil, fmt.Errorf("ask other nodes: %w", unreachable(err))
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	var answers [][]byte
	for len(answers) < maxAnswers {
		answer, err := subscription.NextMsgWithContext(ctx)
		switch {
		case errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrNoResponders):
			return answers, nil
		case err != nil:
			return answers, fmt.Errorf("ask other nodes: %w", unreachable(err))
		}
		answers = append(answers, answer.Data)
	}
	return answers, nil
}
