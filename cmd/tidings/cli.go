package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"tidings/notifications"
	"tidings/persistence"
)

// environment is what the process has been given.
type environment struct {
	Stdout, Stderr io.Writer
	Environ        []string
}

// getenv finds a variable as os.Getenv does.
func (e environment) getenv(name string) string {
	value, _ := e.lookup(name)
	return value
}

func (e environment) lookup(name string) (string, bool) {
	for _, entry := range slices.Backward(e.Environ) {
		if key, value, ok := strings.Cut(entry, "="); ok && key == name {
			return value, true
		}
	}
	return "", false
}

// commands is the command line.
type commands struct {
	Serve   serveCommand   `cmd:"" help:"Run a node."`
	Config  configCommand  `cmd:"" help:"Print the settings that serve would run with, and where each comes from. Secrets are masked."`
	Doctor  doctorCommand  `cmd:"" help:"Look at what a node would find with the settings of serve, and say what to do about it. Changes nothing."`
	Token   tokenCommand   `cmd:"" help:"Print a token."`
	Publish publishCommand `cmd:"" help:"Emit one event and print its place in the log."`
	Explain explainCommand `cmd:"" help:"Say what became of an event for a user."`
	Replay  replayCommand  `cmd:"" help:"Print an inbox as it was, or emit a window of the log to another hub."`
	Subject subjectCommand `cmd:"" help:"Print the NATS subject of a recipient."`
	Version versionCommand `cmd:"" help:"Print the version."`
}

// exited is thrown where the command line library would end the process.
type exited int

// run is the whole program: it parses the command line and runs one command.
func run(ctx context.Context, args []string, env environment) (err error) {
	var cli commands
	layers := &layers{env: env, sources: make(map[string]string)}
	parser, err := kong.New(&cli,
		kong.Name("tidings"),
		kong.Description("Notifications that are never lost, over the SignalR protocol."),
		kong.Writers(env.Stdout, env.Stderr),
		kong.Exit(func(code int) { panic(exited(code)) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.UsageOnError(),
		kong.Resolvers(layers),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(env, layers),
	)
	if err != nil {
		return err
	}
	defer func() {
		// --help has been answered.
		if code, ok := recover().(exited); ok && code != 0 {
			err = fmt.Errorf("exit code %d", code)
		}
	}()
	command, err := parser.Parse(args)
	switch {
	case layers.err != nil:
		return layers.err
	case err != nil:
		return usage(err)
	}
	layers.note(command)
	return command.Run()
}

// usage is an error of the command line.
func usage(err error) error {
	if parse, ok := errors.AsType[*kong.ParseError](err); ok {
		return fmt.Errorf("%w (tidings --help shows what there is)", parse)
	}
	return err
}

type versionCommand struct{}

func (versionCommand) Run(env environment) error {
	_, err := fmt.Fprintln(env.Stdout, "tidings", version())
	return err
}

type subjectCommand struct {
	Kind string `arg:"" help:"user, role, group or everyone."`
	Key  string `arg:"" optional:"" help:"The user id, or the name of the role or group, as it is."`
	Hub  string `default:"notifications" help:"The hub."`
	Live bool   `help:"The subject of messages that are not stored."`
}

func (c subjectCommand) Run(env environment) error {
	to := notifications.Recipient{Kind: notifications.Kind(c.Kind), Key: c.Key}
	if err := to.Validate(); err != nil {
		return err
	}
	subject := persistence.Subject
	switch {
	case c.Live:
		subject = persistence.LiveSubject
	case to.Kind == notifications.Connection:
		return errors.New("a connection hears live messages only: use --live")
	}
	_, err := fmt.Fprintln(env.Stdout, subject(c.Hub, to))
	return err
}
