package actors

import (
	"log/slog"
	"runtime/debug"
	"strings"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/eventstream"
)

// gauges are the figures of a system that are kept while it runs.
type gauges struct {
	connections, users, groups, lagging, sweeping, dropped, overflow, kept atomic.Int64
}

// propsOf holds the recipes of the actors that a shard makes.
type propsOf struct {
	user, group, connection *actor.Props
}

// shardThroughput is how many messages a shard handles before it yields.
const shardThroughput = 300

// inline makes an actor run on the goroutine of its sender, the shard.
func inline(d *desk) []actor.PropsOption {
	return []actor.PropsOption{
		actor.WithMailbox(func() actor.Mailbox { return &inlineMailbox{overflow: &d.gauges.overflow} }),
	}
}

// HandleFailure implements actor.SupervisorStrategy. A connection that fails is
// stopped: its socket cannot be made again, the browser comes back and the log
// replays. Users and groups go on: they hold nothing but their connections.
func (s *shard) HandleFailure(_ *actor.ActorSystem, by actor.Supervisor, child *actor.PID, _ *actor.RestartStatistics, _, _ any) { //nolint:revive // as the library wants it
	if strings.HasPrefix(strings.TrimPrefix(child.GetId(), s.self.GetId()+"/"), connectionName+"/") {
		by.StopChildren(child)
		return
	}
	by.ResumeChildren(child)
}

// logPanic is deferred by the inline actors. It logs a panic with its stack,
// which the library does not, and hands it on to the supervisor. A panic while
// an actor stops is swallowed: the library would revive the actor or never tell
// its parent. It is no middleware of the library, which would allocate an
// envelope for every message.
func logPanic(ctx actor.Context, logger *slog.Logger) {
	reason := recover()
	if reason == nil {
		return
	}
	logFailure(logger, ctx.Self(), reason)
	switch ctx.Message().(type) {
	case *actor.Stopping, *actor.Stopped:
	default:
		panic(reason)
	}
}

func logFailure(logger *slog.Logger, who *actor.PID, reason any) {
	logger.Error("actor failed", slog.String("actor", who.GetId()),
		slog.Any("reason", reason), slog.String("stack", string(debug.Stack())))
}

// newActorSystem makes one of the library's systems silent: it logs the bodies
// of messages, and its failures are logged by logPanic. Nobody listens to its
// event stream: the library would start a goroutine for messages to actors that
// have ended, which is what happens when a page comes late.
func newActorSystem() *actor.ActorSystem {
	system := actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
		return slog.New(slog.DiscardHandler)
	}))
	system.EventStream = eventstream.NewEventStream()
	return system
}
