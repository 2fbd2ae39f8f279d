package actors

import (
	"context"
	"hash/maphash"
	"slices"
	"strconv"

	"tidings/notifications"
)

// Deliver hands the next stretch of the log to the shards it concerns and
// waits for their credit: a shard that is behind holds the follower, and the
// log keeps the rest. A log that was made anew, or has lost what this node had
// not read, ends every connection: the clients are told when they come back.
func (s *System) Deliver(ctx context.Context, b notifications.Batch) error {
	if s.options.Reader != nil {
		epoch := s.options.Reader.State().Epoch
		if b.Lost || (s.epoch != 0 && epoch != s.epoch) {
			if err := s.CloseAll(ctx, 0); err != nil {
				return err
			}
		}
		s.epoch = epoch
	}
	for i, parcels := range s.sort(b.Entries) {
		if len(parcels) == 0 {
			continue
		}
		select {
		case <-s.doors[i].credits:
			s.doors[i].post(&batch{parcels: parcels})
		case <-s.closed:
			return ErrGone
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	s.head.Store(uint64(b.UpTo))
	return nil
}

// sort makes parcels of entries and gives each shard those that concern it: a
// personal event is for the shard of its user, all others are for all.
func (s *System) sort(entries []*notifications.Entry) [][]*parcel {
	perShard := make([][]*parcel, len(s.doors))
	now := s.options.Now()
	for _, e := range entries {
		if e.Hub != s.options.Hub {
			continue
		}
		p := newParcel(e, s.epoch, len(s.doors), now)
		p.observer = s.options.Observer
		switch {
		case p.expired:
			p.owed.Store(1)
			p.finish(now)
		case e.Event.Recipient.Kind == notifications.User:
			p.owed.Store(1)
			i := s.shardOf(e.Event.Recipient.Key)
			perShard[i] = append(perShard[i], p)
		default:
			p.owed.Store(int32(len(s.doors))) //nolint:gosec // a handful of shards
			for i := range perShard {
				perShard[i] = append(perShard[i], p)
			}
		}
	}
	return perShard
}

// Send gives an unstored message to those of its recipients who are connected
// here. It waits while a shard has as many commands waiting as it may.
func (s *System) Send(ctx context.Context, m Live) error {
	p := &parcel{to: m.To, except: m.Except, message: m.Message}
	for _, d := range s.doorsOf(m.To) {
		if err := d.command(ctx, nil, p); err != nil {
			return err
		}
	}
	return nil
}

// doorsOf are the shards that know the recipients.
func (s *System) doorsOf(to []notifications.Recipient) []*door {
	var doors []*door
	for _, r := range to {
		var d *door
		switch r.Kind {
		case notifications.User:
			d = s.doorOf(r.Key)
		case notifications.Connection:
			c, ok := s.Lookup(r.Key)
			if !ok {
				continue
			}
			d = c.shard
		default:
			return s.doors
		}
		if !slices.Contains(doors, d) {
			doors = append(doors, d)
		}
	}
	return doors
}

func (s *System) shardOf(key string) int {
	return int(maphash.String(s.seed, key) % uint64(len(s.doors))) //nolint:gosec // below the number of shards
}

func (s *System) doorOf(key string) *door { return s.doors[s.shardOf(key)] }

func shardName(i int) string { return "shard/" + strconv.Itoa(i) }

// post puts a message into the shard's mailbox.
func (d *door) post(message any) { d.system.library.Root.Send(d.pid, message) }

// command posts a message that takes one of the slots, and waits for it.
func (d *door) command(ctx context.Context, c *Connection, message any) error {
	var done <-chan struct{}
	if c != nil {
		done = c.done
	}
	select {
	case <-done:
		return ErrGone
	default:
	}
	select {
	case d.slots <- struct{}{}:
		d.post(message)
		return nil
	case <-done:
		return ErrGone
	case <-d.system.closed:
		return ErrGone
	case <-ctx.Done():
		return ctx.Err()
	}
}
