package main

import (
	"context"
	"slices"

	"go.opentelemetry.io/otel/attribute"

	"tidings/actors"
	"tidings/persistence"
	"tidings/telemetry"
)

// watch registers the figures that are read when somebody looks.
func (n *node) watch(context.Context) error {
	return n.telemetry.Metrics.Watch(slices.Concat(n.hubFigures(), n.trafficFigures(), n.logFigures(), n.otherFigures(), n.processFigures())...)
}

func (n *node) hubFigures() []telemetry.Figure {
	sum := func(figure func(actors.Stats) int64) func() float64 {
		return func() float64 { return float64(figure(n.notifications.Stats()) + figure(n.analytics.Stats())) }
	}
	return []telemetry.Figure{
		{
			Name: "notify.users.online", Unit: "{user}", Description: "Users with a connection to a hub of this node.",
			Read: sum(func(s actors.Stats) int64 { return s.Users }),
		},
		{
			Name: "notify.groups.active", Unit: "{group}", Description: "Roles and groups with a member, by shard.",
			Read: sum(func(s actors.Stats) int64 { return s.Groups }),
		},
		{
			Name: "notify.connections.lagging", Unit: "{connection}", Description: "Connections that read the log instead of hearing it.",
			Read: sum(func(s actors.Stats) int64 { return s.Lagging }),
		},
		{
			Name: "notify.reconnect.kept", Unit: "By", Description: "Bytes kept for clients that may come back with another socket.",
			Read: sum(func(s actors.Stats) int64 { return s.Kept }),
		},
		{
			Name: "notify.actor.mailbox.max", Unit: "{message}", Description: "Length of the longest mailbox of a shard.",
			Read: func() float64 { return float64(max(n.notifications.Stats().Mailbox, n.analytics.Stats().Mailbox)) },
		},
		{
			Name: "notify.actor.mailbox.overflow", Unit: "{message}", Description: "Messages that found a bounded mailbox full; not zero is a bug.",
			Counts: true, Read: sum(func(s actors.Stats) int64 { return s.Overflow }),
		},
		{
			Name: "notify.actor.sweep.pending", Unit: "{message}", Description: "Messages for everyone that some connection has not been given yet.",
			Read: sum(func(s actors.Stats) int64 { return s.Sweeping }),
		},
		{
			Name: "notify.live.dropped", Unit: "{message}", Description: "Live messages that a slow connection, or a busy shard, did not hand on.",
			Counts: true, Read: sum(func(s actors.Stats) int64 { return s.Dropped }),
		},
	}
}

// trafficFigures are what goes over the connections of the hubs.
func (n *node) trafficFigures() []telemetry.Figure {
	direction := func(which string) []attribute.KeyValue {
		return []attribute.KeyValue{attribute.String("network.io.direction", which)}
	}
	traffic := func() (received, sent int64) {
		for _, door := range n.doors {
			t := door.Traffic()
			received, sent = received+t.Received, sent+t.Sent
		}
		return received, sent
	}
	const bytes, of = "notify.connection.bytes", "Bytes of the hub protocol over all transports."
	return []telemetry.Figure{
		{
			Name: bytes, Unit: "By", Description: of, Attributes: direction("receive"),
			Counts: true, Read: func() float64 { received, _ := traffic(); return float64(received) },
		},
		{
			Name: bytes, Unit: "By", Description: of, Attributes: direction("transmit"),
			Counts: true, Read: func() float64 { _, sent := traffic(); return float64(sent) },
		},
		{
			Name: "notify.connection.messages", Unit: "{message}", Description: "Messages that clients have sent.", Attributes: direction("receive"),
			Counts: true, Read: func() float64 { return float64(n.notifications.Received() + n.analytics.Received()) },
		},
	}
}

