package main

import (
	"context"
	"net/http"
	"time"

	"github.com/centrifugal/centrifuge"
)

// centrifugeServer is a node of Centrifuge with its memory engine. It speaks
// the JSON protocol, and subscribes a client when it connects.
type centrifugeServer struct {
	node      *centrifuge.Node
	websocket http.Handler
	options   []centrifuge.PublishOption
}

// wishesKey finds in a connection's context the reply to its connect command.
type wishesKey struct{}

func newCentrifuge(s settings) (*centrifugeServer, error) {
	node, err := centrifuge.New(centrifuge.Config{
		// A client that lags is waited for, not dropped. The default is 1 MB.
		ClientQueueMaxSize: 64 << 20,
		ClientChannelLimit: 1024,
	})
	if err != nil {
		return nil, err
	}
	node.OnConnecting(func(ctx context.Context, _ centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		w, ok := ctx.Value(wishesKey{}).(wishes)
		if !ok {
			return centrifuge.ConnectReply{}, centrifuge.DisconnectInvalidToken
		}
		return w.reply(s), nil
	})
	if err := node.Run(); err != nil {
		return nil, err
	}
	c := &centrifugeServer{
		node: node,
		websocket: centrifuge.NewWebsocketHandler(node, centrifuge.WebsocketConfig{
			// As in its own benchmarks, so that an idle connection holds little: a
			// small buffer to read, none to write, and a stack that stays small.
			ReadBufferSize:             256,
			UseWriteBufferPool:         true,
			ProcessCommandsOffReadLoop: true,
			WriteTimeout:               5 * time.Second,
		}),
	}
	if s.history > 0 {
		c.options = []centrifuge.PublishOption{centrifuge.WithHistory(s.history, s.historyTTL)}
	}
	return c, nil
}

// wishes are what a client asked for in its upgrade request.
type wishes struct {
	user     string
	channels []string
}

func (w wishes) reply(s settings) centrifuge.ConnectReply {
	subscriptions := make(map[string]centrifuge.SubscribeOptions, len(w.channels))
	for _, channel := range w.channels {
		subscriptions[channel] = centrifuge.SubscribeOptions{
			EnablePositioning: s.history > 0,
			EnableRecovery:    s.history > 0,
		}
	}
	return centrifuge.ConnectReply{
		Credentials:   &centrifuge.Credentials{UserID: w.user},
		Subscriptions: subscriptions,
		// All that waits goes out in one write. By default it is 16 messages.
		MaxMessagesInFrame: -1,
		WriteDelay:         s.batchDelay,
		WriteWithTimer:     s.batchDelay > 0, // saves the goroutine that writes
	}
}

func (c *centrifugeServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	user, channels, err := listener(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	c.websocket.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), wishesKey{}, wishes{user, channels})))
}

func (c *centrifugeServer) publish(channel string, data []byte) error {
	_, err := c.node.Publish(channel, data, c.options...)
	return err
}
