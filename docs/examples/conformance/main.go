// Command conformance is a hub with one method for everything that SignalR
// can do, so that a suite of tests can drive a server through all of it:
// values, errors, streams both ways, client results, groups and users,
// lifetime and stateful reconnect. It is also the longest example of the
// public packages; each file shows one side of them.
//
//	go run ./docs/examples/conformance -http 127.0.0.1:8080
//
// web/conformance is the suite.
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
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	readHeaderTimeout = 10 * time.Second
	maxHeaderBytes    = 32 << 10
	stopTimeout       = 3 * time.Second
)

// serve runs until ctx ends: then clients are sent away, and the rest follows.
func serve(ctx context.Context, socket net.Listener, logger *slog.Logger) error {
	group, ctx := errgroup.WithContext(ctx)
	house, err := newHouse(ctx, logger)
	if err != nil {
		return err
	}
	// No WriteTimeout: it would cut event streams and polls.
	server := &http.Server{Handler: house.mux, ReadHeaderTimeout: readHeaderTimeout, MaxHeaderBytes: maxHeaderBytes}
	running, halt := context.WithCancel(context.WithoutCancel(ctx)) // hubs end last
	defer halt()
	for _, hub := range house.hubs {
		group.Go(func() error { return hub.Run(running) })
	}
	group.Go(func() error {
		if err := server.Serve(socket); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		defer halt()
		late, cancel := context.WithTimeout(running, stopTimeout)
		defer cancel()
		return errors.Join(house.sendAway(late), server.Close())
	})
	return group.Wait()
}

func main() {
	addr := flag.String("http", "127.0.0.1:8080", "where to listen")
	verbose := flag.Bool("v", false, "log what happens")
	flag.Parse()
	logger := slog.New(slog.DiscardHandler)
	if *verbose {
		logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	socket, err := net.Listen("tcp", *addr) //nolint:noctx // at the start of a program
	if err == nil {
		fmt.Printf("conformance ready http=%s\n", socket.Addr())
		err = serve(ctx, socket, logger)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(1)
	}
}
