// Package console is what operators see of a node and do to it: the hub behind
// the pages of /console/. Looking is for whoever the door has let in, acting for
// those who may manage; every act says why, and is put on record.
package console

import (
	"cmp"
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"tidings/hub"
	"tidings/notifications"
	"tidings/persistence"
	"tidings/roles"
	"tidings/telemetry"
)

// Via is the door in the audit.
const Via = "console"

// Local is who looks without a token: somebody who sits at the machine of the
// node. It is no user, and acts on nothing.
func Local() roles.Principal { return roles.Principal{UserID: "(this machine)"} }

// Options is what a console needs. All but Spans and Lines is required.
type Options struct {
	// Hub tunes the console's own hub; its name and methods are set here.
	Hub hub.Options
	// Hubs are those of the node; the first is the one that people's
	// notifications come through.
	Hubs []*hub.Hub
	Log  *persistence.Log
	NATS *persistence.NATS
	// Audit is written to and read.
	Audit    *persistence.Audit
	Commands *notifications.Commands
	// Inboxes and Archives let everybody look for others: who has come through
	// the door may, and the console itself decides on acts.
	Inboxes  *notifications.Inboxes
	Archives *notifications.Archives
	States   notifications.States
	Devices  notifications.Devices
	Visits   notifications.Visits
	// Policy says who may act.
	Policy  *roles.Policy
	Metrics *telemetry.Metrics
	// Spans and Lines are what is kept of traces and of the log lines. nil =
	// nothing.
	Spans *telemetry.Spans
	Lines *telemetry.Lines
	// Node names the process, Started is when it began.
	Node, Version string
	Started       time.Time
	// Dev says that tokens can be had at this machine.
	Dev bool
	// TraceLink is where another tool shows a trace: a URL with {trace_id}; empty
	// = there is none.
	TraceLink string
	// Unready says why the node should not be sent anybody; none = it may.
	Unready func() []string
	// Load says how near the node is to what it can do, 0 to 1.
	Load func() float64
	// Now is the clock. Default time.Now.
	Now func() time.Time
}

// Console is the hub of operators. Its methods are safe for concurrent use.
type Console struct {
	*hub.Hub

	o        Options
	overview *overview
	tail     *tail
}

// New makes the console of a node.
func New(o Options) (*Console, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	c := &Console{o: o, overview: newOverview(), tail: newTail()}
	o.Hub.Name, o.Hub.Service, o.Hub.Durable, o.Hub.Deliveries = "console", "ConsoleHub", nil, nil
	o.Hub.MaxMessage = cmp.Or(o.Hub.MaxMessage, maxQuestion)
	o.Hub.Methods = hub.Methods{
		"Who": c.who, "Watch": c.watch, "Nodes": c.nodes,
		"Connections": c.connections, "Connection": c.connection, "Groups": c.groups, "Members": c.members,
		"User": c.user, "UserInbox": c.userInbox, "Explain": c.explain, "Audit": c.audit,
		"Log": c.log, "Tail": c.follow, "Event": c.event,
		"Traces": c.traces, "Trace": c.trace, "Logs": c.logs,
		"Rejected": c.rejected, "RejectedOne": c.rejectedOne,
		"Traced": c.traced,

		"CloseConnection": c.closeConnection, "TraceUser": c.traceUser, "UntraceUser": c.untraceUser,
		"Replay": c.replay, "Reemit": c.reemit, "Erase": c.erase,
	}
	var err error
	c.Hub, err = hub.New(o.Hub)
	return c, err
}

// maxQuestion bounds what a page sends: an event that is emitted again is the
// longest.
const maxQuestion = 1 << 20

// Run keeps the hub, the figures and the answers to other nodes going until ctx
// ends.
func (c *Console) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return c.Hub.Run(ctx) })
	group.Go(func() error { return c.measure(ctx) })
	group.Go(func() error { return c.o.NATS.AnswerSurvey(ctx, c.answer) })
	return group.Wait()
}

// find is the hub of that name; empty = that of people's notifications.
func (c *Console) find(name string) (*hub.Hub, error) {
	if name == "" {
		return c.o.Hubs[0], nil
	}
	for _, h := range c.o.Hubs {
		if h.Name() == name {
			return h, nil
		}
	}
	return nil, hub.Error{Text: "There is no hub " + clip(name) + " on this node."}
}

// clip is a text of a caller as it is repeated in errors.
func clip(text string) string {
	const most = 100
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
}

// Nothing is the argument, or the result, of a method that has none.
type Nothing struct{}

// Identity says who is looking, and at what.
type Identity struct {
	User string `json:"user"`
	// MayAct says that acts would be let through, Local that it is somebody at
	// this machine without a token.
	MayAct    bool      `json:"mayAct"`
	Local     bool      `json:"local"`
	Dev       bool      `json:"dev"`
	Node      string    `json:"node"`
	Version   string    `json:"version"`
	SpansKept bool      `json:"spansKept"`
	LogsKept  bool      `json:"logsKept"`
	Now       time.Time `json:"now"`
	Hubs      []string  `json:"hubs"`
	TraceLink string    `json:"traceLink"`
}

func (c *Console) who(h *hub.Context, _ Nothing) (Identity, error) {
	who := h.Principal()
	id := Identity{
		User: who.UserID, MayAct: c.mayAct(who), Local: local(who), Dev: c.o.Dev, Node: c.o.Node, Version: c.o.Version,
		SpansKept: c.o.Spans != nil, LogsKept: c.o.Lines != nil, Now: c.o.Now().UTC(), TraceLink: c.o.TraceLink,
	}
	if id.Local {
		id.User = ""
	}
	for _, h := range c.o.Hubs {
		id.Hubs = append(id.Hubs, h.Name())
	}
	return id, nil
}

func local(who roles.Principal) bool { return who.UserID == Local().UserID && who.Issuer == "" }
