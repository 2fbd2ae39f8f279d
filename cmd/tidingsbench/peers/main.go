// Command peers runs one of the servers that Tidings is measured beside:
//
//	peers loop|gorilla|centrifuge -listen 127.0.0.1:0
//
// Its first line on standard output tells that it is ready and where:
//
//	ready name=loop version=go1.26.8 http=127.0.0.1:40123
//
// SIGINT or SIGTERM ends it with code 0. README.md says why each server is
// written as it is.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

// settings are what the command line may set. All but the address are for
// Centrifuge.
type settings struct {
	listen     string
	history    int
	historyTTL time.Duration
	batchDelay time.Duration
}

func run(ctx context.Context, args []string, stdout io.Writer) error {
	if len(args) == 0 {
		return errors.New("want loop, gorilla or centrifuge")
	}
	name := args[0]
	var s settings
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.StringVar(&s.listen, "listen", "127.0.0.1:0", "where to listen")
	if name == "centrifuge" {
		flags.IntVar(&s.history, "history", 0, "publications kept per channel, for recovery; 0 = none and no recovery")
		flags.DurationVar(&s.historyTTL, "history-ttl", 10*time.Minute, "how long they are kept")
		flags.DurationVar(&s.batchDelay, "batch-delay", 0, "how long a connection gathers messages before it writes")
	}
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%s: unknown argument %q", name, flags.Arg(0))
	}
	p, err := open(name, s)
	if err != nil {
		return fmt.Errorf("open %s: %w", name, err)
	}
	return serve(ctx, p, s.listen, stdout)
}

// open starts the server of that name, without its door.
func open(name string, s settings) (running, error) {
	switch name {
	case "loop":
		l, err := newLoop()
		return running{name, runtime.Version(), "/ws", l}, err
	case "gorilla":
		return running{name, version("github.com/gorilla/websocket"), "/ws", newHub()}, nil
	case "centrifuge":
		c, err := newCentrifuge(s)
		return running{name, version("github.com/centrifugal/centrifuge"), "/connection/websocket", c}, err
	default:
		return running{}, errors.New("want loop, gorilla or centrifuge")
	}
}

// version is that of a module this program was built with.
func version(module string) string {
	info, _ := debug.ReadBuildInfo()
	if info != nil {
		for _, d := range info.Deps {
			if d.Path == module {
				return d.Version
			}
		}
	}
	return "unknown"
}

// serve says ready and answers until ctx ends.
func serve(ctx context.Context, r running, address string, stdout io.Writer) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: r.door(), ReadHeaderTimeout: 10 * time.Second}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if _, err := fmt.Fprintf(stdout, "ready name=%s version=%s http=%s\n", r.name, r.version, listener.Addr()); err != nil {
		return err
	}
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
