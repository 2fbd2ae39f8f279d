package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"tidings/connections"
	"tidings/console"
	"tidings/hub"
	"tidings/notifications"
	"tidings/persistence"
	tidingsv1 "tidings/proto/tidings/v1"
	"tidings/rest"
	"tidings/roles"
	"tidings/telemetry"
)

type serveCommand struct {
	settings
}

func (c serveCommand) Run(ctx context.Context, env environment) error {
	s := c.withDefaults()
	if err := s.validate(); err != nil {
		return err
	}
	return serve(ctx, s, env)
}

// node is one running server. Its parts are made in the order in which they
// stand here and ended in reverse (see drain.go).
type node struct {
	s         settings
	name      string // among other nodes
	started   time.Time
	env       environment
	logger    *slog.Logger
	lines     *telemetry.Lines
	telemetry *telemetry.Telemetry

	processors telemetry.Processors // for its load

	embedded *persistence.Server // nil with an outside NATS
	nats     *persistence.NATS
	log      *persistence.Log
	cursors  *persistence.Cursors

	states    *persistence.States
	schedules *persistence.Schedules
	audit     *persistence.Audit
	visits    *persistence.Visits

	secret   []byte // of development, or nil
	policy   *roles.Policy
	verifier roles.Verifier
	commands *notifications.Commands
	inboxes  *notifications.Inboxes
	archives *notifications.Archives

	notifications *hub.Notifications
	analytics     *hub.Analytics
	console       *console.Console
	doors         []*connections.Server
	operatorsDoor *connections.Server

	public, operators listener

	tasks    []*task // what runs, in the order it was started
	failed   chan error
	ready    atomic.Bool // the log has been read
	draining atomic.Bool
}

// listener is an HTTP server and its socket.
type listener struct {
	http   *http.Server
	socket net.Listener
}

// serve runs a node until ctx ends, then drains it.
func serve(ctx context.Context, s settings, env environment) error {
	n := &node{s: s, name: nodeName(), started: time.Now(), env: env, failed: make(chan error, 1)}
	var level slog.Level
	if err := level.UnmarshalText([]byte(s.LogLevel)); err != nil {
		return err
	}
	n.lines = telemetry.NewLines(telemetry.DefaultLineBytes)
	n.logger = telemetry.NewLogger(env.Stderr, s.LogFormat, level, n.lines)
	err := n.start(ctx)
	if err == nil {
		err = n.wait(ctx)
	}
	n.draining.Store(true)
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.DrainTimeout)
	defer cancel()
	if stopped := n.stop(drain); stopped != nil {
		n.logger.WarnContext(drain, "not all was ended in order", slog.Any("error", stopped))
	}
	return err
}

