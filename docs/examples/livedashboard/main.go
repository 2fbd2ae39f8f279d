// Command livedashboard is a program of its own on the public packages: a live
// dashboard whose hub is defined in Go, with nothing stored and no NATS.
//
//	go run ./docs/examples/livedashboard -http 127.0.0.1:8081
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
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"

	"tidings/connections"
	"tidings/hub"
)

// metric is one value, as the browsers hear it.
type metric struct {
	Name      string    `json:"name"`
	Value     float64   `json:"value"`
	Timestamp time.Time `json:"timestamp"`
}

// newDashboard defines the hub: what clients may call, and what happens when
// they come and go.
func newDashboard() (*hub.Hub, error) {
	return hub.New(hub.Options{
		Name: "dashboard",
		Methods: hub.Methods{
			"JoinDashboard": func(c *hub.Context, id string) error {
				if err := c.JoinGroup(id); err != nil {
					return err
				}
				return c.Clients().OthersInGroup(id).Send(c.Context(), "UserJoined", c.ConnectionID())
			},
			"SendMetric": func(c *hub.Context, dashboard, name string, value float64) (time.Time, error) {
				if name == "" {
					return time.Time{}, hub.Error{Text: "a metric needs a name"}
				}
				now := time.Now().UTC()
				return now, c.Clients().Group(dashboard).Send(c.Context(), "ReceiveMetric", metric{name, value, now})
			},
		},
		OnConnected: func(c *hub.Context) error {
			return c.Clients().Caller().Send(c.Context(), "Connected", c.ConnectionID())
		},
	})
}

// collect is a background service: it sends to clients outside of any call.
func collect(ctx context.Context, h *hub.Hub, every time.Duration) error {
	for tick := time.Tick(every); ; {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick:
			value := metric{"Goroutines", float64(runtime.NumGoroutine()), now.UTC()}
			if err := h.Clients().Group("main").Send(ctx, "ReceiveMetric", value); err != nil && ctx.Err() == nil {
				return err
			}
		}
	}
}

func serve(ctx context.Context, socket net.Listener) error {
	dashboard, err := newDashboard()
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	door := connections.NewServer(dashboard, connections.Options{AllowLocalhost: true})
	mux.Handle("/hubs/dashboard", door)
	mux.Handle("/hubs/dashboard/", door)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}

	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return dashboard.Run(ctx) })
	group.Go(func() error { return collect(ctx, dashboard, time.Second) })
	group.Go(func() error {
		if err := server.Serve(socket); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		return errors.Join(server.Close(), door.Shutdown(context.WithoutCancel(ctx)))
	})
	return group.Wait()
}

func main() {
	addr := flag.String("http", "127.0.0.1:8081", "where to listen")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	socket, err := net.Listen("tcp", *addr) //nolint:noctx // at the start of a program
	if err == nil {
		fmt.Printf("livedashboard ready http=%s\n", socket.Addr())
		err = serve(ctx, socket)
	}
	if err != nil {
		slog.Error("livedashboard", slog.Any("error", err)) //nolint:sloglint // a program of one file has one logger
	}
}