func (n *node) logFigures() []telemetry.Figure {
	read := func(figure func(persistence.Stats) int64) func() float64 {
		return func() float64 { return float64(figure(n.log.Stats())) }
	}
	appended := read(func(s persistence.Stats) int64 { return s.Appended })
	failed := read(func(s persistence.Stats) int64 { return s.AppendErrors })
	followed := read(func(s persistence.Stats) int64 { return s.Followed })
	const sent, ofSent = "messaging.client.sent.messages", "Messages this node has published to the log."
	return []telemetry.Figure{
		{Name: sent, Unit: "{message}", Description: ofSent, Attributes: telemetry.SentAttributes(""), Counts: true, Read: appended},
		{Name: sent, Unit: "{message}", Description: ofSent, Attributes: telemetry.SentAttributes("unavailable"), Counts: true, Read: failed},
		{
			Name: "messaging.client.consumed.messages", Unit: "{message}", Description: "Messages of the log this node has read.",
			Attributes: telemetry.ConsumedAttributes(), Counts: true, Read: followed,
		},
		{Name: "notify.log.appended", Unit: "{event}", Description: "Events this node has appended.", Counts: true, Read: appended},
		{Name: "notify.log.append_errors", Unit: "{event}", Description: "Events this node could not append.", Counts: true, Read: failed},
		{Name: "notify.log.followed", Unit: "{message}", Description: "Messages of the log this node has read.", Counts: true, Read: followed},
		{
			Name: "notify.log.rejected", Unit: "{message}", Description: "Messages of the log that are no events.",
			Counts: true, Read: read(func(s persistence.Stats) int64 { return s.Rejected }),
		},
		{
			Name: "notify.log.position", Unit: "{position}", Description: "Newest position this node has read.",
			Read: read(func(s persistence.Stats) int64 { return place(s.Head) }),
		},
		{
			Name: "notify.log.lag", Unit: "{position}", Description: "Positions this node has still to read.",
			Read: read(func(s persistence.Stats) int64 { return place(s.Last - s.Head) }),
		},
		{
			Name: "notify.log.index.entries", Unit: "{position}", Description: "Positions the index holds.",
			Read: read(func(s persistence.Stats) int64 { return s.Entries }),
		},
		{
			Name: "notify.log.tail.size", Unit: "By", Description: "Memory of recent events.",
			Read: read(func(s persistence.Stats) int64 { return s.TailBytes }),
		},
		{
			Name: "notify.log.size", Unit: "By", Description: "What the log takes on the disk.",
			Read: read(func(s persistence.Stats) int64 { return s.LogBytes }),
		},
		{
			Name: "notify.log.bound", Unit: "By", Description: "What the log may take on the disk; 0 = anything.",
			Read: read(func(s persistence.Stats) int64 { return s.LogBound }),
		},
	}
}

// otherFigures are those of what else is kept, and of the way to it.
func (n *node) otherFigures() []telemetry.Figure {
	return []telemetry.Figure{
		{
			Name: "notify.audit.lost", Unit: "{record}", Description: "Records of the audit that could not be kept.",
			Counts: true, Read: func() float64 { return float64(n.audit.Stats().Lost) },
		},
		{
			Name: "notify.visits.lost", Unit: "{record}", Description: "Records of who was connected that could not be kept.",
			Counts: true, Read: func() float64 { return float64(n.visits.Stats().Lost) },
		},
		{
			Name: "notify.nats.connected", Unit: "{connection}", Description: "1 while NATS can be reached, else 0.",
			Read: func() float64 {
				if n.nats.Connected() {
					return 1
				}
				return 0
			},
		},
		{Name: "notify.server.load", Unit: "1", Description: "How near the node is to what it can do, 0 to 1.", Read: n.load},
	}
}

// processFigures are those that the kernel knows.
func (*node) processFigures() []telemetry.Figure {
	const used, of = "process.cpu.time", "Time of processors that the process has used."
	mode := func(which string) []attribute.KeyValue {
		return []attribute.KeyValue{attribute.String("cpu.mode", which)}
	}
	return []telemetry.Figure{
		{
			Name: used, Unit: "s", Description: of, Attributes: mode("user"),
			Counts: true, Read: func() float64 { return telemetry.ReadUsage().User.Seconds() },
		},
		{
			Name: used, Unit: "s", Description: of, Attributes: mode("system"),
			Counts: true, Read: func() float64 { return telemetry.ReadUsage().System.Seconds() },
		},
		{
			Name: "process.memory.usage", Unit: "By", Description: "Memory of the process that is resident.",
			Read: func() float64 { return float64(telemetry.ReadUsage().Resident) },
		},
	}
}

// load is how near the node is to what it can do, 0 to 1: the largest share of its
// processors, and of the queues of its hubs (see actors.Stats).
func (n *node) load() float64 {
	return max(n.processors.Share(), n.notifications.Stats().Fill, n.analytics.Stats().Fill)
}