// start makes the parts of a node and sets them going, from the bottom to the
// top. What has been made when it fails is ended by stop.
func (n *node) start(ctx context.Context) error {
	for _, step := range []func(context.Context) error{
		n.startTelemetry, n.startNATS, n.openLog, n.loadIdentity, n.makeHubs, n.makeConsole, n.listen, n.watch,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	n.launch(ctx, "audit", n.audit.Run)
	n.launch(ctx, "visits", n.visits.Run)
	n.launch(ctx, "cursors", n.cursors.Run)
	n.launch(ctx, "notification hub", n.notifications.Run)
	n.launch(ctx, "analytics hub", n.analytics.Run)
	n.launch(ctx, "console", n.console.Run)
	n.launch(ctx, "states", n.followStates)
	n.launch(ctx, "schedules", n.schedules.Run)
	n.launch(ctx, "live messages", n.followLive)
	n.launch(ctx, "log", n.follow)
	n.launch(ctx, "memory", giveBack)
	if n.s.Dev {
		n.launch(ctx, "collector", n.collect)
	}
	return nil
}

// wait says when the node is ready, and returns when it is told to stop or can
// not go on.
func (n *node) wait(ctx context.Context) error {
	ready := n.log.Ready()
	for {
		select {
		case <-ready:
			ready = nil
			n.ready.Store(true)
			n.announce(ctx)
		case err := <-n.failed:
			return err
		case <-ctx.Done():
			n.logger.InfoContext(ctx, "told to stop")
			return nil
		}
	}
}

// announce prints the one line that others wait for, before anything else.
func (n *node) announce(ctx context.Context) {
	nats := n.nats.URL()
	if n.embedded != nil {
		if nats = n.embedded.Addr(); nats == "" {
			nats = off
		}
	}
	position := n.log.State().Last
	// If nobody reads this, there is nobody to tell that it could not be said.
	_, _ = fmt.Fprintf(n.env.Stdout, "tidings ready http=%s ops=%s nats=%s position=%d\n",
		n.public.socket.Addr(), n.operators.socket.Addr(), nats, position)
	if n.s.Dev {
		n.banner(ctx, nats)
	}
	n.logger.InfoContext(ctx, "ready", slog.String("version", version()), slog.Uint64("position", uint64(position)))
}

func (n *node) startTelemetry(ctx context.Context) (err error) {
	n.telemetry, err = telemetry.Start(ctx, telemetry.Options{Version: version(), Getenv: n.env.getenv, SpanBytes: int(n.s.SpanBytes)})
	return err
}

func (n *node) startNATS(context.Context) (err error) {
	s := n.s
	options := s.connect()
	options.Logger = n.logger
	if s.NATS == "" {
		listen := s.NATSListen
		if listen == off {
			listen = ""
		}
		n.embedded, err = persistence.StartServer(persistence.ServerOptions{
			Dir: s.Data, Listen: listen, Token: s.NATSListenToken, Sync: persistence.Sync(s.Sync), Logger: n.logger,
		})
		if err != nil {
			return err
		}
		options = persistence.ConnectOptions{Server: n.embedded, Token: s.NATSListenToken, Logger: n.logger}
	}
	n.nats, err = persistence.Connect(options)
	return err
}

// openTimeout bounds the first questions to the log.
const openTimeout = 30 * time.Second

func (n *node) openLog(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	options := n.s.log()
	options.Logger, options.TracerProvider = n.logger, n.telemetry.Tracer
	if n.log, err = persistence.Open(ctx, n.nats, options); err != nil {
		return err
	}
	if n.cursors, err = persistence.OpenCursors(ctx, n.nats, options); err != nil {
		return err
	}
	if n.states, err = persistence.OpenStates(ctx, n.nats, options, n.log); err != nil {
		return err
	}
	n.schedules, err = persistence.OpenSchedules(ctx, n.nats, options, persistence.SchedulesOptions{Log: n.log, Held: n.held})
	if err != nil {
		return err
	}
	if n.audit, err = persistence.OpenAudit(ctx, n.nats, options); err != nil {
		return err
	}
	n.visits, err = persistence.OpenVisits(ctx, n.nats, options)
	return err
}

func (n *node) loadIdentity(ctx context.Context) (err error) {
	if n.policy, err = n.s.policy(); err != nil {
		return err
	}
	issuers, err := n.s.issuers()
	if err != nil {
		return err
	}
	if len(issuers) == 0 {
		if err = os.MkdirAll(n.s.Data, 0o700); err != nil {
			return err
		}
		if n.secret, err = developmentSecret(n.s.Data); err != nil {
			return err
		}
		issuers = []roles.Issuer{{Secret: n.secret}}
	}
	keys, err := roles.NewVerifier(ctx, roles.Options{
		Issuers: issuers, Leeway: n.s.AuthLeeway,
		Identity: roles.IdentityProvider{User: n.s.AuthUserClaim, Roles: n.s.AuthRoleClaims},
	})
	n.verifier = countedVerifier{keys, n.telemetry.Metrics}
	return err
}

func (n *node) makeHubs(context.Context) (err error) {
	n.commands = notifications.NewCommands(notifications.CommandsOptions{
		Log: timedLog{n.log, n.telemetry.Metrics}, Policy: n.policy, Limits: n.s.limits(), Catalogue: n.log, Schedules: n.schedules, Rates: n.s.rates(), Audit: n.audit,
	})
	n.inboxes = notifications.NewInboxes(notifications.InboxesOptions{Log: n.log, States: n.states, Policy: n.policy, Audit: n.audit})
	n.archives = n.archivesOf(n.inboxes)
	options := hub.Options{
		Policy: n.policy, Backplane: n.log,
		KeepAlive: n.s.KeepAlive, ClientTimeout: n.s.ClientTimeout, HandshakeTimeout: n.s.HandshakeTimeout,
		MaxMessage: int(n.s.MaxMessage), CloseOnAuthExpiration: true, ReconnectBuffer: int(n.s.ReconnectBuffer),
		ClientContext: hub.ClientContext(n.s.ClientContext), NewNamesOnly: telemetry.NewNamesOnly(n.env.getenv),
		Logger: n.logger, TracerProvider: n.telemetry.Tracer, Observer: n.telemetry.Metrics, Deliveries: n.observer(),
	}
	if n.analytics, err = hub.NewAnalytics(options, n.s.MetricInterval); err != nil { //nolint:contextcheck // its methods have the context of their call
		return err
	}
	options.Durable = &hub.Durable{Reader: n.log, Devices: n.cursors, Inboxes: n.inboxes, Visits: n.visits, Node: n.name}
	n.notifications, err = hub.NewNotifications(options, n.commands) //nolint:contextcheck // its methods have the context of their call
	return err
}

func (n *node) archivesOf(inboxes *notifications.Inboxes) *notifications.Archives {
	return notifications.NewArchives(notifications.ArchivesOptions{
		Inboxes: inboxes, Devices: n.cursors, Visits: n.visits, Schedules: n.schedules, Records: records{n.audit, n.log}, Open: n.open, Eraser: n.log,
	})
}

// followLive hands on what is not stored.
func (n *node) followLive(ctx context.Context) error {
	hubs := map[string]*hub.Hub{n.notifications.Name(): n.notifications.Hub, n.analytics.Name(): n.analytics.Hub}
	return n.log.FollowLive(ctx, func(ctx context.Context, m notifications.Live) {
		h, known := hubs[m.Hub]
		if !known {
			return // another application's
		}
		if err := h.DeliverLive(ctx, m); err != nil && ctx.Err() == nil {
			n.logger.WarnContext(ctx, "live message cannot be delivered", slog.Any("error", err))
		}
	})
}

// The bounds of a request to either listener.
const (
	headerTimeout  = 10 * time.Second
	requestTimeout = 30 * time.Second
	idleTimeout    = 2 * time.Minute
	maxHeaderBytes = 32 << 10 // a token has at most 8 KiB
)

// listen opens both listeners. The public one answers 503 until the log has
// been read.
func (n *node) listen(ctx context.Context) error {
	for _, l := range []struct {
		at      *listener
		name    string
		addr    string
		handler http.Handler
	}{
		{&n.operators, "ops", n.s.Ops, n.telemetry.Metrics.Requests(n.opsHandler(), consoleHubPath)},
		{&n.public, "http", n.s.HTTP, n.telemetry.Metrics.Requests(n.whenReady(n.publicHandler()), "/hubs")}, //nolint:contextcheck // handlers have that of their request
	} {
		var config net.ListenConfig
		socket, err := config.Listen(ctx, "tcp", l.addr)
		if err != nil {
			return fmt.Errorf("%s: %w", l.name, err)
		}
		server := &http.Server{
			Handler: l.handler, ReadHeaderTimeout: headerTimeout, ReadTimeout: requestTimeout, IdleTimeout: idleTimeout,
			MaxHeaderBytes: maxHeaderBytes, ErrorLog: slog.NewLogLogger(n.logger.Handler(), slog.LevelDebug),
		}
		*l.at = listener{http: server, socket: socket}
		n.launch(ctx, l.name, func(context.Context) error {
			if err := server.Serve(socket); !errors.Is(err, http.ErrServerClosed) {
				return err
			}
			return nil
		})
	}
	return nil
}

// publicHandler is what browsers and emitters see.
func (n *node) publicHandler() http.Handler {
	mux := http.NewServeMux()
	options := connections.Options{
		Verifier: n.verifier, Origins: n.s.Origins, AllowLocalhost: n.s.Dev, SendTimeout: n.s.SendTimeout,
		Transports: n.s.Transports, PollTimeout: n.s.PollTimeout, DisconnectTimeout: n.s.DisconnectTimeout,
		StatefulReconnect: n.s.StatefulReconnect,
		Logger:            n.logger, TracerProvider: n.telemetry.Tracer, Observer: n.telemetry.Metrics,
	}
	for path, handler := range map[string]connections.Handler{"/hubs/notifications": n.notifications, "/hubs/analytics": n.analytics} {
		door := connections.NewServer(handler, options)
		n.doors = append(n.doors, door)
		mux.Handle(path, door)
		mux.Handle(path+"/", door)
	}
	api := connections.CrossOrigin(options, rest.NewHandler(rest.Options{
		Commands: n.commands, Inboxes: n.inboxes, Archives: n.archives,
		Verifier: n.verifier, Protobuf: tidingsv1.CanonicalJSON, EventBytes: int(n.s.EventBytes),
		Logger: n.logger, TracerProvider: n.telemetry.Tracer,
	}))
	mux.Handle("/v1/", api)
	mux.Handle("/openapi.json", api)
	if n.s.Dev {
		n.developmentPages(mux)
	}
	return mux
}

// whenReady turns everybody away until the log has been read: what a client
// has missed is not known before.
func (n *node) whenReady(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !n.ready.Load() {
			w.Header().Set("Retry-After", "1")
			http.Error(w, "The server is reading its log. Try again.", http.StatusServiceUnavailable)
			return
		}
		next.ServeHTTP(w, r)
	})
}
