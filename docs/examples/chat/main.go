// Command chat is a hub with a little of everything: methods and errors,
// groups, streams both ways, a question to a client, a filter and a policy.
// docs/guides/hubs.md shows it beside the same in C#. Nothing is stored, and
// there is no NATS.
//
//	go run ./docs/examples/chat -http 127.0.0.1:8082
//
// It prints a token for ann, who is a moderator, and one for bob.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sync/errgroup"

	"tidings/connections"
	"tidings/hub"
	"tidings/roles"
)

// newDoor opens a hub to clients that hold a token of this secret.
func newDoor(ctx context.Context, chat *hub.Hub, secret []byte) (*connections.Server, error) {
	verifier, err := roles.NewVerifier(ctx, roles.Options{Issuers: []roles.Issuer{{Secret: secret}}})
	if err != nil {
		return nil, err
	}
	return connections.NewServer(chat, connections.Options{
		Verifier:          verifier,
		Origins:           []string{"https://chat.example"},
		AllowLocalhost:    true,
		StatefulReconnect: true,
	}), nil
}

func serve(ctx context.Context, socket net.Listener, secret []byte) error {
	group, ctx := errgroup.WithContext(ctx)
	chat, err := newChat(slog.New(slog.NewTextHandler(os.Stderr, nil)))
	if err != nil {
		return err
	}
	door, err := newDoor(ctx, chat, secret)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/hubs/chat", door)
	mux.Handle("/hubs/chat/", door)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second} // no WriteTimeout: it would cut streams and polls

	group.Go(func() error { return chat.Run(ctx) })
	group.Go(func() error { return remind(ctx, chat, 10*time.Minute) })
	group.Go(func() error {
		if err := server.Serve(socket); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_ = door.Shutdown(late) // who has not gone by then is cut
		return server.Close()
	})
	return group.Wait()
}

// run listens, says where, and hands out tokens.
func run(ctx context.Context, addr string) error {
	var config net.ListenConfig
	socket, err := config.Listen(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	fmt.Printf("chat ready http=%s\n", socket.Addr())
	secret := []byte(roles.NewSecret())
	for _, who := range []roles.Grant{{UserID: "ann", Roles: []string{"moderator"}}, {UserID: "bob"}} {
		who.Now, who.TTL = time.Now(), 12*time.Hour
		token, err := roles.Mint(secret, who)
		if err != nil {
			return err
		}
		fmt.Printf("%s %s\n", who.UserID, token)
	}
	return serve(ctx, socket, secret)
}

func main() {
	addr := flag.String("http", "127.0.0.1:8082", "where to listen")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *addr); err != nil {
		fmt.Fprintln(os.Stderr, "chat:", err)
		os.Exit(1) //nolint:gocritic // the signal handler needs no undoing now
	}
}
