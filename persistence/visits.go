package persistence

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/nats-io/nats.go/jetstream"

	"tidings/notifications"
)

const visitPrefix = "tidings.connections."

// maxVisits bounds what is returned of one user.
const maxVisits = 1000

// Visits keeps the visits of users: one message per connection, which its end
// replaces. It implements notifications.Visits; its methods are safe for
// concurrent use.
type Visits struct {
	reader

	keeper *keeper
}

// OpenVisits opens the stream of visits, which is created if it is missing. The
// age and the bytes of one that exists are changed to those of the options.
func OpenVisits(ctx context.Context, n *NATS, o Options) (*Visits, error) {
	o = o.withDefaults()
	stream, err := n.ensureBounds(ctx, o.visitsConfig())
	if err != nil {
		return nil, err
	}
	keeper, err := newKeeper(n, "visits", o.Logger)
	return &Visits{reader{n, stream}, keeper}, err
}

// Note implements notifications.Visits. What finds 8,192 visits waiting is lost.
func (v *Visits) Note(visit notifications.Visit) {
	subject := visitPrefix + token(visit.Hub) + "." + token(visit.User) + "." + token(visit.Connection)
	v.keeper.put(record{subject: subject, value: visit})
}

// Run stores visits until ctx ends, and then what is left, for two seconds at
// most.
func (v *Visits) Run(ctx context.Context) error { return v.keeper.run(ctx) }

// Stats is a look at the visits as they are now.
func (v *Visits) Stats() KeepStats { return v.keeper.stats() }

// Of implements notifications.Visits. It returns the newest 1,000 visits at
// most, by their beginning.
func (v *Visits) Of(ctx context.Context, hub, user string) ([]notifications.Visit, error) {
	var visits []notifications.Visit
	err := v.lasts(ctx, visitsSubject(hub, user), func(raw *jetstream.RawStreamMsg) error {
		var visit notifications.Visit
		if err := json.Unmarshal(raw.Data, &visit); err != nil {
			return err
		}
		visits = append(visits, visit)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("visits of %s: %w", user, err)
	}
	slices.SortStableFunc(visits, func(a, b notifications.Visit) int { return a.Began.Compare(b.Began) })
	return visits[max(0, len(visits)-maxVisits):], nil
}

func visitsSubject(hub, user string) string {
	return visitPrefix + token(hub) + "." + token(user) + ".*"
}

// Erase implements notifications.Visits. What is stored is overwritten; what
// waits to be stored is not among it.
func (v *Visits) Erase(ctx context.Context, hub, user string) error {
	err := v.lasts(ctx, visitsSubject(hub, user), func(raw *jetstream.RawStreamMsg) error {
		return v.erase(ctx, raw.Sequence)
	})
	if err != nil {
		return fmt.Errorf("erase visits of %s: %w", user, err)
	}
	return nil
}
