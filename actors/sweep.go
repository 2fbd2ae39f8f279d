package actors

import (
	"runtime"

	"github.com/asynkron/protoactor-go/actor"
)

// A broadcast to everyone is one push to the ring of each shard. The sweep
// then brings users to where the ring ended when it began, a chunk per turn of
// the shard, so that personal events do not wait for a walk through all users; a
// connection that is given anything else takes what the ring has first, so order
// holds. Under load several broadcasts leave in one write.

func (s *shard) startSweep(ctx actor.Context) {
	if s.sweeping {
		return
	}
	s.sweeping = true
	s.pass, s.desk.passEnd = 0, s.desk.ring.head()
	s.timing = newTiming(&s.desk.shared.timings, s.desk.now)
	ctx.Send(s.self, &sweep{})
}

func (s *shard) sweep(ctx actor.Context) {
	// Whoever brings the next events comes first: then they leave in one write.
	runtime.Gosched()
	s.desk.timing = s.timing
	end := min(s.pass+sweepChunk, len(s.order))
	for _, seat := range s.order[s.pass:end] {
		for _, handle := range seat.person.connections.list {
			ctx.Send(handle.pid, &sweep{})
		}
	}
	s.pass = end
	s.settle(ctx)
	if s.pass < len(s.order) {
		ctx.Send(s.self, &sweep{})
		return
	}
	now := s.desk.options.Now()
	s.desk.settleStretches()
	dropped := s.desk.ring.dropTo(s.desk.passEnd)
	for _, p := range dropped {
		if p.entry != nil {
			s.timing.hold(&p.tallies[s.desk.shard])
		}
		p.finish(now)
	}
	s.timing.release()
	s.desk.gauges.sweeping.Add(-int64(len(dropped)))
	s.sweeping, s.pass, s.timing = false, 0, nil
	s.credit()
	if len(s.desk.ring.parcels) > 0 {
		s.startSweep(ctx)
	}
}

// unseat takes a user out of the order without letting the running pass skip
// anybody: the hole among those already swept is filled by the last of them,
// and that one's place by the last of all.
func (s *shard) unseat(seat *userSeat) {
	hole := seat.index
	if hole < s.pass {
		s.pass--
		s.move(s.pass, hole)
		hole = s.pass
	}
	last := len(s.order) - 1
	if hole < last { // else its index would be that of whoever has filled the hole
		s.move(last, hole)
	}
	s.order[last] = nil
	s.order = s.order[:last]
}

func (s *shard) move(from, to int) {
	s.order[to] = s.order[from]
	s.order[to].index = to
}
