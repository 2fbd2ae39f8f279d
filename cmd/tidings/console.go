package main

import (
	"context"
	"net/http"
	"os"
	"strconv"

	"tidings/connections"
	"tidings/console"
	"tidings/hub"
	"tidings/notifications"
	"tidings/roles"
	"tidings/web"
)

// nodeName names this process among others.
func nodeName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return host + "/" + strconv.Itoa(os.Getpid())
}

// makeConsole makes the hub of operators. Whoever its door lets in may look for
// all users; who may act is decided by the policy of the node.
func (n *node) makeConsole(context.Context) (err error) {
	everybody, err := roles.ParsePolicy([]byte(`manage: ["*"]`))
	if err != nil {
		return err
	}
	inboxes := notifications.NewInboxes(notifications.InboxesOptions{Log: n.log, States: n.states, Policy: everybody, Audit: n.audit})
	n.console, err = console.New(console.Options{
		Hub: hub.Options{
			KeepAlive: n.s.KeepAlive, ClientTimeout: n.s.ClientTimeout, HandshakeTimeout: n.s.HandshakeTimeout,
			CloseOnAuthExpiration: true, Logger: n.logger, Shards: 1, // no spans: they would be what operators see most of
		},
		Hubs: []*hub.Hub{n.notifications.Hub, n.analytics.Hub},
		Log:  n.log, NATS: n.nats, Audit: n.audit, Commands: n.commands, Inboxes: inboxes, Archives: n.archivesOf(inboxes),
		States: n.states, Devices: n.cursors, Visits: n.visits, Policy: n.policy,
		Metrics: n.telemetry.Metrics, Spans: n.telemetry.Spans, Lines: n.lines,
		Node: n.name, Version: version(), Started: n.started, Dev: n.s.Dev && n.secret != nil, TraceLink: n.s.TraceLink, Unready: n.unready, Load: n.load,
	})
	return err
}

// unready says why the node should not be sent anybody.
func (n *node) unready() []string {
	var reasons []string
	for _, c := range n.readyChecks() {
		if !c.OK {
			reasons = append(reasons, c.Reason)
		}
	}
	return reasons
}

// follow hands the log on until ctx ends.
func (n *node) follow(ctx context.Context) error {
	return n.log.Follow(ctx, func(ctx context.Context, b notifications.Batch) error {
		n.console.Hear(b)
		return n.deliver(ctx, b)
	})
}

// The paths of the console.
const (
	consolePath    = "/console/"
	consoleHubPath = "/console/hub"
)

// consolePages are for whoever asks: they hold nothing of the node. What they
// show comes through the hub.
func (n *node) consolePages(mux *http.ServeMux) {
	mux.Handle("GET /console", http.RedirectHandler(consolePath, http.StatusMovedPermanently))
	mux.Handle(consolePath, web.Console())
	if n.s.Dev {
		mux.Handle("GET /console/dev/users", local(http.HandlerFunc(n.listDemoUsers)))
		mux.Handle("POST /console/dev/token", local(http.HandlerFunc(n.demoToken)))
	}
}

// consoleDoor lets operators in, whom operatorsOnly has let pass: with a token,
// or, at this machine, without one. Pages of other origins are kept out, those
// of other ports of this machine, too.
func (n *node) consoleDoor(mux *http.ServeMux) {
	n.operatorsDoor = connections.NewServer(n.console, connections.Options{
		Verifier: operators{n.verifier}, SendTimeout: n.s.SendTimeout, DisconnectTimeout: n.s.DisconnectTimeout, Logger: n.logger,
	})
	door := http.NewCrossOriginProtection().Handler(n.operatorsDoor)
	mux.Handle(consoleHubPath, door)
	mux.Handle(consoleHubPath+"/", door)
}

// operators lets in whoever comes without a token, as somebody at this machine.
type operators struct{ roles.Verifier }

// Verify implements roles.Verifier.
func (o operators) Verify(ctx context.Context, token string) (roles.Principal, error) {
	if token == "" {
		return console.Local(), nil
	}
	return o.Verifier.Verify(ctx, token)
}
